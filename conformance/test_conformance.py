"""One test per unit: what `lossproof check` runs, and what a project's own pytest can run."""

import pytest

from lossproof.conformance._result import FAIL, NOT_APPLICABLE, PASS, UNSUPPORTED
from lossproof.conformance._selection import SelectionError, selected_units
from lossproof.conformance._units import Unit, run_unit
from lossproof.conformance.targets import Target, TargetError, load_target, parse_convention


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrises `test_unit` by the selected units."""
    if "unit" in metafunc.fixturenames:
        try:
            units = selected_units(metafunc.config.getoption("lossproof_only"))
        except SelectionError as error:
            raise pytest.UsageError(str(error)) from None
        metafunc.parametrize("unit", units, ids=[unit.id for unit in units])


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The implementation under test."""
    try:
        convention = parse_convention(request.config.getoption("lossproof_convention"))
        return load_target(request.config.getoption("lossproof_target"), convention)
    except TargetError as error:
        raise pytest.UsageError(str(error)) from None


def test_unit(unit: Unit, target: Target, request: pytest.FixtureRequest) -> None:
    """Fails if the target breaks a clause that the unit checks."""
    level, seed = request.config.getoption("lossproof_level"), request.config.getoption("lossproof_seed")
    result = run_unit(unit, target, level, seed)
    request.node.user_properties.append(("lossproof", result.to_json()))
    if result.verdict in (UNSUPPORTED, NOT_APPLICABLE):
        pytest.skip(result.message)
    if result.verdict == FAIL:
        pytest.fail(f"{', '.join(result.clauses)}: {result.message}", pytrace=False)
    if result.verdict != PASS:
        pytest.fail(f"{result.verdict}: {result.message}", pytrace=False)
