"""Implementations under test, and how they are found by name.

`_target.py` says what the suite asks of one, `_limits.py` which calls it takes. `_jax.py`, `_numpy.py` and `_torch.py`
ask it of Python functions, `_exec.py` of programs. `_load.py` finds a target by name: built in (`_adapters.py`, and a
file for each library), a function or a module (`_functions.py`), or a program. What a function takes and returns is
read from names (`_signature.py`, `_results.py`) and from what its module says (`_declaration.py`); calls find out the
rest (`_probe.py`, `_probe_limits.py`, `_probe_values.py`). `_bound.py` then calls it by the specification's words.
`_describe.py` says who a target is, `_fit.py` which convention it keeps to.
"""

from lossproof.conformance.targets._convention import (
    convention_words as convention_words,
    parse_convention as parse_convention,
)
from lossproof.conformance.targets._describe import describe as describe, remarks as remarks
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
    OutsideLimits as OutsideLimits,
    Split as Split,
    Target as Target,
    TargetError as TargetError,
    TargetRaised as TargetRaised,
    Unsupported as Unsupported,
)
