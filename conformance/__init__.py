"""The conformance suite: proves a loss right against the reference, clause by clause.

`lossproof check` is its command line, `pytest --pyargs lossproof.conformance` its form inside a project's own tests.

Where to read: `checks/` asks the questions, one module per group of clauses; `_units.py` cuts them into units of
work; `_run.py` is what a check works with; `targets/` are the implementations under test; `_draw.py` makes cases,
`_exact.py` fetches the right answers, `lossproof.reference.bounds` says how large an error may be, `_judge.py`
compares; `_charges.py` has what each clause speaks of, so that a comparison counts for it or a deviation breaks it,
`_control.py` whether plain calls are as wrong, `_lacking.py` what the target does not offer, `_ledger.py` the verdict
on each clause; `_calls.py` keeps what the target was asked; `_survey.py` measures how accurate a target is, without a
verdict. `_check.py` is the command, `_plan.py` a run from `_request.py`, what was asked for, to its verdict:
`_identity.py` asks the target who it is, `_runner.py` runs the units in processes that `_guard.py` watches,
`_recorder.py` gathers their results, `_cluster.py` does both elsewhere, `_output.py` and `_journal.py` keep them,
`_summary.py` has the verdict, `_record.py` the JSON result, `_terminal.py` and `report/` show it, `_hints.py` says
what else a failure may be about. `_cause.py` looks for what failures have in common: `_axes.py` and `_features.py` tell
failing calls from passing ones, `_seek.py` compares the target with known defects on what it failed on, which
`_replay.py` asks again and `_likeness.py` compares. `mutants/` are the broken losses that prove the suite.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossproof.conformance._cli import cli as cli
    from lossproof.conformance._request import Request as Request
    from lossproof.conformance._result import Result as Result
    from lossproof.conformance._runner import run as run
    from lossproof.conformance._summary import Summary as Summary
    from lossproof.conformance.targets import load_target as load_target

_MODULES = {
    "Request": "_request",
    "Result": "_result",
    "Summary": "_summary",
    "cli": "_cli",
    "load_target": "targets",
    "run": "_runner",
}

__all__ = ["Request", "Result", "Summary", "cli", "load_target", "run"]


def __getattr__(name: str) -> object:
    # Lazy, because pytest loads lossproof.conformance.plugin in every run where lossproof is installed.
    if name in _MODULES:
        return getattr(importlib.import_module(f"lossproof.conformance.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'lossproof.conformance' has no attribute {name!r}")
