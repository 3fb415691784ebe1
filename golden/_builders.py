"""Short ways to write down a question."""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lossproof.golden._case import Array, Input, Question, Scalar
from lossproof.golden._flags import explained
from lossproof.golden._recipe import Recipe
from lossproof.golden._topic import Topic

INF, NAN = math.inf, math.nan
BY_HAND = "written by hand"
BY_RECIPE = "logits drawn by their recipe"


def array(nested: Any, dtype: str) -> Array:
    """Returns the array of nested lists of numbers, each of which must be a value of `dtype`; an Array as it is."""
    if isinstance(nested, Array):
        return nested
    shape: list[int] = []
    level = nested
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        level = level[0] if level else None
    return Array(dtype, tuple(shape), tuple(_flatten(nested)))


def recipe(
    shape: tuple[int, ...],
    dtype: str,
    *,
    seed: int,
    drop: int,
    exponent: int,
    offset: int = 0,
    patches: Mapping[int, float] | None = None,
) -> Array:
    """Returns logits written down as a rule, for a vocabulary too large to list; `token` and `weighted` take them.

    Elements are ((draw >> drop) + offset) * 2^exponent, the draw an integer from -131070 to 131070 with a standard
    deviation of 37837: drop + exponent = -14 gives logits from -8 to 8, with a standard deviation of 2.3. A type of p
    bits needs (131070 >> drop) + |offset| below 2^p: without an offset a drop of 9 for bfloat16, 6 for float16, 0 for
    float32.

    Args:
      shape: [..., V].
      dtype: a float type.
      seed: 0 to 2^32 - 1; another one for each case.
      drop: bits of the draw that are cut off.
      exponent: of the unit, 2^exponent.
      offset: added to all elements, in units.
      patches: by flat index, the values of the elements that are not drawn, such as the lead of a target, or -inf.
    """
    drawn = Recipe(math.prod(shape), seed, drop, offset, exponent, tuple(sorted((patches or {}).items())))
    return Array(dtype, shape, drawn)


def scalar(number: float, dtype: str = "float64") -> Scalar:
    """Returns an exact scalar; float64 is what a Python float is."""
    return Scalar(dtype, float(number))


def float32(number: float) -> float:
    """Returns the float32 nearest to a number."""
    (nearest,) = struct.unpack("f", struct.pack("f", number))
    return float(nearest)


def ones(shape: tuple[int, ...], dtype: str) -> Array:
    """Returns the cotangent 1 for each of an output's elements, in the type that logits of `dtype` give (SHAPE-3)."""
    return Array(_carried(dtype), shape, (1.0,) * math.prod(shape))


def topic(name: str, description: str, questions: Sequence[Question]) -> Topic:
    """Returns a topic whose inputs are written by hand, with the notes of the flags it uses."""
    return Topic(name, description, explained(questions), {}, tuple(questions))


def token(
    logits: Any,
    targets: Any,
    *,
    clauses: str,
    note: str,
    flags: str = "",
    dtype: str = "float32",
    integer: str = "int32",
    cotangents: Mapping[str, Any] | None = None,
    **scalars: float,
) -> Question:
    """Returns a question for token_cross_entropy.

    Args:
      logits, targets: nested lists; logits may be a `recipe`, which has a type of its own.
      clauses, flags: separated by spaces.
      note: what is to be seen.
      dtype, integer: types of logits and targets.
      cotangents: nested lists by output; None for 1 for each loss.
      **scalars: label_smoothing and z_loss where they are not 0.
    """
    x, t = array(logits, dtype), array(targets, integer)
    by = {name: array(value, _carried(x.dtype)) for name, value in (cotangents or {}).items()}
    inputs = {"logits": x, "targets": t, **_scalars(scalars, "label_smoothing", "z_loss")}
    return _question("token_cross_entropy", inputs, by or {"loss": ones(t.shape, x.dtype)}, clauses, flags, note)


