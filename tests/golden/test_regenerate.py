"""The same bytes every time, and only where something changed."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lossproof import golden
from lossproof.golden._functions import unanswered
from lossproof.golden._load import load_files
from lossproof.golden._topics import TOPICS


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.json*")}


def test_shipped_topics_are_those_that_are_defined() -> None:
    """Fails when a definition was changed, or a file edited, without regenerating (test_verify.py has the answers)."""
    stored = {file.topic.name: file.topic for file in load_files()}
    assert stored.keys() - {"language_model"} == TOPICS.keys()
    for name, topic in TOPICS.items():
        questions = [unanswered(case).to_json() for case in stored[name].questions]
        assert questions == [question.to_json() for question in topic.questions], name
        assert replace(stored[name], questions=()) == replace(topic, questions=()), name


def test_bytes_do_not_depend_on_the_number_of_workers(fresh: Path, tmp_path: Path) -> None:
    """Fails when parallel runs give another order or other text."""
    golden.regenerate(directory=tmp_path, workers=2)
    assert contents(tmp_path) == contents(fresh)


def test_second_run_touches_nothing(vectors: Path) -> None:
    """Fails when regenerating what is right rewrites it."""
    for path in vectors.iterdir():
        os.utime(path, ns=(1, 1))
    assert golden.regenerate(directory=vectors) == []
    assert {path.stat().st_mtime_ns for path in vectors.iterdir()} == {1}


def test_only_touches_only_its_file_and_the_manifest(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when regenerating one topic rewrites, or repairs, another."""
    for name in ("start_values.json", "excluded_tokens.json"):
        change(name, lambda document: document["cases"][0]["gradients"].clear())
    damaged = contents(vectors)
    case = golden.load(["start_values"], directory=vectors)[0]
    assert golden.regenerate([case.id], directory=vectors, check=True) == ["start_values.json", "manifest.json"]
    assert contents(vectors) == damaged
    assert golden.regenerate([case.id], directory=vectors) == ["start_values.json", "manifest.json"]
    changed = {name for name, content in contents(vectors).items() if content != damaged[name]}
    assert changed == {"start_values.json", "manifest.json"}
    assert [found.file for found in golden.verify(directory=vectors).differences] == ["excluded_tokens.json"]
    with pytest.raises(golden.SelectionError, match="'start'"):
        golden.regenerate(["start"], directory=vectors)


