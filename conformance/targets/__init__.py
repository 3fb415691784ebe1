"""Implementations under test, and how they are found by name.

`_target.py` says what the suite asks of one, `_limits.py` which calls it takes. `frameworks/` ask
it of functions of JAX, NumPy and PyTorch, `programs/` of programs in any language. `_load.py` finds
a target by name: built in (`adapters.py`, with a file for each in `libraries/`), a function or a
module, or a program. `probing/` finds out what a function takes and returns: read from names
(`_signature.py`, `_results.py`) and from what its module says (`declaration.py`), the rest from
calls (`_probe.py`, `_probe_limits.py`, `_probe_values.py`); `_bound.py` then calls it by the
specification's words, `fit.py` says which convention it keeps to. `_describe.py` says who a target
is, `identity.py` asks that in a process of its own.
"""

from lossproof.conformance.targets._convention import (
    convention_words as convention_words,
    parse_convention as parse_convention,
)
from lossproof.conformance.targets._describe import describe as describe, remarks as remarks
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
from lossproof.conformance.targets.probing.fit import fitting_conventions as fitting_conventions, hint as hint
from lossproof.conformance.targets.probing.functions import (
    function_target as function_target,
    module_target as module_target,
)