def weighted(
    logits: Any,
    targets: Any,
    weights: Any = None,
    *,
    clauses: str,
    note: str,
    flags: str = "",
    dtype: str = "float32",
    integer: str = "int32",
    cotangents: Mapping[str, float] | None = None,
    **scalars: float,
) -> Question:
    """Returns a question for compute_weighted_cross_entropy; see `token`.

    Args:
      logits, targets, weights: nested lists, logits as in `token`; weights may be None, or bools; other weights are of
        the carried type.
      clauses, flags, note, dtype, integer: as in `token`.
      cotangents: a number by output; None for 1 for the loss.
      **scalars: label_smoothing, z_loss and loss_normalizing_factor where they are not 0, 0 and None.
    """
    x = array(logits, dtype)
    inputs: dict[str, Input] = {"logits": x, "targets": array(targets, integer)}
    if weights is not None:
        inputs["weights"] = array(weights, "bool" if isinstance(_flatten(weights)[0], bool) else _carried(x.dtype))
    inputs |= _scalars(scalars, "label_smoothing", "z_loss", "loss_normalizing_factor")
    by = {name: scalar(value, _carried(x.dtype)) for name, value in (cotangents or {"loss": 1.0}).items()}
    return _question("compute_weighted_cross_entropy", inputs, by, clauses, flags, note)


def dense(
    logits: Any,
    targets: Any,
    z_loss: float = 0.0,
    *,
    clauses: str,
    note: str,
    flags: str = "",
    dtype: str = "float32",
    cotangents: Mapping[str, Any] | None = None,
) -> Question:
    """Returns a question for cross_entropy_with_logits; see `token`.

    Args:
      logits, targets: nested lists of the same shape.
      z_loss: the coefficient k.
      clauses, flags, note, dtype, cotangents: as in `token`.
    """
    x = array(logits, dtype)
    inputs: dict[str, Input] = {"logits": x, "targets": array(targets, _carried(dtype)), "z_loss": scalar(z_loss)}
    by = {name: array(value, _carried(dtype)) for name, value in (cotangents or {}).items()}
    return _question(
        "cross_entropy_with_logits", inputs, by or {"loss": ones(x.shape[:-1], dtype)}, clauses, flags, note
    )


def factor(loss_normalizing_factor: str | float, *, clauses: str, note: str, flags: str = "", **batch: Any) -> Question:
    """Returns a question for get_loss_normalizing_factor_and_weights.

    Args:
      loss_normalizing_factor: a special factor's name, or a number.
      clauses, flags, note: as in `token`.
      **batch: nested lists by name without "decoder_"; loss_weights become float32, the others int32.
    """
    given = loss_normalizing_factor
    arrays: dict[str, Array] = {
        f"decoder_{key}": array(value, "float32" if key == "loss_weights" else "int32") for key, value in batch.items()
    }
    inputs: dict[str, Input] = {
        "loss_normalizing_factor": given if isinstance(given, str) else scalar(given),
        "batch": arrays,
    }
    return _question("get_loss_normalizing_factor_and_weights", inputs, {}, clauses, flags, note)


def _question(
    function: str, inputs: Mapping[str, Input], cotangents: Mapping[str, Any], clauses: str, flags: str, note: str
) -> Question:
    drawn = any(isinstance(given, Array) and isinstance(given.values, Recipe) for given in inputs.values())
    provenance = BY_RECIPE if drawn else BY_HAND
    return Question(function, inputs, cotangents, tuple(clauses.split()), tuple(flags.split()), note, provenance)


def _scalars(given: Mapping[str, float], *names: str) -> dict[str, Input]:
    unknown = given.keys() - set(names)
    if unknown:
        raise TypeError(f"expected scalars among {', '.join(names)}, got {', '.join(sorted(unknown))}")
    return {name: scalar(given[name]) for name in names if name in given}


def _carried(dtype: str) -> str:
    return "float64" if dtype == "float64" else "float32"


def _flatten(nested: Any) -> list[float]:
    if isinstance(nested, (list, tuple)):
        return [number for element in nested for number in _flatten(element)]
    return [nested]


def value_only(question: Question) -> Question:
    """Returns the question without its gradients, which for a long row would be most of the case."""
    return replace(question, cotangents={})


def sourced(question: Question, provenance: str) -> Question:
    """Returns the question with where it comes from, if it is not written by hand.

    Args:
      question: with the inputs.
      provenance: a link, or how it was found.
    """
    return replace(question, provenance=provenance)
