"""The conformance suite: proves a loss right against the reference, clause by clause.

`lossproof check` is its command line, `pytest --pyargs lossproof.conformance` its form inside a
project's own tests.

Its rooms, each of which knows those before it alone:

- `judging`: cases, the right answers, and whether an array deviates; what each clause speaks of.
- `coverage`: a model of what a call can be, and cells that have every pair of its values.
- `targets`: the implementations under test, and how they are asked.
- `suite`: the questions, a module per group of clauses in `checks/`, cut into units of work.
- `running`: from a request to results, in processes that are watched, and the verdict on them.
- `mutants`: the broken losses that prove the suite, and good ones that it must let pass.
- `diagnosis`: what failures have in common, and which known defect behaves like the target.
- `report`: a result for people and for machines.
- `command`: the command line.

`plugin.py` and `test_conformance.py` are the doors for pytest.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossproof.conformance.command.cli import cli as cli
    from lossproof.conformance.judging.result import Result as Result
    from lossproof.conformance.running.request import Request as Request
    from lossproof.conformance.running.runner import run as run
    from lossproof.conformance.running.summary import Summary as Summary
    from lossproof.conformance.targets import load_target as load_target

_MODULES = {
    "Request": "running.request",
    "Result": "judging.result",
    "Summary": "running.summary",
    "cli": "command.cli",
    "load_target": "targets",
    "run": "running.runner",
}

__all__ = ["Request", "Result", "Summary", "cli", "load_target", "run"]


def __getattr__(name: str) -> object:
    # Lazy, because pytest loads lossproof.conformance.plugin in every run where lossproof is installed.
    if name in _MODULES:
        return getattr(importlib.import_module(f"lossproof.conformance.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'lossproof.conformance' has no attribute {name!r}")
