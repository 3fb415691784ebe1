"""Recomputing the stored answers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lossproof.golden._case import Case
from lossproof.golden._errors import SelectionError
from lossproof.golden._functions import unanswered
from lossproof.golden._load import TopicFile, load_files
from lossproof.golden._read import render_topic
from lossproof.golden._work import Progress, answer_all


@dataclass(frozen=True)
class Difference:
    """A place where the stored set is not what is recomputed.

    Attributes:
      file: the file's name.
      case: the case's id; "" where it is the file's form that differs.
      problem: the field, what was computed, what the file says.
    """

    file: str
    case: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: case {self.case}: {self.problem}" if self.case else f"{self.file}: {self.problem}"


@dataclass(frozen=True)
class Verification:
    """What `verify` did.

    Attributes:
      cases: how many were recomputed.
      differences: where they differ from the files; empty if all is right.
    """

    cases: int
    differences: tuple[Difference, ...]


def verify(
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
    *,
    directory: Path | None = None,
    workers: int = 1,
) -> Verification:
    """Recomputes the answers from the stored inputs and compares them, and the bytes of the files.

    Args:
      only: topics and case ids; None for all.
      progress: called with the cases done, the cases in all and the last id.
      directory: where the vectors are; None for those of this package.
      workers: how many processes compute.

    Returns:
      The number of cases recomputed, and the differences.

    Raises:
      GoldenError: the files do not even load (see `load`), or a case's inputs are refused.
      SelectionError: a name of `only` is neither a topic nor an id.
    """
    files = load_files(directory=directory)
    chosen = select(files, only)
    recomputed = iter(
        answer_all([(case.topic, unanswered(case)) for _, cases in chosen for case in cases], workers, progress)
    )
    differences = []
    for stored, cases in chosen:
        file = f"{stored.topic.name}.json"
        fresh = {case.id: next(recomputed) for case in cases}
        wrong = [Difference(file, case.id, problem) for case in cases if (problem := _compare(case, fresh[case.id]))]
        if not wrong:
            questions = tuple(fresh.get(case.id, case) for case in stored.cases)
            if render_topic(replace(stored.topic, questions=questions)) != stored.content:
                problem = "expected the canonical text of its cases, got the same cases written otherwise: regenerate"
                wrong = [Difference(file, "", problem)]
        differences += wrong
    return Verification(sum(len(cases) for _, cases in chosen), tuple(differences))


def select(files: list[TopicFile], only: Iterable[str] | None) -> list[tuple[TopicFile, list[Case]]]:
    """Returns the files that are concerned, each with the cases that are.

    Raises:
      SelectionError: a name is neither a topic nor an id.
    """
    if only is None:
        return [(stored, stored.cases) for stored in files]
    names = set(only)
    known = {name for stored in files for name in (stored.topic.name, *(case.id for case in stored.cases))}
    for name in sorted(names - known):
        topics = ", ".join(stored.topic.name for stored in files)
        raise SelectionError(f"{name!r} is neither a case id nor a topic of the set: choose an id or one of {topics}")
    chosen = [
        (stored, [case for case in stored.cases if case.id in names or stored.topic.name in names]) for stored in files
    ]
    return [(stored, cases) for stored, cases in chosen if cases]


def _compare(stored: Case, fresh: Case) -> str:
    return _first_difference("", fresh.to_json(), stored.to_json())


def _first_difference(place: str, expected: Any, actual: Any) -> str:
    """Returns the first place where two JSON values differ, with both values; "" if there is none."""
    if isinstance(expected, dict) and isinstance(actual, dict) and expected.keys() == actual.keys():
        parts = [(f"{place}.{key}".lstrip("."), expected[key], actual[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        parts = [(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(expected, actual, strict=True))]
    elif expected == actual:
        return ""
    else:
        return f"{place}: expected {_brief(expected)}, got {_brief(actual)}: regenerate, or restore the file"
    return next((problem for part in parts if (problem := _first_difference(*part))), "")


def _brief(value: Any) -> str:
    return ", ".join(value) if isinstance(value, dict) else str(value)
