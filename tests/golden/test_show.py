"""A case for people: everything that matters, in the width there is, and nothing but text in a pipe."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossproof import golden

PROGRAM = "from lossproof.golden import cli; cli()"


def shown(directory: Path, case: golden.Case, width: int) -> list[str]:
    """Returns what a pipe gets."""
    command = [sys.executable, "-c", PROGRAM, "show", case.id, "--directory", str(directory)]
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm-256color"}
    result = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert result.stderr == b""
    return [line.rstrip() for line in result.stdout.decode("ascii").splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_small_case_is_shown_whole(fresh: Path, width: int) -> None:
    """Fails when a number, a clause, a note or a flag's meaning is missing, cut, or coloured in a pipe."""
    case = next(one for one in golden.load(["start_values"], directory=fresh) if "narrow_logits" in one.flags)
    lines = shown(fresh, case, width)
    assert max(map(len, lines)) <= width
    assert "\x1b" not in "".join(lines)
    text = " ".join(" ".join(lines).split())
    assert lines[:2] == [f"start_values {case.id}", case.note]
    for part in (
        case.function,
        *case.clauses,
        case.provenance,
        "narrow_logits: bfloat16 or float16 logits: the values",
    ):
        assert part in text
    logits, loss, gradient = case.inputs["logits"], case.answers["loss"], case.gradients["logits"]
    for i, value in enumerate(logits.values):
        assert f"logits[0, {i}] {value} 0x" in text
    assert loss.rounded is not None and gradient.rounded is not None
    for name, answer in (("loss[0]", loss), ("logits[0, 0]", gradient)):
        (row,) = [line.split() for line in lines if line.startswith(f"{name} ") and len(line.split()[-2]) > 15]
        digits = row[-2].lstrip("-").replace(".", "").lstrip("0")
        assert len(digits) == 20
        assert abs(int(digits) - int(answer.decimal[0].lstrip("-").replace(".", "")[:20])) <= 1
        assert float.fromhex(row[-1]) == answer.rounded["float32"][0]


@pytest.mark.parametrize("width", [80, 120])
def test_long_arrays_are_cut_and_counted(fresh: Path, width: int) -> None:
    """Fails when a large case floods the screen, or hides how much is not shown."""
    case = golden.load(["drawn"], directory=fresh)[1]
    lines = shown(fresh, case, width)
    assert max(map(len, lines)) <= width
    assert len(lines) < 90
    text = " ".join(" ".join(lines).split())
    assert "float32 [2, 300], splitmix64 of seed 1: ((draw >> 0) + 0) * 2^-14, 2 patches" in text
    assert "... 588 more" in text
    assert "logits[0, 7]" in text and "logits[1, 299]" in text
    at = case.gradients["logits"].at
    assert at is not None
    assert f"{len(at)} of 600 are kept" in text


def test_every_case_can_be_shown(shipped: list[golden.Case]) -> None:
    """Fails when a kind of input or answer ends in a traceback."""
    from rich.console import Console

    from lossproof.golden._load import load_files
    from lossproof.golden._show import show

    notes = {flag: note for stored in load_files() for flag, note in stored.topic.flags.items()}
    console = Console(width=80, file=io.StringIO())
    for case in shipped:
        console.print(show(case, notes))
