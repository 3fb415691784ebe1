"""Recomputation finds what no hash can."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossproof import golden

FILE = "start_values.json"


def test_shipped_set_verifies(shipped: list[golden.Case]) -> None:
    """Fails when a shipped answer is not the reference's, or a shipped file is not in canonical form."""
    seen: list[tuple[int, int, str]] = []
    result = golden.verify(progress=lambda *step: seen.append(step), workers=2)
    assert result == golden.Verification(len(shipped), ())
    assert seen == [(i + 1, len(shipped), case.id) for i, case in enumerate(shipped)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("answers", "loss", "decimal", 0), "2.407605964444380304482919904545070451474e+0"),
        (("answers", "log_z", "rounded", "float32", 0), "0x1.b42c7p+1"),
        (("gradients", "logits", "decimal", 1), "2.447284710547976524729596183407627971994e-1"),
        (("gradients", "logits", "rounded", "bfloat16", 2), "0x1.56p-1"),
    ],
)
def test_wrong_answer_is_found_though_its_hashes_are_right(
    vectors: Path, change: Callable[..., None], path: tuple[Any, ...], value: str
) -> None:
    """Fails when a wrong answer that is sealed with right hashes is taken for true."""

    def edit(document: Any) -> None:
        place = document["cases"][0]
        for step in path[:-1]:
            place = place[step]
        assert place[path[-1]] != value
        place[path[-1]] = value

    change(FILE, edit)
    (difference,) = golden.verify(directory=vectors).differences
    assert (difference.file, difference.case) == (FILE, golden.load(directory=vectors)[difference_index(vectors)].id)
    assert value in difference.problem
    assert path[1] in difference.problem


def difference_index(vectors: Path) -> int:
    return [case.topic for case in golden.load(directory=vectors)].index("start_values")


def test_missing_answer_is_found(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when a gradient can be left out and nobody notices."""
    change(FILE, lambda document: document["cases"][0]["gradients"].clear())
    (difference,) = golden.verify(directory=vectors).differences
    assert "gradients: expected logits, got" in difference.problem


def test_other_formatting_is_found(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when files may drift from the canonical text, so that regenerating them changes lines nobody touched."""
    change(FILE, lambda _: None)
    (difference,) = golden.verify(directory=vectors).differences
    assert (difference.file, difference.case) == (FILE, "")
    assert "canonical" in difference.problem


def test_only_what_is_asked_for_is_recomputed(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when --only checks more than it says, or less."""
    change(FILE, lambda document: document["cases"][0]["gradients"].clear())
    first, second = (case.id for case in golden.load(["start_values"], directory=vectors)[:2])
    other = golden.verify([second, "excluded_tokens"], directory=vectors)
    assert other.cases == 1 + len(golden.load(["excluded_tokens"], directory=vectors))
    assert [found.case for found in other.differences] == [""]
    assert [found.case for found in golden.verify([first], directory=vectors).differences] == [first]
    assert golden.verify(["start_values"], directory=vectors).cases == len(
        golden.load(["start_values"], directory=vectors)
    )
    with pytest.raises(golden.SelectionError, match="'0123'"):
        golden.verify(["0123"], directory=vectors)


def test_inputs_that_the_function_refuses_are_named(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when a case that cannot be computed ends in a traceback that does not say which case it is."""
    from lossproof.golden._identity import content_id

    def edit(document: Any) -> None:
        case = document["cases"][0]
        case["inputs"]["targets"] = {"dtype": "int32", "shape": [2], "data": [0, 0]}
        case["id"] = content_id(case["function"], case["inputs"], case["cotangents"])

    change(FILE, edit)
    identity = json.loads((vectors / FILE).read_text(encoding="ascii"))["cases"][0]["id"]
    with pytest.raises(
        golden.GoldenError, match=f"{FILE}: case {identity}: expected inputs that token_cross_entropy takes"
    ):
        golden.verify(directory=vectors)
