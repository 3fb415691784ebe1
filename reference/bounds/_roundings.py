"""The roundings of the float types, and how many of them a sum has (docs/error-analysis.md, sections 1 and 2)."""

from typing import Any

import numpy as np

from lossproof.reference._rounding import FORMATS
from lossproof.reference.bounds._call import Array

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
    form = FORMATS[dtype]
    half_spacing = 2.0 ** (form.min_exponent - form.precision)
    size = np.where(np.isfinite(magnitude), magnitude, 0.0)
    rounded = bound + unit_roundoff(dtype) * (size + bound) + half_spacing
    return np.asarray(np.where(bound > 0, rounded, 0.0))


def sum_bound(size: Any, length: int) -> Array:
    """NORM: the bound on a float32 sum of `length` terms, or on a quotient by one, whose absolute values add up to
    `size` (section 2).
    """
    return np.asarray(
        (length + 3) * unit_roundoff("float32") * np.asarray(size, np.float64) + smallest_normal("float32") * length
    )
