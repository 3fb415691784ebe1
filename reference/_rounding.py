"""Correct rounding (to nearest, ties to even) of an exact binary number to the IEEE types and bfloat16."""

import math
from typing import Any

from lossproof.spec import FORMATS


def round_to(number: Any, dtype: str) -> float:
    """The float of type `dtype` nearest to an mpmath number; subnormals, overflow to inf and ties to even as in
    IEEE 754.

    Args:
      number: an mpmath mpf, taken as exact; infinities and NaN pass through.
      dtype: a key of `FORMATS`.

    Returns:
      A Python float, which holds every value of these types exactly.
    """
    sign, mantissa, exponent, bits = number._mpf_
    if not mantissa:
        return float(number)  # 0, inf, -inf, nan
    form = FORMATS[dtype]
    last_bit = max(exponent + bits - form.precision, form.min_exponent - form.precision + 1)
    shift = last_bit - exponent
    units = mantissa << -shift if shift <= 0 else _half_even(mantissa, shift)
    if units.bit_length() + last_bit > form.max_exponent + 1:
        magnitude = math.inf
    else:
        magnitude = math.ldexp(units, last_bit)
    return -magnitude if sign else magnitude


def same_cell(low: Any, high: Any) -> bool:
    """Whether two mpmath numbers of one sign lie, with all between them, strictly between two neighbouring points at
    which the rounding to float64 may change: then they round alike to every type, whose own such points are among
    these (no type of `FORMATS` is finer than float64 anywhere).
    """
    (sign, small, first, _), (other_sign, large, last, bits) = low._mpf_, high._mpf_
    if sign != other_sign or not small or not large:
        return False
    if sign:
        small, first, large, last, bits = large, last, small, first, low._mpf_[3]
    form = FORMATS["float64"]
    # The points are the multiples of half a unit of the last place that the larger number has.
    half_unit = max(last + bits - form.precision, form.min_exponent - form.precision + 1) - 1
    return _floor(small, first - half_unit, strictly=True) == _floor(large, last - half_unit, strictly=False)


def _floor(mantissa: int, shift: int, *, strictly: bool) -> int:
    """floor(mantissa 2^shift), or of a number a little smaller."""
    return (mantissa << shift) - strictly if shift >= 0 else (mantissa - strictly) >> -shift


def _half_even(mantissa: int, shift: int) -> int:
    if shift > mantissa.bit_length() + 1:
        return 0
    quotient, remainder = mantissa >> shift, mantissa & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    return quotient + (remainder > half or (remainder == half and quotient & 1))


def decimal_digits(number: Any, digits: int) -> str:
    """A finite or special mpmath number in decimal, rounded to `digits` significant digits (ties away from 0);
    exact integer arithmetic.
    """
    sign, mantissa, exponent, _ = number._mpf_
    if not mantissa:
        return str(float(number)) if exponent else "0"
    numerator, denominator = (mantissa << exponent, 1) if exponent >= 0 else (mantissa, 1 << -exponent)
    power = len(str(numerator)) - len(str(denominator))  # 10^(power - 1) < value < 10^(power + 1)
    if numerator * 10 ** max(-power, 0) < denominator * 10 ** max(power, 0):
        power -= 1
    scale = digits - 1 - power
    numerator, denominator = numerator * 10 ** max(scale, 0), denominator * 10 ** max(-scale, 0)
    units = (2 * numerator + denominator) // (2 * denominator)
    if units == 10**digits:
        units, power = units // 10, power + 1
    text = str(units)
    return f"{'-' if sign else ''}{text[0]}.{text[1:]}e{power:+d}"
