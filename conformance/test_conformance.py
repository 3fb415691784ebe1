"""One test per unit: what `lossproof check` runs, and what a project's own pytest can run."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossproof.conformance.command.expectations.expectations import (
    ExpectationError,
    Expectations,
    apply,
    load_expectations,
)
from lossproof.conformance.judging.result import EXPECTED_FAIL, FAIL, NOT_APPLICABLE, PASS, UNSUPPORTED
from lossproof.conformance.running.guard import REASONS, STOP, Guard
from lossproof.conformance.running.noise import Noise
from lossproof.conformance.running.selection import SelectionError, parse_dtypes, selected_units
from lossproof.conformance.suite.asking.calls import Calls
from lossproof.conformance.suite.registry import Unit
from lossproof.conformance.suite.units import collect_rarely, run_unit
from lossproof.conformance.targets import Target, TargetError, load_target, parse_convention
from lossproof.reference.bounds import Profile, profile as profile_named


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrises `test_unit` by the selected units."""
    if "unit" in metafunc.fixturenames:
        option = metafunc.config.getoption
        try:
            dtypes = parse_dtypes(option("lossproof_dtypes"))
            units = selected_units(option("lossproof_only"), option("lossproof_level"), dtypes)
        except SelectionError as error:
            raise pytest.UsageError(str(error)) from None
        quick_first = option("lossproof_quick_first")
        # Units of one function and type stay in one process, as they share compiled programs.
        units = sorted(units, key=lambda unit: (quick_first and not unit.is_quick, unit.function, unit.dtype))
        metafunc.parametrize("unit", units, ids=[unit.id for unit in units])


@pytest.fixture(scope="session", autouse=True)
def noise(request: pytest.FixtureRequest) -> Noise | None:
    """Keeps what the target prints out of a run's way; None where pytest does."""
    notes = request.config.getoption("lossproof_notes")
    if not notes:
        return None
    collect_rarely()
    return Noise(Path(notes))


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The implementation under test."""
    try:
        convention = parse_convention(request.config.getoption("lossproof_convention"))
        return load_target(request.config.getoption("lossproof_target"), convention)
    except TargetError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> Profile:
    """The platform that the target runs on."""
    try:
        return profile_named(request.config.getoption("lossproof_profile"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def expectations(request: pytest.FixtureRequest) -> Expectations | None:
    """The failures that are expected."""
    path = request.config.getoption("lossproof_expect")
    try:
        return load_expectations(Path(path)) if path else None
    except ExpectationError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def guard(request: pytest.FixtureRequest) -> Iterator[Guard | None]:
    """Kills this process when a unit hangs or takes too much memory; None where no limits are given."""
    option = request.config.getoption
    seconds, gibibytes = option("lossproof_timeout"), option("lossproof_memory")
    if not (seconds or gibibytes):
        yield None
        return
    unlimited = float("inf")
    notes = option("lossproof_notes")
    reasons = Path(notes, REASONS) if notes else Path(os.devnull)
    with contextlib.closing(Guard(seconds or unlimited, gibibytes or unlimited, reasons)) as started:
        yield started


@pytest.fixture(scope="session")
def calls(request: pytest.FixtureRequest) -> Calls:
    """What the target is asked, also for whoever is left when this process has died of it."""
    notes = request.config.getoption("lossproof_notes")
    return Calls(Path(notes) if notes else None)


@pytest.fixture
def _stopped(request: pytest.FixtureRequest, noise: Noise | None) -> None:
    """Leaves out what comes after the run was stopped."""
    if noise is not None:
        noise.contain()
    notes = request.config.getoption("lossproof_notes")
    if notes and Path(notes, STOP).exists():
        pytest.skip("the run was stopped")


@pytest.mark.usefixtures("_stopped")
def test_unit(
    unit: Unit,
    target: Target,
    profile: Profile,
    guard: Guard | None,
    calls: Calls,
    expectations: Expectations | None,
    request: pytest.FixtureRequest,
) -> None:
    """Fails if the target breaks a clause that the unit checks."""
    level, seed = request.config.getoption("lossproof_level"), request.config.getoption("lossproof_seed")
    calls.renew = guard.renew if guard else lambda: None
    with guard.watching(unit.id) if guard else contextlib.nullcontext():
        result = run_unit(unit, target, level, seed, profile, calls)
    # As text, because xdist's way between processes has no integers of 64 bits.
    request.node.user_properties.append(("lossproof", json.dumps(result.to_json())))
    if expectations:
        ((result,), *_) = apply(expectations, [result], partial=True)
    if result.verdict in (UNSUPPORTED, NOT_APPLICABLE):
        pytest.skip(result.message)
    if result.verdict == EXPECTED_FAIL:
        pytest.xfail(result.message)
    if result.verdict == FAIL:
        pytest.fail(f"{', '.join(result.clauses)}: {result.message}", pytrace=False)
    if result.verdict != PASS:
        pytest.fail(f"{result.verdict}: {result.message}", pytrace=False)
