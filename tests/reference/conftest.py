"""Options of the reference's own tests: how many cases, and what to report."""

import pytest

from lossproof.reference import _problem

from ._differences import LARGEST

NOTES = pytest.StashKey[list[str]]()


def pytest_addoption(parser):
    group = parser.getgroup("lossproof reference")
    group.addoption("--reference-cases", type=int, default=3000, help="tokens to compare with Arb (default: 3000)")
    group.addoption("--exhaustive", action="store_true", help="every gap of 16 bits instead of every 17th")
    group.addoption("--reference-report", action="store_true", help="print what was compared, and how it agrees")


# The options are not there when pytest was started above this folder.
def _option(config, name, default):
    return config.getoption(name, default=default)


@pytest.fixture(scope="session")
def reference_cases(request):
    """How many tokens to compare with Arb."""
    return _option(request.config, "reference_cases", 3000)


@pytest.fixture(scope="session")
def gap_step(request):
    """Every how-manieth bit pattern to try: 17 is odd, so that every exponent and every last bit come up."""
    return 1 if _option(request.config, "exhaustive", default=False) else 17


@pytest.fixture(autouse=True)
def nothing_remembered():
    """No test has answers that another computed."""
    _problem._known.clear()


@pytest.fixture
def note(request):
    """Adds a line to the report."""
    return request.config.stash.setdefault(NOTES, []).append


def pytest_terminal_summary(terminalreporter, config):
    if not _option(config, "reference_report", default=False):
        return
    terminalreporter.section("compared")
    for line in config.stash.get(NOTES, []):
        terminalreporter.write_line(line)
    terminalreporter.section("closed-form derivatives against numerical differentiation")
    for name, (entries, disagreement) in sorted(LARGEST.items()):
        terminalreporter.write_line(f"{name:<58}{entries:>6} entries, relative disagreement up to {disagreement:.1e}")
