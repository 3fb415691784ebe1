"""What a golden case is made of."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from lossproof.golden._identity import content_id
from lossproof.golden._numbers import INTEGERS, fits, to_hex
from lossproof.golden._recipe import Recipe, sha256


@dataclass(frozen=True)
class Array:
    """An exact array; `shape` and `tolist` are what the reference, numpy and jax read.

    Attributes:
      dtype: a float type of `lossproof.reference.FORMATS`, an integer type, or "bool".
      shape: the length of each axis.
      values: Python numbers in row-major order, each of them a value of `dtype`; or the recipe that draws them anew
        whenever they are asked for.
    """

    dtype: str
    shape: tuple[int, ...]
    values: tuple[float, ...] | Recipe

    def __post_init__(self) -> None:
        if len(self.values) != math.prod(self.shape):
            came = f"got {len(self.values)}: add or remove elements"
            raise ValueError(f"an array of shape {list(self.shape)} needs {math.prod(self.shape)} elements, {came}")
        if isinstance(self.values, Recipe):
            self.values.check_type(self.dtype)
            return
        for value in self.values:
            if not fits(value, self.dtype):
                raise ValueError(f"{value!r} is not a value of type {self.dtype}: round it first, or change the type")

    def tolist(self) -> Any:
        """Returns nested lists, as numpy's method does; the only value of an array without axes."""
        return _nested(tuple(self.values), self.shape)

    @cached_property
    def sha256(self) -> str:
        """The hash of a float array's bits, little-endian and row-major."""
        return sha256(self.values, self.dtype)

    def to_json(self) -> dict[str, Any]:
        """Returns the form of the file."""
        if isinstance(self.values, Recipe):
            recipe = self.values.to_json()
            return {"dtype": self.dtype, "shape": list(self.shape), "recipe": recipe, "sha256": self.sha256}
        exact = self.dtype in INTEGERS or self.dtype == "bool"
        return {
            "dtype": self.dtype,
            "shape": list(self.shape),
            "data": list(self.values) if exact else [to_hex(value) for value in self.values],
        }


@dataclass(frozen=True)
class Scalar:
    """An exact float of type `dtype`."""

    dtype: str
    value: float

    def __post_init__(self) -> None:
        if not fits(self.value, self.dtype):
            raise ValueError(f"{self.value!r} is not a value of type {self.dtype}: round it first, or change the type")

    def to_json(self) -> dict[str, Any]:
        """Returns the form of the file."""
        return {"dtype": self.dtype, "hex": to_hex(self.value)}


Input: TypeAlias = Array | Scalar | str | Mapping[str, Array]


@dataclass(frozen=True)
class Answer:
    """Exact numbers, row-major, with the shape of the array they fill; () for a scalar.

    Attributes:
      shape: the length of each axis.
      decimal: each number rounded to 40 significant decimal digits, or "0", "nan", "inf", "-inf".
      rounded: by float type, each number correctly rounded to it; None where there are too many for it.
      at: the flat indices of the numbers that are kept, in increasing order; None where all are.
    """

    shape: tuple[int, ...]
    decimal: tuple[str, ...]
    rounded: Mapping[str, tuple[float, ...]] | None
    at: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        size = math.prod(self.shape)
        if self.at is not None and (list(self.at) != sorted(set(self.at)) or not all(0 <= i < size for i in self.at)):
            raise ValueError(f"expected indices in increasing order, from 0 to {size - 1}: restore the file")
        needed = size if self.at is None else len(self.at)
        for numbers in (self.decimal, *(self.rounded or {}).values()):
            if len(numbers) != needed:
                what = f"shape {list(self.shape)}" if self.at is None else f"{needed} indices"
                raise ValueError(f"an answer of {what} needs {needed} numbers, got {len(numbers)}: restore the file")

    def to_json(self) -> dict[str, Any]:
        """Returns the form of the file."""
        answer: dict[str, Any] = {"shape": list(self.shape)}
        if self.at is not None:
            answer["at"] = list(self.at)
        answer["decimal"] = list(self.decimal)
        if self.rounded is not None:
            answer["rounded"] = {dtype: [to_hex(x) for x in numbers] for dtype, numbers in self.rounded.items()}
        return answer


@dataclass(frozen=True)
class Question:
    """A function and its inputs, with why they were chosen.

    Attributes:
      function: the name in SPEC.md.
      inputs: by argument name; an argument that is None or left at its default is absent.
      cotangents: by output; empty where no gradients are asked for.
      clauses: ids of SPEC.md.
      flags: what the case tests, in a word each; the topic has a note for each.
      note: what is to be seen.
      provenance: where the inputs come from.
    """

    function: str
    inputs: Mapping[str, Input]
    cotangents: Mapping[str, Array | Scalar]
    clauses: tuple[str, ...]
    flags: tuple[str, ...]
    note: str
    provenance: str

    @cached_property
    def id(self) -> str:
        """The case's name: a hash of function, inputs and cotangents."""
        return content_id(self.function, _json(self.inputs), _json(self.cotangents))

    def to_json(self) -> dict[str, Any]:
        """Returns the form of the file."""
        return {
            "id": self.id,
            "function": self.function,
            "clauses": list(self.clauses),
            "flags": list(self.flags),
            "note": self.note,
            "provenance": self.provenance,
            "inputs": _json(self.inputs),
            "cotangents": _json(self.cotangents),
        }


@dataclass(frozen=True)
class Case(Question):
    """A question with its answers.

    Attributes:
      topic: the file it is in, without ".json".
      answers: by output.
      gradients: by argument, the derivatives of the sum of cotangent * output; empty without cotangents.
    """

    topic: str
    answers: Mapping[str, Answer]
    gradients: Mapping[str, Answer]

    def to_json(self) -> dict[str, Any]:
        """Returns the form of the file."""
        return {**super().to_json(), "answers": _json(self.answers), "gradients": _json(self.gradients)}


def _nested(values: tuple[float, ...], shape: tuple[int, ...]) -> Any:
    if not shape:
        return values[0]
    step = math.prod(shape[1:])
    return [_nested(values[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    def one(value: Any) -> Any:
        if isinstance(value, str):
            return value
        return _json(value) if isinstance(value, Mapping) else value.to_json()

    return {name: one(value) for name, value in values.items()}
