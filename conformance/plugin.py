"""The pytest plug-in: options, and the units as tests (`pytest --pyargs lossproof.conformance --lossproof-target
NAME`).

Loaded in every pytest run where lossproof is installed, so it imports nothing heavy by itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Adds the options of a conformance run."""
    group = parser.getgroup("lossproof", "conformance of a loss (lossproof)")
    group.addoption(
        "--lossproof-target", default="lossproof", metavar="NAME", help="the loss under test (default: lossproof)"
    )
    group.addoption(
        "--lossproof-level",
        default="standard",
        metavar="LEVEL",
        help="smoke, standard or exhaustive (default: standard)",
    )
    group.addoption("--lossproof-seed", default=0, type=int, metavar="N", help="seed of the search (default: 0)")
    group.addoption(
        "--lossproof-only",
        default=[],
        action="append",
        metavar="WHAT",
        help="a unit, check, group or clause; may be repeated",
    )
    group.addoption(
        "--lossproof-convention",
        default="",
        metavar="WORDS",
        help="what the target computes: others or uniform, entropy or no-entropy",
    )
