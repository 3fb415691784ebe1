"""What a conformance search found becomes a vector."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lossproof import golden

FILE = "found_cases.json"


def call(logit: float = 1.0) -> dict[str, Any]:
    logits = golden.Array("float32", (1, 3), (logit, 2.0, 3.0)).to_json()
    targets = golden.Array("int32", (1,), (0,)).to_json()
    ones = golden.Array("float32", (1,), (1.0,)).to_json()
    inputs = {"logits": logits, "targets": targets, "z_loss": golden.Scalar("float64", 0.125).to_json()}
    return {"function": "token_cross_entropy", "inputs": inputs, "cotangents": {"loss": ones}}


def worst(called: dict[str, Any]) -> dict[str, Any]:
    return {"unit": "u", "clauses": ["ACC-1"], "quantity": "values", "utilisation": None, "call": called}


def result(path: Path, *calls: dict[str, Any]) -> Path:
    settings = {"level": "standard", "seed": 7}
    target = {"name": "theirs", "packages": {"theirs": "1.2"}}
    document = {"worst": [worst(each) for each in calls], "settings": settings, "target": target}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def ids(directory: Path) -> list[str]:
    return [case.id for case in golden.load(["found_cases"], directory=directory)]


def test_a_found_case_becomes_a_vector_with_exact_answers(vectors: Path, tmp_path: Path) -> None:
    """Fails when a found input is lost or changed on the way, or its answer is not the reference's."""
    found = result(tmp_path / "result.json", call(), {})
    assert golden.promote(found, directory=vectors) == [FILE, "manifest.json"]
    (case,) = golden.load(["found_cases"], directory=vectors)
    assert case.inputs["logits"].tolist() == [[1.0, 2.0, 3.0]]
    assert (case.clauses, case.flags) == (("ACC-1",), ("worst_case",))
    assert case.note == "theirs: a wrong special value by values"
    assert case.provenance == "found by u at level standard, seed 7, with theirs 1.2"
    assert "logits" in case.gradients
    assert golden.verify(directory=vectors).differences == ()


def test_promotions_add_up_and_their_order_does_not_matter(vectors: Path, tmp_path: Path, export: Path) -> None:
    """Fails when a promotion replaces an earlier one or another topic, or the file depends on which came first."""
    golden.import_model(export, directory=vectors)
    first, second = (result(tmp_path / f"{x}.json", call(x)) for x in (4.0, 5.0))
    written = []
    for order in ((first, second), (second, first)):
        directory = tmp_path / order[0].stem
        shutil.copytree(vectors, directory)
        for file in order:
            assert golden.promote(file, directory=directory) == [FILE, "manifest.json"]
        assert golden.promote(first, directory=directory) == []
        assert len(ids(directory)) == 2
        assert golden.load(["language_model"], directory=directory)
        written.append((directory / FILE).read_bytes())
    assert written[0] == written[1]


def test_what_is_a_vector_already_is_not_added(vectors: Path, tmp_path: Path) -> None:
    """Fails when one case is in two topics."""
    known = golden.load(["start_values"], directory=vectors)[0]
    question = {"function": known.function, "inputs": known.to_json()["inputs"]}
    again = question | {"cotangents": known.to_json()["cotangents"]}
    assert golden.promote(result(tmp_path / "result.json", again), directory=vectors) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{}", "expected the result.json"), ("no", "expected the result.json"), ('{"worst": []}', "none of its worst")],
)
def test_what_is_no_result_is_refused(vectors: Path, tmp_path: Path, content: str, problem: str) -> None:
    """Fails when a wrong file gives a stack trace, or an empty topic."""
    path = tmp_path / "result.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(golden.GoldenError, match=problem):
        golden.promote(path, directory=vectors)


def test_the_command(vectors: Path, tmp_path: Path) -> None:
    """Fails when the command does not say what it wrote."""
    words = ["promote", str(result(tmp_path / "result.json", call())), "--directory", str(vectors)]
    answer = CliRunner().invoke(golden.cli, words)
    assert answer.exit_code == 0 and "written: found_cases.json" in answer.output
