"""Runs the units under pytest, in one process or several, and gathers what came of them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lossproof.conformance._result import INTERNAL, Result
from lossproof.conformance._selection import selected_units

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
    """

    target: str
    level: str
    seed: int
    only: tuple[str, ...]
    workers: int
    convention: str


@dataclass
class Recorder:
    """A pytest plug-in that keeps each unit's result."""

    progress: Callable[[Result], None]
    results: dict[str, Result] = field(default_factory=dict)
    interrupted: bool = False

    def pytest_keyboard_interrupt(self) -> None:
        """Notes that the user stopped the run; pytest goes on to end in good order."""
        self.interrupted = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the result; a unit that died without one counts as internal."""
        properties: dict[str, Any] = dict(report.user_properties)
        if report.when == "call" and "lossproof" in properties:
            result = Result.from_json(properties["lossproof"])
        elif report.failed:
            name = report.nodeid.partition("[")[2].removesuffix("]")
            result = Result(name, (), INTERNAL, f"no result came back: {report.longreprtext.strip()}")
        else:
            return
        if result.unit not in self.results:
            self.results[result.unit] = result
            self.progress(result)


def run(request: Request, progress: Callable[[Result], None]) -> list[Result]:
    """Runs the units and returns their results in the units' own order.

    Args:
      request: what to run.
      progress: called with each result as it comes.

    Returns:
      One result per unit; a unit that gave none counts as internal.

    Raises:
      SelectionError: nothing fits `only`.
      KeyboardInterrupt: the user stopped the run.
    """
    recorder = Recorder(progress)
    units = selected_units(request.only)
    with _quiet_environment():
        pytest.main(_command(request), plugins=[recorder])
    if recorder.interrupted:
        raise KeyboardInterrupt
    return [
        recorder.results.get(unit.id) or Result(unit.id, unit.check.clauses, INTERNAL, "it was never run")
        for unit in units
    ]


def _command(request: Request) -> list[str]:
    tests = Path(__file__).with_name("test_conformance.py")
    options = ["-c", os.devnull, "--rootdir", str(tests.parent), "--noconftest", "--import-mode=importlib"]
    options += [word for plugin in _PLUGINS for word in ("-p", plugin)]
    options += ["-p", "no:terminal", "-p", "no:cacheprovider", "-W", "ignore"]
    options += ["-n", str(request.workers), "--dist", "worksteal"]  # also for one: a target may kill its process
    options += [f"--lossproof-only={name}" for name in request.only]
    options += [f"--lossproof-target={request.target}", f"--lossproof-level={request.level}"]
    options += [f"--lossproof-seed={request.seed}", f"--lossproof-convention={request.convention}"]
    return [str(tests), *options]


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
