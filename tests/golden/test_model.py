"""Logits of a trained model, brought in from outside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossproof import golden

FILE = "language_model.json"


def test_export_becomes_a_topic_that_is_its_own_source(vectors: Path, export: Path) -> None:
    """Fails when imported logits are lost, or changed, by the next regeneration."""
    assert golden.import_model(export, directory=vectors) == [FILE, "manifest.json"]
    cases = golden.load(["language_model"], directory=vectors)
    assert [(case.inputs["logits"].dtype, min(case.inputs)) for case in cases] == [
        ("float32", "logits"),
        ("float32", "label_smoothing"),
        ("bfloat16", "logits"),
        ("bfloat16", "label_smoothing"),
    ]
    assert cases[0].inputs["logits"].tolist() == [[1.0, -3.0, 0.0], [0.125, 0.0625, -0.03125]]
    assert all("VALUE-10" in case.clauses and "logits" in case.gradients for case in cases)
    export.unlink()
    assert golden.verify(directory=vectors).differences == ()
    assert golden.regenerate(directory=vectors) == []
    assert golden.regenerate(["language_model"], directory=vectors) == []


def test_importing_again_replaces_only_the_topic(vectors: Path, export: Path) -> None:
    """Fails when a new model's logits add to the old ones, or touch other topics."""
    before = [case.id for case in golden.load(directory=vectors)]
    golden.import_model(export, directory=vectors)
    assert golden.import_model(export, directory=vectors) == []
    document = json.loads(export.read_text(encoding="utf-8"))
    document["cases"].pop()
    export.write_text(json.dumps(document), encoding="utf-8")
    assert golden.import_model(export, directory=vectors) == [FILE, "manifest.json"]
    after = golden.load(directory=vectors)
    assert len([case for case in after if case.topic == "language_model"]) == 2
    assert [case.id for case in after if case.topic != "language_model"] == before


def test_wrong_answers_of_the_model_are_repaired_from_its_inputs(
    vectors: Path, export: Path, change: Callable[..., None]
) -> None:
    """Fails when the stored answers, and not only the stored inputs, are believed."""
    golden.import_model(export, directory=vectors)
    right = (vectors / FILE).read_bytes()
    change(FILE, lambda document: document["cases"][1]["gradients"].clear())
    assert golden.regenerate(directory=vectors) == [FILE, "manifest.json"]
    assert (vectors / FILE).read_bytes() == right


def test_model_is_not_dropped_when_its_file_is_gone_or_damaged(vectors: Path, export: Path) -> None:
    """Fails when a set is quietly regenerated without the inputs that exist nowhere else."""
    golden.import_model(export, directory=vectors)
    (vectors / FILE).write_bytes(b"{}")
    with pytest.raises(golden.GoldenError, match=r"language_model\.json: expected SHA-256"):
        golden.regenerate(directory=vectors)
    (vectors / FILE).unlink()
    with pytest.raises(golden.GoldenError, match=r"language_model\.json: .*missing"):
        golden.regenerate(directory=vectors)


def test_model_survives_a_lost_manifest(vectors: Path, export: Path) -> None:
    """Fails when losing the manifest loses the model's logits with it."""
    golden.import_model(export, directory=vectors)
    before = {path.name: path.read_bytes() for path in vectors.iterdir()}
    (vectors / "manifest.json").unlink()
    assert golden.regenerate(directory=vectors) == ["manifest.json"]
    assert {path.name: path.read_bytes() for path in vectors.iterdir()} == before


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda case: case["logits"].pop(), r"case 1: an array of shape \[2, 3\] needs 6 elements, got 5"),
        (lambda case: case["targets"].pop(), "case 1: expected 2 targets, one for each row of logits, got 1"),
        (lambda case: case["logits"].__setitem__(0, "0x1.001p+0"), "case 1: .* is not a value of type bfloat16"),
        (lambda case: case["logits"].__setitem__(0, "1.5"), r"case number 1: .*logits\[0\].*1\.5"),
        (lambda case: case.update(weights=[]), "'weights' was unexpected"),
    ],
)
def test_wrong_export_is_refused(vectors: Path, export: Path, edit: Callable[[Any], object], match: str) -> None:
    """Fails when a damaged export becomes a golden case, or its error does not say where."""
    document = json.loads(export.read_text(encoding="utf-8"))
    edit(document["cases"][1])
    export.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(golden.GoldenError, match=match):
        golden.import_model(export, directory=vectors)
    assert not (vectors / FILE).exists()
