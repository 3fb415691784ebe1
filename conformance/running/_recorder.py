"""Gathers the results of a run while its processes work, and tells what became of those that died."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lossproof.conformance.judging.result import ERROR, INTERNAL, Result
from lossproof.conformance.running.guard import REASONS, STOP, reasons_by_unit
from lossproof.conformance.running.noise import last_words
from lossproof.conformance.suite.asking.calls import last_call

_SECONDS = 5.0  # that a process has to end after its connection has

DIED = "the target's process died"

Progress = Callable[[Result], None]


@dataclass
class Recorder:
    """A pytest plug-in that keeps each unit's result.

    Attributes:
      progress: called with each.
      stop: whether a result ends the run.
      clauses: of the units, by their ids.
      notes: the folder of what processes leave for others.
      results: by unit.
      deaths: how many processes died.
      broken: why the units could not even be listed.
      interrupted: whether the user stopped the run.
      stopped: whether a result did.
    """

    progress: Progress
    stop: Callable[[Result], bool]
    clauses: Mapping[str, tuple[str, ...]]
    notes: Path
    results: dict[str, Result] = field(default_factory=dict)
    deaths: int = 0
    broken: str = ""
    interrupted: bool = False
    stopped: bool = False
    _ends: dict[str, str] = field(default_factory=dict)

    def pytest_keyboard_interrupt(self) -> None:
        """Notes that the user stopped the run; pytest goes on to end in good order."""
        self.interrupted = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes why the units could not even be listed."""
        if report.failed:
            self.broken = report.longreprtext.strip()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Notes how a process ended that should not have; xdist says this before it says in which unit."""
        if error is not None:
            self._ends[node.gateway.id] = _ended(node, self.notes)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the result; a unit that killed its process has an error, one without a result counts as internal."""
        properties: dict[str, Any] = dict(report.user_properties)
        name = report.nodeid.partition("[")[2].removesuffix("]")
        if report.when == "call" and "lossproof" in properties:
            result = Result.from_json(json.loads(properties["lossproof"]))
        elif report.failed and report.when not in {"setup", "call", "teardown"}:  # xdist's report of a lost worker
            result = self._death(name, report)
        elif report.failed:
            clauses = self.clauses.get(name, ())
            result = Result(name, clauses, INTERNAL, f"no result came back: {report.longreprtext.strip()}")
        else:
            return
        if result.unit not in self.results:
            self.results[result.unit] = result
            self.progress(result)
            if self.stop(result):
                self.stopped = True
                Path(self.notes, STOP).touch()

    def _death(self, unit: str, report: pytest.TestReport) -> Result:
        self.deaths += 1
        ended = self._ends.get(getattr(report, "node").gateway.id, "")  # noqa: B009  xdist's own attribute
        reason = reasons_by_unit(self.notes / REASONS).get(unit, f"{DIED}{ended}")
        call, in_call = last_call(self.notes, unit)
        if call is not None:
            reason += f"; {call.case.describe()}" if in_call else ", but not in a call"
        clauses = self.clauses.get(unit, ())
        calls = (call.to_json(),) if call is not None and in_call else ()
        return Result(unit, clauses, ERROR, reason, clauses, calls=calls)


def _ended(node: Any, notes: Path) -> str:
    """How xdist's worker ended, as the end of a message; "" where its process cannot be had."""
    with contextlib.suppress(AttributeError, subprocess.TimeoutExpired):
        process = node.gateway._io.popen  # noqa: SLF001  execnet has no other way to it
        status: int = process.wait(_SECONDS)
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        said = last_words(notes, process.pid)
        return f": {how}" + (f", and its last line on stderr is: {said}" if said else "")
    return ""
