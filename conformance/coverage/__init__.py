"""What the suite has looked at: a model of calls, and arrays of cells that cover it.

`_model.py` is the model as data, `_arrays.py` makes covering arrays of it, rows.json keeps them, `_cases.py` makes calls
of cells.
"""

from lossproof.conformance.coverage._model import (
    ABSENT as ABSENT,
    AXES as AXES,
    Cell as Cell,
    broken_rule as broken_rule,
)
