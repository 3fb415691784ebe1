"""Answers: the reference's exact values, in the form of the files."""

import math
from collections.abc import Mapping
from typing import Any

from lossproof import reference
from lossproof.golden._case import Answer, Array, Case, Input, Question, Scalar
from lossproof.golden._errors import GoldenError
from lossproof.golden._sample import sampled

DIGITS = 40
# Four hexadecimal floats more than double the size of a number; who needs them for a long array rounds its decimals.
ROUNDED_UP_TO = 256


def answer(question: Question, topic: str) -> Case:
    """Returns the case of a question, answered by lossproof.reference.

    Args:
      question: the function and its exact inputs.
      topic: the name of the file the case is for.

    Raises:
      GoldenError: the function refuses the inputs, or an answer cannot be decided.
    """
    where = f"{topic}.json: case {question.id}"
    arguments = {name: _plain(value) for name, value in question.inputs.items()}
    function = getattr(reference, question.function)
    try:
        values = function(**arguments, digits=DIGITS)
        derivatives = _derivatives(question, arguments)
    except (TypeError, ValueError) as error:
        raise GoldenError(where, f"expected inputs that {question.function} takes, got {error}") from error
    outputs = values._asdict() if hasattr(values, "_asdict") else vars(values)
    known = {field: getattr(question, field) for field in Question.__dataclass_fields__}
    return Case(
        **known,
        topic=topic,
        answers={name: _answer(value, f"{where}: {name}") for name, value in outputs.items() if value is not None},
        gradients={
            name: _answer(value, f"{where}: gradient of {name}", sampled(question) if name == "logits" else None)
            for name, value in derivatives.items()
        },
    )


def _derivatives(question: Question, arguments: dict[str, Any]) -> dict[str, Any]:
    """The derivative by each argument that is there, is of a float type and, if a scalar, finite."""
    if not question.cotangents:
        return {}
    gradients_of = getattr(reference, f"{question.function}_gradients")
    cotangents = {name: _plain(value) for name, value in question.cotangents.items()}
    every = gradients_of(**arguments, cotangents=cotangents, digits=DIGITS)._asdict()
    return {name: value for name, value in every.items() if _has_derivative(question.inputs.get(name))}


def _has_derivative(given: Input | None) -> bool:
    if isinstance(given, Scalar):
        return math.isfinite(given.value)
    return isinstance(given, Array) and given.dtype in reference.FORMATS


def _answer(
    value: reference.Enclosure | reference.EnclosureArray, where: str, at: tuple[int, ...] | None = None
) -> Answer:
    shape, numbers = (value.shape, value.values) if isinstance(value, reference.EnclosureArray) else ((), (value,))
    if at is not None:
        numbers = tuple(numbers[i] for i in at)
    decimal = _decided([number.decimal(DIGITS) for number in numbers], where)
    if len(numbers) > ROUNDED_UP_TO:
        return Answer(shape, decimal, None, at)
    rounded = {dtype: _decided([number.rounded(dtype) for number in numbers], where) for dtype in reference.FORMATS}
    return Answer(shape, decimal, rounded, at)


def _decided(numbers: list[Any], where: str) -> tuple[Any, ...]:
    if None in numbers:
        problem = f"number {numbers.index(None)} is too close to a tie to be rounded provably: choose other inputs"
        raise GoldenError(where, problem)
    return tuple(numbers)


def _plain(value: Any) -> Any:
    if isinstance(value, Scalar):
        return value.value
    return dict(value) if isinstance(value, Mapping) else value


def unanswered(case: Question) -> Question:
    """Returns the question alone that a case answers."""
    return Question(**{field: getattr(case, field) for field in Question.__dataclass_fields__})
