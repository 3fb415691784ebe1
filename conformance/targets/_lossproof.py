"""lossproof's own losses as a target."""

import importlib

from lossproof.conformance.targets._functions import module_target
from lossproof.conformance.targets._target import Target


def load(name: str) -> Target:
    """The functions of the package."""
    return module_target(name, importlib.import_module("lossproof"))
