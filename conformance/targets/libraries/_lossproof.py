"""lossproof's own losses as targets."""

import importlib
from functools import partial
from types import SimpleNamespace

from lossproof.conformance.targets._target import Target
from lossproof.conformance.targets.probing.functions import module_target
from lossproof.spec import FACTOR, OUTPUTS

_IMPLEMENTATION = {"lossproof-xla": "xla"}


def load(name: str) -> Target:
    """The functions of the package, as they are or in one of their implementations."""
    package = importlib.import_module("lossproof")
    if name not in _IMPLEMENTATION:
        return module_target(name, package)
    losses = {loss: partial(getattr(package, loss), implementation=_IMPLEMENTATION[name]) for loss in OUTPUTS}
    return module_target(name, SimpleNamespace(**losses, **{FACTOR: getattr(package, FACTOR)}))
