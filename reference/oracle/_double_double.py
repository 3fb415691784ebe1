"""Double-double arithmetic on arrays: a real number is the unevaluated sum of two float64 (high, low).

Without fused multiply-add, which numpy does not offer. The error bounds are in docs/oracle-proof.md, section 2; u is
2^-53. Every function takes buffers for its results and temporaries, or allocates what is not given.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
AnyArray: TypeAlias = NDArray[Any]
Pair: TypeAlias = tuple[Array, Array]
Operand: TypeAlias = Pair | Array  # also stacked: [2, ...]
Buffers: TypeAlias = tuple[Array | None, ...]

U = 2.0**-53
_SPLITTER = 2.0**27 + 1


def two_sum(a: Array, b: Array, out: Buffers = (None, None, None)) -> Pair:
    """The rounded sum and its error, exactly (lemma 1). `out`: high, low, a temporary."""
    high, low, t = out
    high = np.add(a, b, out=high)
    t = np.subtract(high, a, out=t)
    low = np.subtract(high, t, out=low)
    np.subtract(a, low, out=low)
    np.subtract(b, t, out=t)
    return high, np.add(low, t, out=low)


def fast_two_sum(a: Array, b: Array, out: Buffers = (None, None)) -> Pair:
    """As `two_sum`, for abs(a) >= abs(b) or a = 0 (lemma 1). `out`: high, low."""
    high, low = out
    high = np.add(a, b, out=high)
    low = np.subtract(high, a, out=low)
    return high, np.subtract(b, low, out=low)


def two_prod(a: Array, b: Array, out: Buffers = (None,) * 6) -> Pair:
    """The rounded product and its error, exactly but for underflow (lemma 2). `out`: high, low, four temporaries."""
    high, low, *halves = out
    high = np.multiply(a, b, out=high)
    a_high, a_low = _split(a, halves[:2])
    b_high, b_low = _split(b, halves[2:])
    low = np.multiply(a_high, b_high, out=low)
    low -= high
    low += np.multiply(a_low, b_high, out=b_high)
    low += np.multiply(a_high, b_low, out=a_high)
    low += np.multiply(a_low, b_low, out=a_low)
    return high, low


def _split(a: Array, out: list[Array | None]) -> Pair:
    high, low = out
    high = np.multiply(a, _SPLITTER, out=high)
    low = np.subtract(high, a, out=low)
    high -= low
    return high, np.subtract(a, high, out=low)


def add(x: Operand, y: Operand) -> Pair:
    """x + y with a relative error of at most 3u^2 + 13u^3, also where they cancel (lemma 3)."""
    high, low = two_sum(x[0], y[0])
    tail_high, tail_low = two_sum(x[1], y[1])
    high, low = fast_two_sum(high, low + tail_high)
    return fast_two_sum(high, low + tail_low)


def add_float(x: Operand, y: Array) -> Pair:
    """x + y with a relative error of at most 2u^2, also where they cancel (lemma 3)."""
    high, low = two_sum(x[0], y)
    return fast_two_sum(high, low + x[1])


def add_same_sign(x: Operand, y: Operand, out: Buffers = (None,) * 5) -> Pair:
    """x + y for x and y of one sign, with a relative error of at most 3u^2 (lemma 3).

    `out`: high, low (these two may be x itself), three temporaries.
    """
    high, low, total, error, t = out
    total, error = two_sum(x[0], y[0], (total, error, t))
    t = np.add(x[1], y[1], out=t)
    error += t
    return fast_two_sum(total, error, (high, low))


def multiply(x: Operand, y: Operand, out: Buffers = (None,) * 6) -> Pair:
    """x * y with a relative error of at most 7u^2, but for underflow (lemma 4). `out` as for `two_prod`."""
    high, low = two_prod(x[0], y[0], out)
    cross = np.multiply(x[0], y[1], out=out[2])
    cross += np.multiply(x[1], y[0], out=out[3])
    low += cross
    total = np.add(high, low, out=out[2])
    high -= total
    low += high
    high[...] = total
    return high, low


def multiply_float(x: Operand, y: Array) -> Pair:
    """x * y with a relative error of at most 1.5u^2 + 4u^3 (lemma 4)."""
    high, low = two_prod(x[0], y)
    high, tail = fast_two_sum(high, x[1] * y)
    return fast_two_sum(high, tail + low)


def divide(x: Operand, y: Operand) -> Pair:
    """x / y with a relative error of at most 15u^2 + 56u^3 (lemma 5)."""
    quotient = x[0] / y[0]
    high, low = multiply_float(y, quotient)
    remainder = (x[0] - high) + (x[1] - low)
    return fast_two_sum(quotient, remainder / y[0])
