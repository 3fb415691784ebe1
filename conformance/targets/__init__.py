"""Implementations under test, and how they are found by name.

`_target.py` says what the suite asks of one; each adapter is a file of its own.
"""

from lossproof.conformance.targets._load import (
    TargetError as TargetError,
    function_target as function_target,
    load_target as load_target,
    module_target as module_target,
    parse_convention as parse_convention,
)
from lossproof.conformance.targets._target import (
    Arrays as Arrays,
    NotApplicable as NotApplicable,
    Offer as Offer,
    Target as Target,
    Unsupported as Unsupported,
)
