"""The roundings of the float types, and how many of them a sum has (docs/error-analysis.md, sections 1 and 2)."""

from typing import Any

import numpy as np

from lossproof.reference.bounds._call import Array
from lossproof.spec import FORMATS

SEQUENTIAL = 32  # a good summation adds blocks of this length one by one, and the blocks in a tree


def unit_roundoff(dtype: str) -> float:
    """u = 2^-p for a type with p bits of significand."""
    return 2.0 ** -FORMATS[dtype].precision


def smallest_normal(dtype: str) -> float:
    """The smallest positive normal number."""
    return 2.0 ** FORMATS[dtype].min_exponent


def depth(length: int) -> int:
    """h: the number of roundings that one term of a sum meets (section 2)."""
    return min(max(length - 1, 0), SEQUENTIAL + int(np.ceil(np.log2(max(length, 1)))))


@np.errstate(over="ignore")
def with_final_rounding(bound: Array, magnitude: Array, dtype: str) -> Array:
    """ACC-5: the bound on a result that is rounded once more, to `dtype`, keeping its subnormals where the
    hardware does.

    Args:
      bound: on the result before that rounding.
      magnitude: the absolute value of the exact result.
      dtype: what it is rounded to.

    Returns:
      The bound after it; 0 stays 0.
    """
    return np.asarray(np.where(bound > 0, bound + _of_final_rounding(bound, magnitude, dtype), 0.0))


def before_final_rounding(error: Array, magnitude: Array, dtype: str) -> Array:
    """The error that a result must have had before it was rounded to `dtype`, at least: the inverse of
    `with_final_rounding`, so that one is no larger than its bound exactly where the other is.
    """
    left = np.maximum(error - _of_final_rounding(0.0, magnitude, dtype), 0.0)
    return np.asarray(left / (1 + unit_roundoff(dtype)))


def _of_final_rounding(bound: Array | float, magnitude: Array, dtype: str) -> Array:
    form = FORMATS[dtype]
    half_spacing = 2.0 ** (form.min_exponent - form.precision)
    size = np.where(np.isfinite(magnitude), magnitude, 0.0)
    return np.asarray(unit_roundoff(dtype) * (size + bound) + half_spacing)


def unit_in_last_place(magnitude: Array, dtype: str) -> Array:
    """The distance between neighbouring floats of a type at a number of this magnitude; that of the smallest normal
    number below it.
    """
    form = FORMATS[dtype]
    exponent = np.frexp(magnitude)[1] - 1
    return np.ldexp(1.0, np.maximum(exponent, form.min_exponent) - form.precision + 1)


def sum_bound(size: Any, length: int) -> Array:
    """NORM: the bound on a float32 sum of `length` terms, or on a quotient by one, whose absolute values add up to
    `size` (section 2).
    """
    return np.asarray(
        (length + 3) * unit_roundoff("float32") * np.asarray(size, np.float64) + smallest_normal("float32") * length
    )
