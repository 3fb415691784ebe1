"""log(1 + x) for x >= 0 in double-double, with a proven relative error; docs/oracle-proof.md, section 6."""

import numpy as np

from lossproof.reference.oracle._double_double import Operand, Pair, add, add_float, divide, multiply, multiply_float
from lossproof.reference.oracle._tables import LOG_STEPS, log_tables

ERROR = 2.0**-99  # relative (section 6.3)
_TERMS = 7  # of the series of atanh (section 6.2)


def log1p(x: Operand) -> Pair:
    """log(1 + x), relatively accurate however small x is.

    Args:
      x: a double-double of any shape, 0 <= x < 2^40.

    Returns:
      A double-double of the same shape; 0 where x is 0.
    """
    logs, ln_2, odd_reciprocals = log_tables(_TERMS)
    # 1 + x = center (1 + s) / (1 - s), center = c 2^exponent / LOG_STEPS (6.1)
    fraction, exponent = np.frexp(1.0 + x[0])
    c = np.rint(fraction * (2 * LOG_STEPS)).astype(np.int64)
    exponent -= 1
    center = np.ldexp(c / LOG_STEPS, exponent)
    s = divide(add_float(x, 1.0 - center), add_float(x, 1.0 + center))
    # log((1 + s) / (1 - s)) = 2 s (1 + s^2/3 + s^4/5 + ...) (6.2)
    square = multiply(s, s)
    series = _constant(odd_reciprocals, _TERMS - 1, x)
    for i in reversed(range(_TERMS - 1)):
        series = add(multiply(series, square), _constant(odd_reciprocals, i, x))
    series = multiply(series, (2 * s[0], 2 * s[1]))
    base = multiply_float(_constant((np.array([ln_2[0]]), np.array([ln_2[1]])), 0, x), exponent.astype(np.float64))
    base = add(base, (logs[0][c - LOG_STEPS], logs[1][c - LOG_STEPS]))
    return add(base, series)  # (6.3)


def _constant(table: Pair, i: int, like: Operand) -> Pair:
    return np.full_like(like[0], table[0][i]), np.full_like(like[0], table[1][i])
