"""What it means to be the nearest float: said with the neighbours that numpy and ml_dtypes know, and computed by
Python's own rounding of rational numbers.
"""

import functools
import math
from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np

TYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float64}


def rounding_interval(number, dtype):
    """The two ends, exact mpmath numbers, of the reals that round to this float of type `dtype`."""
    largest = float(ml_dtypes.finfo(TYPES[dtype]).max)
    if np.isinf(number):
        edge = _halfway(largest, dtype, np.inf)
        return (edge, mpmath.inf) if number > 0 else (-mpmath.inf, mpmath.fneg(edge, exact=True))
    return _halfway(number, dtype, -np.inf), _halfway(number, dtype, np.inf)


def _halfway(number, dtype, towards):
    kind = TYPES[dtype]
    with np.errstate(over="ignore"):
        neighbour = float(np.nextafter(kind(number), kind(towards)))
    if np.isinf(neighbour):  # beyond the largest float lies what would be next if the exponent went on
        inner = float(np.nextafter(kind(number), kind(-towards)))
        step = mpmath.fsub(number, inner, exact=True)
    else:
        step = mpmath.fsub(neighbour, number, exact=True)
    return mpmath.fadd(number, mpmath.ldexp(step, -1), exact=True)


def nearest(numerator, exponent, dtype):
    """The float of type `dtype` nearest to numerator * 2^exponent, two integers; ties to even, as Python rounds."""
    fraction_bits, smallest, largest = _format(dtype)
    size = numerator.bit_length() + exponent  # the number lies below 2^size, and not below half of that
    last_bit = max(size - 1, smallest) - fraction_bits
    if size < last_bit - 1:
        return 0.0
    shift = exponent - last_bit
    units = numerator << shift if shift >= 0 else round(Fraction(numerator, 1 << -shift))
    try:
        rounded = math.ldexp(units, last_bit)
    except OverflowError:
        rounded = math.copysign(math.inf, units)
    return rounded if abs(rounded) <= largest else math.copysign(math.inf, units)


@functools.cache
def _format(dtype):
    info = ml_dtypes.finfo(TYPES[dtype])
    return int(info.nmant), int(info.minexp), float(info.max)