def test_changing_one_case_leaves_the_others_bytes_alone(vectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when an edited definition rewrites lines of cases that nobody touched, so that no diff can be read."""
    from lossproof.golden import _regenerate

    before = contents(vectors)
    topic = _regenerate.TOPICS["start_values"]
    edited = replace(topic.questions[3], note="edited")
    questions = (*topic.questions[:3], edited, *topic.questions[4:])
    monkeypatch.setitem(_regenerate.TOPICS, "start_values", replace(topic, questions=questions))
    assert golden.regenerate(directory=vectors) == ["start_values.json", "manifest.json"]
    old, new = (files["start_values.json"].decode().splitlines() for files in (before, contents(vectors)))
    assert [(a, b) for a, b in zip(old, new, strict=True) if a != b] == [
        (f'   "note": "{topic.questions[3].note}",', '   "note": "edited",')
    ]


def test_only_needs_the_other_files_whole(vectors: Path) -> None:
    """Fails when a damaged file gets a place in a new manifest."""
    (vectors / "excluded_tokens.json").write_bytes(b"{}")
    with pytest.raises(golden.GoldenError, match=r"excluded_tokens\.json: expected SHA-256"):
        golden.regenerate(["start_values"], directory=vectors)


def test_foreign_file_stops_a_regeneration(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when a set is written around a file that the next reader will refuse."""
    change("start_values.json", lambda document: document["cases"][0]["gradients"].clear())
    (vectors / "more.json").write_text("{}", encoding="ascii")
    before = contents(vectors)
    with pytest.raises(golden.GoldenError, match=r"more\.json: .*move it elsewhere"):
        golden.regenerate(directory=vectors)
    assert contents(vectors) == before


def test_file_with_right_hash_and_wrong_content_is_repaired(
    vectors: Path, fresh: Path, change: Callable[..., None]
) -> None:
    """Fails when a file that does not load stops the command that would replace it."""
    change("drawn.json", lambda document: document["cases"][0]["inputs"]["logits"]["recipe"].update(generator="pcg64"))
    with pytest.raises(golden.GoldenError, match="pcg64"):
        golden.load(directory=vectors)
    assert golden.regenerate(directory=vectors) == ["drawn.json", "manifest.json"]
    assert contents(vectors) == contents(fresh)


@pytest.mark.parametrize("damage", ["manifest gone", "manifest torn", "file gone", "file torn"])
def test_broken_set_is_repaired(vectors: Path, fresh: Path, damage: str) -> None:
    """Fails when the command that the error messages recommend cannot help."""
    what, how = damage.split()
    path = vectors / ("manifest.json" if what == "manifest" else "start_values.json")
    path.unlink()
    if how == "torn":
        path.write_bytes(b'{"format_version": 2, "fi')
    golden.regenerate(directory=vectors)
    assert contents(vectors) == contents(fresh)


def test_topic_that_is_no_more_is_dropped(vectors: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a removed topic stays in the set."""
    from lossproof.golden import _regenerate

    less = {name: topic for name, topic in _regenerate.TOPICS.items() if name != "start_values"}
    with monkeypatch.context() as patch:
        patch.setattr(_regenerate, "TOPICS", less)
        assert golden.regenerate(directory=vectors) == ["start_values.json", "manifest.json"]
        assert {case.topic for case in golden.load(directory=vectors)} == set(less)
        assert not (vectors / "start_values.json").exists()
    golden.regenerate(directory=vectors)
    assert contents(vectors) == contents(fresh)


def test_ids_do_not_depend_on_order_or_company(vectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when adding, moving or describing a case renames it or others."""
    from lossproof.golden import _regenerate

    before = {case.id: case.inputs for case in golden.load(["start_values"], directory=vectors)}
    topic = _regenerate.TOPICS["start_values"]
    questions: tuple[Any, ...] = tuple(replace(question, note="moved") for question in topic.questions[:0:-1])
    monkeypatch.setitem(_regenerate.TOPICS, "start_values", replace(topic, questions=questions))
    golden.regenerate(directory=vectors)
    after = {case.id: case.inputs for case in golden.load(["start_values"], directory=vectors)}
    gone = topic.questions[0].id
    assert list(after) == list(before)[:0:-1]
    assert after == {name: inputs for name, inputs in before.items() if name != gone}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_question_that_is_asked_twice_is_refused(
    vectors: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    """Fails when two definitions with the same inputs get into the set, which then does not load."""
    from lossproof.golden import _regenerate

    asked = _regenerate.TOPICS["start_values"]
    topic = _regenerate.TOPICS["excluded_tokens"] if elsewhere else asked
    again = replace(topic, questions=(*topic.questions, asked.questions[0]), flags=topic.flags | asked.flags)
    monkeypatch.setitem(_regenerate.TOPICS, topic.name, again)
    before = contents(vectors)
    with pytest.raises(golden.GoldenError, match=f"case {asked.questions[0].id}: .*each id once"):
        golden.regenerate(directory=vectors)
    assert contents(vectors) == before


def test_workers_must_be_at_least_one(vectors: Path) -> None:
    """Fails when nonsense is accepted instead of answered."""
    with pytest.raises(ValueError, match="workers=0"):
        golden.regenerate(directory=vectors, workers=0)


def test_copy_is_independent(vectors: Path, tmp_path: Path) -> None:
    """Fails when a set works only where the package put it."""
    moved = shutil.copytree(vectors, tmp_path / "elsewhere")
    assert [case.to_json() for case in golden.load(directory=moved)] == [
        case.to_json() for case in golden.load(directory=vectors)
    ]
