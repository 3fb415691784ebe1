"""What it means to be the nearest float, said with the neighbours that numpy and ml_dtypes know."""

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
