"""exp(x) for x <= 0 in double-double, with a proven relative error; docs/oracle-proof.md, section 4."""

import numpy as np

from lossproof.reference.oracle._double_double import Array, fast_two_sum, two_prod, two_sum
from lossproof.reference.oracle._tables import EXP_STEPS, exp_tables, ln_2

LOWEST = -620.0  # exp takes no x below, so that no result comes near the subnormals
NEGLIGIBLE = 2.0**-894  # exp(-620) < 2^-894 (section 4.1)
ERROR = 2.0**-95  # relative (section 4.5)

_SHIFT_BITS = EXP_STEPS.bit_length() - 1
# Adding this leaves a number's nearest integer in the low bits of its significand (section 4.2).
_MAGIC = 1.5 * 2.0**52
# Turns (bits of _MAGIC + n) >> _SHIFT_BITS into the biased exponent of 2^floor(n / EXP_STEPS).
_BIAS = 1023 - (int(np.float64(_MAGIC).view(np.int64)) >> _SHIFT_BITS)
BUFFERS = 9


def exp(x: Array, out: Array, buffers: Array) -> None:
    """Writes the exponential of x to `out`.

    Args:
      x: [2, ...], the high and the low words of a double-double, LOWEST <= x <= 0; overwritten.
      out: of the same shape.
      buffers: [BUFFERS, ...].
    """
    powers, step = exp_tables()
    high, low, n, t, t_low, square, square_low, *rest = buffers
    index, scale = rest[0].view(np.int64), rest[1].view(np.int64)

    # x = n step + t (4.2)
    np.multiply(x[0], float(EXP_STEPS / ln_2()), out=n)
    n += _MAGIC
    bits = n.view(np.int64)
    np.bitwise_and(bits, EXP_STEPS - 1, out=index)
    np.right_shift(bits, _SHIFT_BITS, out=scale)
    scale += _BIAS
    np.left_shift(scale, 52, out=scale)
    n -= _MAGIC
    np.multiply(n, step[0], out=high)
    np.subtract(x[0], high, out=high)
    two_sum(high, x[1], (t, t_low, low))
    np.multiply(n, -step[1], out=high)
    two_sum(t, high, (square, square_low, low))
    t_low += square_low
    n *= step[2]
    t_low -= n
    two_sum(square, t_low, (t, square_low, low))
    t_low, square_low = square_low, t_low

    # exp(t) - 1 = t + t^2/2 + t^3 (1/6 + t/24 + t^2/120 + t^3/720) (4.3)
    two_prod(t, t, (square, square_low, n, low, x[0], x[1]))
    np.multiply(t, 1 / 720, out=high)
    for coefficient in (1 / 120, 1 / 24, 1 / 6):
        high += coefficient
        high *= square if coefficient == 1 / 6 else t
    high *= t
    square *= 0.5
    square_low *= 0.5
    square_low += np.multiply(t, t_low, out=n)
    square_low += t_low
    fast_two_sum(square, high, (n, low))
    square_low += low
    fast_two_sum(t, n, (high, low))
    square_low += low

    # 2^(i / EXP_STEPS) exp(t) (4.4); mode="clip" writes to `out` unbuffered, and nothing is out of bounds
    np.take(powers[0], index, out=t, mode="clip")
    np.take(powers[1], index, out=t_low, mode="clip")
    two_prod(t, high, (n, low, x[0], x[1], rest[0], square))
    high *= t_low
    square_low *= t
    high += square_low
    high += t_low
    high += low
    fast_two_sum(t, n, (square, low))
    high += low
    fast_two_sum(square, high, (t, low))
    np.multiply(t, rest[1], out=out[0])
    np.multiply(low, rest[1], out=out[1])
