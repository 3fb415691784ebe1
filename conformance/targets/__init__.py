"""Implementations under test, and how they are found by name.

`_target.py` says what the suite asks of one. `_jax.py`, `_numpy.py` and `_torch.py` ask it of Python functions,
`_exec.py` of programs. `_load.py` finds a target by name: built in (`_adapters.py`, and a file for each library), a
function or a module (`_functions.py`; `_probe.py` finds out what it takes, `_declaration.py` reads what it says), or a
program.
`_describe.py` says who a target is, `_fit.py` which convention it keeps to.
"""

from lossproof.conformance.targets._convention import (
    convention_words as convention_words,
    parse_convention as parse_convention,
)
from lossproof.conformance.targets._describe import describe as describe
from lossproof.conformance.targets._fit import fitting_conventions as fitting_conventions, hint as hint
from lossproof.conformance.targets._functions import (
    function_target as function_target,
    module_target as module_target,
)
from lossproof.conformance.targets._load import load_target as load_target
from lossproof.conformance.targets._target import (
    Arrays as Arrays,
    NotApplicable as NotApplicable,
    Offer as Offer,
    Split as Split,
    Target as Target,
    TargetError as TargetError,
    Unsupported as Unsupported,
)
