"""t5x.losses as a target: the functions have the specification's names, and mean the same but for its DIFF clauses."""

import importlib

from lossproof.conformance.targets._target import Target
from lossproof.conformance.targets.probing.functions import module_target


def load(name: str) -> Target:
    """The functions of t5x.losses."""
    return module_target(name, importlib.import_module("t5x.losses"))
