"""Runs the units, under pytest in several processes or on a cluster, and gathers what came of them."""

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lossproof.conformance._guard import reasons_by_unit
from lossproof.conformance._result import ERROR, INTERNAL, Result
from lossproof.conformance._selection import selected_units
from lossproof.conformance._units import Unit

# Seconds that a unit may take; GiB that a process may hold.
TIMEOUTS = {"smoke": 60.0, "standard": 120.0, "exhaustive": 3600.0}
MEMORY = 8.0

# So many processes may die before the rest of the units is given up.
DEATHS = 5

# Before the command of a target that is a program.
PROGRAM = "exec:"

DIED = "the target's process died"

_PLUGINS = ("xdist", "_hypothesis_pytestplugin", "lossproof.conformance.plugin")


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
      target: its name.
      level: "smoke", "standard" or "exhaustive".
      seed: of the search.
      only: names of units, checks, groups or clauses; all of none.
      workers: processes.
      convention: words for `parse_convention`.
      profile: the platform that the target runs on.
      timeout: seconds that a unit may take; by the level if None.
      memory: GiB that a process may hold.
    """

    target: str
    level: str = "standard"
    seed: int = 0
    only: tuple[str, ...] = ()
    workers: int = 1
    convention: str = ""
    profile: str = "jax-cpu"
    timeout: float | None = None
    memory: float = MEMORY

    @property
    def seconds(self) -> float:
        """What a unit may take."""
        return TIMEOUTS[self.level] if self.timeout is None else self.timeout

    def command(self, *, only: tuple[str, ...] | None = None) -> str:
        """The line that repeats the run, or with `only` a part of it."""
        program = self.target.removeprefix(PROGRAM)
        words = ["lossproof", "check", *(["--exec", program] if program != self.target else [self.target])]
        words += ["--level", self.level, "--seed", str(self.seed)]
        words += [word for name in (self.only if only is None else only) for word in ("--only", name)]
        defaults = Request(self.target)
        for name in ("convention", "profile", "timeout", "memory"):
            if getattr(self, name) != getattr(defaults, name):
                words += [f"--{name}", f"{getattr(self, name)}"]
        return shlex.join(words)


Progress = Callable[[Result], None]


@dataclass
class Recorder:
    """A pytest plug-in that keeps each unit's result."""

    progress: Progress
    clauses: Mapping[str, tuple[str, ...]]
    reasons: Path
    results: dict[str, Result] = field(default_factory=dict)
    deaths: int = 0
    broken: str = ""
    interrupted: bool = False

    def pytest_keyboard_interrupt(self) -> None:
        """Notes that the user stopped the run; pytest goes on to end in good order."""
        self.interrupted = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes why the units could not even be listed."""
        if report.failed:
            self.broken = report.longreprtext.strip()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the result; a unit that killed its process has an error, one without a result counts as internal."""
        properties: dict[str, Any] = dict(report.user_properties)
        name = report.nodeid.partition("[")[2].removesuffix("]")
        clauses = self.clauses.get(name, ())
        if report.when == "call" and "lossproof" in properties:
            result = Result.from_json(properties["lossproof"])
        elif report.failed and report.when not in {"setup", "call", "teardown"}:  # xdist's report of a lost worker
            self.deaths += 1
            reason = reasons_by_unit(self.reasons).get(name, DIED)
            result = Result(name, clauses, ERROR, reason, clauses)
        elif report.failed:
            result = Result(name, clauses, INTERNAL, f"no result came back: {report.longreprtext.strip()}")
        else:
            return
        if result.unit not in self.results:
            self.results[result.unit] = result
            self.progress(result)


def run(request: Request, progress: Progress, finished: Mapping[str, Result] | None = None) -> list[Result]:
    """Runs the units and returns their results in the units' own order.

    Args:
      request: what to run.
      progress: called with each result as it comes.
      finished: results of an earlier, interrupted run of the same request, by unit; these units are not run again.

    Returns:
      One result per unit; a unit that gave none counts as internal.

    Raises:
      SelectionError: nothing fits `only`.
      KeyboardInterrupt: the user stopped the run.
    """
    units = selected_units(request.only, request.level)
    done = dict(finished or {})
    left = [unit for unit in units if unit.id not in done]
    with tempfile.TemporaryDirectory(prefix="lossproof-") as folder:
        recorder = Recorder(progress, {unit.id: unit.check.clauses for unit in units}, Path(folder, "reasons"))
        if left:
            with _quiet_environment():
                pytest.main(_command(request, left, recorder.reasons), plugins=[recorder])
    if recorder.interrupted:
        raise KeyboardInterrupt
    done |= recorder.results
    return [done.get(unit.id) or _never_run(unit, recorder) for unit in units]


def _never_run(unit: Unit, recorder: Recorder) -> Result:
    if recorder.deaths > DEATHS:
        message = f"it was not run, because {DIED} in {recorder.deaths} other units"
        return Result(unit.id, unit.check.clauses, ERROR, message, unit.check.clauses)
    return Result(unit.id, unit.check.clauses, INTERNAL, f"it was never run\n{recorder.broken}".strip())


def _command(request: Request, units: Sequence[Unit], reasons: Path) -> list[str]:
    tests = Path(__file__).with_name("test_conformance.py")
    options = ["-c", os.devnull, "--rootdir", str(tests.parent), "--noconftest", "--import-mode=importlib"]
    options += [word for plugin in _PLUGINS for word in ("-p", plugin)]
    options += ["-p", "no:terminal", "-p", "no:cacheprovider", "-W", "ignore"]
    # Processes of their own also for one: a target may kill its process.
    options += ["-n", str(request.workers), "--dist", "worksteal", "--max-worker-restart", str(DEATHS)]
    options += [f"--lossproof-only={unit.id}" for unit in units]
    settings = {
        "target": request.target,
        "level": request.level,
        "seed": request.seed,
        "convention": request.convention,
        "profile": request.profile,
        "timeout": request.seconds,
        "memory": request.memory,
        "reasons": reasons,
    }
    return [str(tests), *options, *(f"--lossproof-{name}={value}" for name, value in settings.items())]


@contextmanager
def _quiet_environment() -> Iterator[None]:
    """The user's own pytest settings have no say in a conformance run."""
    settings = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    saved = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in saved.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
