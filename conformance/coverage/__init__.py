"""What the suite has looked at: a model of calls, and arrays of cells that cover it.

`model.py` is the model of calls as data, `batches.py` that of batches with normalising factors;
`_arrays.py` makes covering arrays of pairs, rows.json keeps these (`stored.py`), `triples.py` makes
those of triples. `cases.py` makes calls of cells with the inputs of `_inputs.py`; `way.py` is how a
call is made: transforms, derivatives, containers.
"""

from lossproof.conformance.coverage.model import (
    ABSENT as ABSENT,
    AXES as AXES,
    Cell as Cell,
    broken_rule as broken_rule,
)
