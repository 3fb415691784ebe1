"""What the suite has looked at: a model of calls, and arrays of cells that cover it.

`_model.py` is the model of calls as data, `_batches.py` that of batches with normalising factors; `_arrays.py` makes
covering arrays of them, rows.json keeps these (`_stored.py`); `_cases.py` makes calls of cells, `_offered.py` says what
is left of a cell that a target does not offer whole.
"""

from lossproof.conformance.coverage._model import (
    ABSENT as ABSENT,
    AXES as AXES,
    Cell as Cell,
    broken_rule as broken_rule,
)
