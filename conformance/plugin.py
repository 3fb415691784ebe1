"""The pytest plug-in: options, and the units as tests (`pytest --pyargs lossproof.conformance --lossproof-target
NAME`).

Loaded in every pytest run where lossproof is installed, so it imports nothing heavy by itself, and adds one option
alone; the others are there where an argument has the word lossproof.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

_GROUP, _TITLE = "lossproof", "conformance of a loss (lossproof)"
_TARGET: dict[str, Any] = {
    "default": "lossproof",
    "metavar": "NAME",
    "help": "the loss under test (default: lossproof); further options: --lossproof-target lossproof --help",
}
_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "level",
        {"default": "standard", "metavar": "LEVEL", "help": "smoke, standard or exhaustive (default: standard)"},
    ),
    ("seed", {"default": 0, "type": int, "metavar": "N", "help": "seed of the search (default: 0)"}),
    (
        "only",
        {
            "default": [],
            "action": "append",
            "metavar": "WHAT",
            "help": "a unit, check, group or clause; may be repeated",
        },
    ),
    (
        "convention",
        {
            "default": "",
            "metavar": "WORDS",
            "help": "what the target computes: others or uniform, entropy or no-entropy",
        },
    ),
    ("profile", {"default": "jax-cpu", "metavar": "NAME", "help": "of the platform it runs on (default: jax-cpu)"}),
    ("expect", {"default": "", "metavar": "FILE", "help": "failures that are expected, and why (TOML)"}),
    (
        "timeout",
        {"default": 0.0, "type": float, "metavar": "SECONDS", "help": "kill the process if a unit takes longer"},
    ),
    (
        "memory",
        {"default": 0.0, "type": float, "metavar": "GIB", "help": "kill the process if a unit makes it larger"},
    ),
    (
        "dtypes",
        {"default": "", "metavar": "TYPES", "help": "the types of logits, such as float32,bfloat16 (default: all)"},
    ),
    ("quick-first", {"action": "store_true", "help": "begin with the units of level smoke"}),
    (
        "notes",
        {
            "default": "",
            "metavar": "FOLDER",
            "help": "where to write the last call, and why a process was killed; a file `stop` there ends the run",
        },
    ),
)


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Adds the option that opens the others."""
    parser.getgroup(_GROUP, _TITLE).addoption("--lossproof-target", **_TARGET)


def pytest_load_initial_conftests(parser: "pytest.Parser", args: list[str]) -> None:
    """Adds the other options of a conformance run, before the arguments are read for good."""
    if any("lossproof" in argument for argument in args):
        group = parser.getgroup(_GROUP, _TITLE)
        for name, settings in _OPTIONS:
            group.addoption(f"--lossproof-{name}", **settings)
