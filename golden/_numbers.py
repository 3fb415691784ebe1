"""Floats as hexadecimal text: exact, and one spelling for each value."""

import math

from lossproof.spec import FORMATS

INTEGERS = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}


def to_hex(number: float) -> str:
    """Returns the float as C's %a would write it at its shortest, as 0x1.8p+1; or nan, inf, -inf."""
    if not math.isfinite(number):
        return str(number)
    fraction, exponent = math.frexp(number)
    significand = (2 * fraction).hex().split("p")[0]
    if "." in significand:
        significand = significand.rstrip("0").rstrip(".")
    return f"{significand}p{exponent - 1 if number else 0:+d}"


def from_hex(text: str) -> float:
    """Returns the float that `to_hex` wrote."""
    return float.fromhex(text)


def fits(number: float, dtype: str) -> bool:
    """Returns whether a value of type `dtype` can be `number`.

    Args:
      number: a float for the float types, an int for the integer types, a bool for "bool".
      dtype: "bool", a key of `INTEGERS` or of `lossproof.reference.FORMATS`.
    """
    if dtype == "bool" or isinstance(number, bool):
        return dtype == "bool" and isinstance(number, bool)
    if dtype in INTEGERS:
        low, high = INTEGERS[dtype]
        return isinstance(number, int) and low <= number <= high
    if not isinstance(number, float):
        return False
    if not number or not math.isfinite(number):
        return True
    form = FORMATS[dtype]
    numerator, denominator = abs(number).as_integer_ratio()
    twos = numerator & -numerator
    bits = (numerator // twos).bit_length()
    last = twos.bit_length() - denominator.bit_length()  # the exponent of the last bit that is set
    highest = last + bits - 1
    return bits <= form.precision and highest <= form.max_exponent and last > form.min_exponent - form.precision
