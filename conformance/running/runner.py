"""Runs the units, under pytest in several processes or on a cluster, and gathers what came of them."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from lossproof.conformance.judging.result import INTERNAL, NOT_RUN, Result
from lossproof.conformance.running._recorder import DIED, Progress, Recorder
from lossproof.conformance.running.request import Request
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite.registry import Unit

# So many processes may die before the rest of the units is given up.
DEATHS = 5

_PLUGINS = ("xdist", "_hypothesis_pytestplugin", "lossproof.conformance.plugin")


def run(
    request: Request,
    progress: Progress,
    finished: Mapping[str, Result] | None = None,
    stop: Callable[[Result], bool] = lambda _: False,
) -> list[Result]:
    """Runs the units and returns their results in the units' own order.

    Args:
      request: what to run.
      progress: called with each result as it comes.
      finished: results of an earlier, interrupted run of the same request, by unit; these units are not run again.
      stop: whether a result ends the run.

    Returns:
      One result per unit. A unit that was left out, because the target's process died too often or a result ended the
      run, is "not run"; another one that gave none counts as internal.

    Raises:
      SelectionError: nothing fits `only`.
      KeyboardInterrupt: the user stopped the run.
    """
    units = selected_units(request.only, request.level, request.dtypes)
    done = dict(finished or {})
    left = [unit for unit in units if unit.id not in done]
    with tempfile.TemporaryDirectory(prefix="lossproof-") as folder:
        clauses = {unit.id: unit.check.clauses for unit in units}
        recorder = Recorder(progress, stop, clauses, Path(folder), stopped=any(map(stop, done.values())))
        if left and not recorder.stopped:
            with _quiet_environment():
                pytest.main(_command(request, left, recorder.notes), plugins=[recorder])
    if recorder.interrupted:
        raise KeyboardInterrupt
    done |= recorder.results
    return [done.get(unit.id) or _never_run(unit, recorder) for unit in units]


def _never_run(unit: Unit, recorder: Recorder) -> Result:
    if recorder.deaths > DEATHS:
        why = f"it was not run, because {DIED} in {recorder.deaths} other units"
    elif recorder.stopped:
        why = "it was not run, because another unit failed before (--fail-fast)"
    else:
        return Result(unit.id, unit.check.clauses, INTERNAL, f"it was never run\n{recorder.broken}".strip())
    return Result(unit.id, unit.check.clauses, NOT_RUN, why)


def _command(request: Request, units: Sequence[Unit], notes: Path) -> list[str]:
    tests = Path(__file__).parents[1] / "test_conformance.py"
    options = ["-c", os.devnull, "--rootdir", str(tests.parent), "--noconftest", "--import-mode=importlib"]
    options += [word for plugin in _PLUGINS for word in ("-p", plugin)]
    options += ["-p", "no:terminal", "-p", "no:cacheprovider", "-W", "ignore"]
    # pytest's own way to capture output does not survive a target that closes it.
    options += ["--capture=no", "-p", "no:faulthandler"]
    # Processes of their own also for one: a target may kill its process.
    options += ["-n", str(request.workers), "--dist", "worksteal", "--max-worker-restart", str(DEATHS)]
    options += [f"--lossproof-only={unit.id}" for unit in units]
    options += ["--lossproof-quick-first"] if request.fail_fast else []
    settings = {
        "target": request.target,
        "level": request.level,
        "seed": request.seed,
        "convention": request.convention,
        "profile": request.profile,
        "timeout": request.seconds,
        "memory": request.memory,
        "notes": notes,
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
