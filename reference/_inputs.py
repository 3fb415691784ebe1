"""Inputs, converted exactly or refused."""

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

Real: TypeAlias = float | Fraction  # an int, float or Fraction, taken as exact

_SPECIAL = {"nan", "inf", "-inf"}
_HEX = re.compile(r"([+-]?)0x(?=\.?[0-9a-f])([0-9a-f]*)\.?([0-9a-f]*)(?:p([+-]?[0-9]+))?")


@dataclass(frozen=True)
class ExactArray:
    """Python numbers in row-major order, with the shape of the array they fill."""

    shape: tuple[int, ...]
    values: tuple[Real, ...]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def row(self, i: int) -> tuple[Real, ...]:
        """The i-th piece of the values, cut along the last axis."""
        length = self.shape[-1]
        return self.values[i * length : (i + 1) * length]

    def rows(self) -> list[tuple[Real, ...]]:
        """All pieces of the values, cut along the last axis."""
        return [self.row(i) for i in range(math.prod(self.shape[:-1]))]


def exact_array(name: str, array: Any) -> ExactArray:
    """Converts an array or nested list exactly.

    Args:
      name: what to call the array in an error message.
      array: nested lists or tuples of Python numbers, or anything with `tolist` and `shape` (numpy, jax,
        ml_dtypes, torch): a bfloat16, float16, float32 or float64 is the dyadic rational it encodes. A string is a
        float in hexadecimal, as float.hex and C's %a write it ("0x1.8p+1"), or "nan", "inf", "-inf".

    Returns:
      The array's shape and values.

    Raises:
      TypeError: an element is not a real number, or a string is no float in hexadecimal.
      ValueError: nested lists are ragged.
    """
    nested = array.tolist() if hasattr(array, "tolist") else array
    shape = tuple(int(length) for length in array.shape) if hasattr(array, "shape") else _shape(name, nested)
    return ExactArray(shape, tuple(_flatten(name, nested)))


def exact_integers(name: str, array: Any) -> ExactArray:
    """Like `exact_array`, for whole numbers alone.

    Raises:
      TypeError: an element is a bool or not an integer.
    """
    dtype = str(getattr(array, "dtype", ""))
    integers = exact_array(name, array)
    strangers = [type(value).__name__ for value in integers.values if not isinstance(value, int)]
    if strangers or "bool" in dtype or _holds_bool(array):
        raise TypeError(f"{name} must be integers, got {dtype or (strangers or ['bool'])[0]}: convert them first")
    return integers


def is_floating(name: str, array: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array has this shape and a floating-point type; of nested lists, a number that is no integer."""
    given = exact_array(name, array)
    dtype = str(getattr(array, "dtype", ""))
    return given.shape == shape and ("float" in dtype or any(not isinstance(value, int) for value in given.values))


def exact_scalar(name: str, number: Any) -> Real:
    """Converts a scalar exactly; an array without axes counts as one.

    Raises:
      TypeError: not a real number (a bool is not one), or a string that is no float in hexadecimal.
      ValueError: an array with axes.
    """
    if getattr(number, "shape", ()) != ():
        raise ValueError(f"{name} must be a scalar, got an array of shape {tuple(number.shape)}: pass one number")
    value = number.item() if hasattr(number, "item") else number
    text = _from_hex(value)
    if text is not None:
        return text
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {name}={value!r} ({type(value).__name__})")
    return _exact_number(value)


def check_shapes(logits: ExactArray, **others: ExactArray) -> None:
    """SHAPE-1: raises a ValueError unless logits are [..., V] and each other array is [...]."""
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits must have a last axis of at least one class: got logits {logits.shape}")
    for name, array in others.items():
        if array.shape != logits.shape[:-1]:
            raise ValueError(
                f"{name} must have the shape of logits without its last axis: "
                f"logits {logits.shape} need {name} {logits.shape[:-1]}, got {array.shape}"
            )


def check_smoothing(label_smoothing: Real) -> None:
    """SHAPE-5: raises a ValueError unless label_smoothing is in [0, 1]."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be between 0 and 1, got label_smoothing={label_smoothing}")


def _exact_number(value: Any) -> Real:
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Rational):
        return Fraction(value)
    number = float(value)
    if number != value and value == value:  # noqa: PLR0124  nan is exact, too
        raise TypeError(f"{value!r} ({type(value).__name__}) is no float64: pass a Fraction")
    return number


def _flatten(name: str, nested: Any) -> list[Real]:
    if isinstance(nested, (list, tuple)):
        if set(map(type, nested)) <= {int, float}:  # what _exact_number leaves as it is, all at once
            return list(nested)
        return [number for element in nested for number in _flatten(name, element)]
    text = _from_hex(nested)
    if text is not None:
        return [text]
    if not isinstance(nested, numbers.Real):
        hint = ": text must be hexadecimal, as '0x1.8p+1'" if isinstance(nested, str) else ""
        raise TypeError(f"{name} must hold real numbers, got {nested!r} ({type(nested).__name__}){hint}")
    return [_exact_number(nested)]


def _from_hex(text: Any) -> Real | None:
    """The number of a text such as "0x1.8p+1", exactly; None of anything else."""
    if not isinstance(text, str):
        return None
    if text in _SPECIAL:
        return float(text)
    match = _HEX.fullmatch(text.lower())
    if match is None:
        return None
    sign, whole, point, exponent = match.groups(default="")
    number = Fraction(int(whole + point, 16)) * Fraction(2) ** (int(exponent or 0) - 4 * len(point))
    return _exact_fraction(-number if sign == "-" else number)


def _exact_fraction(number: Fraction) -> Real:
    """The float64 that is this number, or the fraction where there is none."""
    try:
        nearest = float(number)
    except OverflowError:
        return number
    return nearest if nearest == number else number


def _shape(name: str, nested: Any) -> tuple[int, ...]:
    if not isinstance(nested, Sequence) or isinstance(nested, str):
        return ()
    shapes = {_shape(name, element) for element in nested}
    if len(shapes) > 1:
        raise ValueError(f"{name} must be a rectangular array, got nested lists of shapes {sorted(shapes)}")
    return (len(nested), *(shapes.pop() if shapes else ()))


def _holds_bool(nested: Any) -> bool:
    return isinstance(nested, bool) or (isinstance(nested, (list, tuple)) and any(map(_holds_bool, nested)))


def is_finite(number: Real) -> bool:
    """Whether a number is neither nan nor infinite."""
    return not isinstance(number, float) or math.isfinite(number)
