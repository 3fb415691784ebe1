"""From the form of the files to topics and cases."""

import math
from typing import Any

from lossproof.golden._case import Answer, Array, Case, Input, Scalar
from lossproof.golden._errors import GoldenError
from lossproof.golden._numbers import from_hex
from lossproof.golden._recipe import read_recipe
from lossproof.golden._render import render
from lossproof.golden._schema import FORMAT_VERSION, parse
from lossproof.golden._topic import Topic


def read_topic(content: bytes, file: str, *, by_schema: bool = True) -> Topic:
    """Returns the topic of a file's bytes; its questions are cases.

    Args:
      content: the bytes.
      file: the file's name.
      by_schema: whether it is checked against the schema.

    Raises:
      GoldenError: the content is damaged, of another format version, not what the schema says, or contradicts itself.
    """
    document = parse(content, "topic", file, by_schema=by_schema)
    name = file.removesuffix(".json")
    if document["topic"] != name:
        raise GoldenError(
            file, f"expected the topic {name!r}, got {document['topic']!r}: rename the file or restore it"
        )
    cases = tuple(_case(value, name, file, is_known=not by_schema) for value in document["cases"])
    return Topic(name, document["description"], document["flags"], document["origin"], cases)


def render_topic(topic: Topic) -> bytes:
    """Returns the bytes of a topic's file."""
    document = {
        "format_version": FORMAT_VERSION,
        "topic": topic.name,
        "description": topic.description,
        "flags": dict(topic.flags),
        "origin": dict(topic.origin),
        "cases": [question.to_json() for question in topic.questions],
    }
    return render(document).encode("ascii")


def _case(value: dict[str, Any], topic: str, file: str, *, is_known: bool) -> Case:
    where = f"{file}: case {value['id']}"
    try:
        case = Case(
            function=value["function"],
            inputs={name: read_input(given, is_known=is_known) for name, given in value["inputs"].items()},
            cotangents={name: read_number(given) for name, given in value["cotangents"].items()},
            clauses=tuple(value["clauses"]),
            flags=tuple(value["flags"]),
            note=value["note"],
            provenance=value["provenance"],
            topic=topic,
            answers={name: _answer(given) for name, given in value["answers"].items()},
            gradients={name: _answer(given) for name, given in value["gradients"].items()},
        )
    except ValueError as error:
        raise GoldenError(where, str(error)) from error
    if case.id != value["id"]:
        problem = f"expected the id {case.id}, which is the hash of function, inputs and cotangents"
        raise GoldenError(
            where, f"{problem}, got {value['id']}: restore the inputs, or regenerate if they were meant to change"
        )
    return case


def read_input(value: Any, *, is_known: bool = False) -> Input:
    """Returns an argument of a case; one that is known to be right need not be drawn from its recipe yet."""
    if isinstance(value, str):
        return value
    if "dtype" in value:
        return read_number(value, is_known=is_known)
    return {name: _array(given, is_known=is_known) for name, given in value.items()}


def read_number(value: dict[str, Any], *, is_known: bool = False) -> Array | Scalar:
    """Returns an array or a scalar of a case."""
    return Scalar(value["dtype"], from_hex(value["hex"])) if "hex" in value else _array(value, is_known=is_known)


def _array(value: dict[str, Any], *, is_known: bool) -> Array:
    if "recipe" in value:
        return _drawn(value, is_known=is_known)
    data = tuple(from_hex(x) if isinstance(x, str) else x for x in value["data"])
    return Array(value["dtype"], tuple(value["shape"]), data)


def _drawn(value: dict[str, Any], *, is_known: bool) -> Array:
    shape = tuple(value["shape"])
    array = Array(value["dtype"], shape, read_recipe(value["recipe"], math.prod(shape)))
    if is_known:
        vars(array)["sha256"] = value["sha256"]  # what the cached property would compute
    elif array.sha256 != value["sha256"]:
        problem = f"expected a recipe whose elements have the SHA-256 {value['sha256']}, got {array.sha256}"
        raise ValueError(f"{problem}: restore the recipe, or regenerate if it was meant to change")
    return array


def _answer(value: dict[str, Any]) -> Answer:
    rounded, at = value.get("rounded"), value.get("at")
    floats = None if rounded is None else {dtype: tuple(map(from_hex, numbers)) for dtype, numbers in rounded.items()}
    return Answer(tuple(value["shape"]), tuple(value["decimal"]), floats, None if at is None else tuple(at))
