"""The command line: exit statuses, one line for each result, no traceback for a user's mistake."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lossproof import golden

FILE = "start_values.json"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(golden.cli, [str(argument) for argument in arguments])


def count(vectors: Path, topic: str) -> int:
    return len(golden.load([topic], directory=vectors))


def test_verify_reports_and_exits(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when a script cannot tell right, wrong and broken sets apart by the exit status."""
    right = run("verify", "--directory", vectors)
    assert (right.exit_code, right.output) == (
        0,
        f"{len(golden.load(directory=vectors))} cases recomputed, 0 differences\n",
    )
    change(FILE, lambda document: document["cases"][0]["gradients"].clear())
    wrong = run("verify", "--directory", vectors, "--only", "start_values")
    assert wrong.exit_code == 1
    assert wrong.output.splitlines()[0].startswith(f"differs: {FILE}: case ")
    assert wrong.output.splitlines()[1] == f"{count(vectors, 'start_values')} cases recomputed, 1 differences"
    (vectors / FILE).write_bytes(b"{")
    broken = run("verify", "--directory", vectors)
    assert broken.exit_code == 3
    assert broken.output.startswith(f"broken: {FILE}: expected SHA-256")


def test_regenerate_reports_and_exits(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when --check writes, or does not say by its exit status that something would change."""
    change(FILE, lambda document: document["cases"][0]["gradients"].clear())
    checked = run("regenerate", "--check", "--directory", vectors)
    assert (checked.exit_code, checked.output) == (1, f"differs: {FILE}\ndiffers: manifest.json\n")
    written = run("regenerate", "--only", "start_values", "-n", "2", "--directory", vectors)
    assert (written.exit_code, written.output) == (0, f"written: {FILE}\nwritten: manifest.json\n")
    assert run("regenerate", "--check", "--directory", vectors).exit_code == 0


def test_show_prints_the_case_as_json(vectors: Path) -> None:
    """Fails when a script cannot get a case by its id or the beginning of it."""
    case = golden.load(directory=vectors)[5]
    for name in (case.id, case.id[:8]):
        shown = run("show", name, "--json", "--directory", vectors)
        assert shown.exit_code == 0
        assert json.loads(shown.output) == {"topic": case.topic, **case.to_json()}


def test_import_model(vectors: Path, export: Path) -> None:
    """Fails when the documented command does not import an export."""
    result = run("import-model", export, "--directory", vectors)
    assert (result.exit_code, result.output) == (0, "written: language_model.json\nwritten: manifest.json\n")
    export.write_bytes(b"[")
    broken = run("import-model", export, "--directory", vectors)
    assert broken.exit_code == 3
    assert broken.output.startswith("broken: export.json: expected JSON")


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "--only", "nothing"),
        ("regenerate", "--only", "nothing"),
        ("regenerate", "-n", "0"),
        ("verify", "--directory", "/nowhere"),
        ("import-model", "/nowhere.json"),
        ("show", "zz"),
        ("show", ""),
        ("nothing",),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    """Fails when a mistyped name ends in a traceback or passes for success."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Error: " in result.output


def test_file_that_cannot_be_written_exits_with_3(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when an error of the file system ends in a traceback."""
    change(FILE, lambda document: document["cases"][0]["gradients"].clear())
    (vectors / f"{FILE}.next").mkdir()
    result = run("regenerate", "--directory", vectors)
    assert result.exit_code == 3
    assert result.output.startswith("broken: ")


def test_results_are_on_stdout_and_errors_on_stderr(vectors: Path) -> None:
    """Fails when piping the result mixes it with other text."""
    code = "from lossproof.golden import cli; cli()"
    command = [sys.executable, "-c", code, "verify", "--only", "excluded_tokens", "--directory", str(vectors)]
    good = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (good.stdout, good.stderr) == (f"{count(vectors, 'excluded_tokens')} cases recomputed, 0 differences\n", "")
    (vectors / FILE).unlink()
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (3, "")
    assert bad.stderr.startswith(f"broken: {FILE}")
    assert bad.stderr.count("\n") == 1
