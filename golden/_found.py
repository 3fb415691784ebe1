"""The topic found_cases: what searches of the conformance suite found, promoted from their results."""

import json
from collections.abc import Iterable
from typing import Any

from lossproof.golden._case import Question
from lossproof.golden._errors import GoldenError
from lossproof.golden._flags import explained
from lossproof.golden._read import read_input, read_number
from lossproof.golden._topic import Topic

TOPIC = "found_cases"
DESCRIPTION = "Cases that searches of the conformance suite found to use much of a bound, or to break it."


def read_result(content: bytes, name: str) -> list[Question]:
    """The cases of a conformance result's list of the worst that are small enough for a vector.

    Args:
      content: the bytes of result.json.
      name: what to call it in an error.

    Raises:
      GoldenError: it is no result, or none of its cases can be a vector.
    """
    try:
        document = json.loads(content)
        found = [_question(each, document) for each in document["worst"] if each["call"]]
    except (ValueError, KeyError, TypeError) as error:
        problem = f"expected the result.json of lossproof check --report FOLDER, got {type(error).__name__}: {error}"
        raise GoldenError(name, problem) from error
    if not found:
        raise GoldenError(name, "none of its worst cases has inputs that a vector can hold: run level standard")
    return list({question.id: question for question in found}.values())


def topic_of(questions: Iterable[Question]) -> Topic:
    """The topic with these questions, in the order of their ids, so that the order of promotions does not matter."""
    chosen = sorted(questions, key=lambda question: question.id)
    return Topic(TOPIC, DESCRIPTION, explained(chosen), {}, tuple(chosen))


def _question(worst: dict[str, Any], document: dict[str, Any]) -> Question:
    call, settings, target = worst["call"], document["settings"], document["target"]
    share = worst["utilisation"]
    used = "a wrong special value" if share is None else f"{share:.2g} times the bound used"
    where = f"{worst['unit']} at level {settings['level']}, seed {settings['seed']}"
    packages = ", ".join(f"{name} {version}" for name, version in sorted(target["packages"].items()))
    return Question(
        call["function"],
        {name: read_input(value) for name, value in call["inputs"].items()},
        {name: read_number(value) for name, value in call["cotangents"].items()},
        tuple(worst["clauses"]),
        ("worst_case",),
        f"{target['name']}: {used} by {worst['quantity']}",
        f"found by {where}, with {packages or 'no package'}",
    )
