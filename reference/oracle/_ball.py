"""Ball arithmetic for what is computed once per token; docs/oracle-proof.md, section 7.

A value is a `Ball`, or one of the floats nan, inf, -inf; an exact coefficient of 0 absorbs everything.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, Union

Value: TypeAlias = Union["Ball", float]

_BITS = 200  # of a quotient


@dataclass(frozen=True, slots=True)
class Ball:
    """A real number within `radius` of mantissa * 2^exponent.

    Sums and products have exact midpoints; quotients are rounded to 200 bits, and their radius says so.
    """

    mantissa: int
    exponent: int = 0
    radius: float = 0.0

    def __add__(self, other: "Ball") -> "Ball":
        exponent = min(self.exponent, other.exponent)
        mantissa = (self.mantissa << (self.exponent - exponent)) + (other.mantissa << (other.exponent - exponent))
        return Ball(mantissa, exponent, padded(self.radius + other.radius))

    def __neg__(self) -> "Ball":
        return Ball(-self.mantissa, self.exponent, self.radius)

    def __sub__(self, other: "Ball") -> "Ball":
        return self + -other

    def __mul__(self, other: "Ball") -> "Ball":
        radius = 0.0
        if other.radius:
            radius += (self.size() + self.radius) * other.radius
        if self.radius:
            radius += other.size() * self.radius
        if self.radius or other.radius:
            radius = padded(radius, underflow=True)
        return Ball(self.mantissa * other.mantissa, self.exponent + other.exponent, radius)

    def __truediv__(self, other: "Ball") -> "Ball":
        nearest = other.size() * (1 - 2.0**-49) - other.radius
        if nearest <= 0:
            raise ZeroDivisionError("the divisor's ball holds 0")
        shift = max(0, _BITS + other.mantissa.bit_length() - self.mantissa.bit_length())
        mantissa, left = divmod(self.mantissa << shift, other.mantissa)
        quotient = Ball(mantissa, self.exponent - other.exponent - shift)
        spread = (self.radius + quotient.size() * other.radius) / nearest + quotient.size() * (
            2.0**-198 if left else 0.0
        )
        return Ball(quotient.mantissa, quotient.exponent, padded(spread, underflow=spread > 0))

    def fraction(self) -> Fraction:
        """The midpoint."""
        return Fraction(self.mantissa) * Fraction(2) ** self.exponent

    def size(self) -> float:
        """A float no smaller than the midpoint's magnitude."""
        dropped = max(0, self.mantissa.bit_length() - 52)
        try:
            size = math.ldexp((abs(self.mantissa) >> dropped) + (dropped > 0), dropped + self.exponent)
        except OverflowError:
            return math.inf
        return size if size or not self.mantissa else 5e-324


def padded(radius: float, *, underflow: bool = False) -> float:
    """A radius computed with at most six roundings of float64, made no smaller than the exact one."""
    return radius * (1 + 2.0**-49) + (2.0**-1070 if underflow else 0.0)


def ball(number: float | Fraction, relative: float = 0.0, absolute: float = 0.0) -> Ball:
    """A finite number known up to a relative and an absolute error, relative to the number given."""
    numerator, denominator = number.as_integer_ratio()
    shift = denominator.bit_length() - 1
    exact = Ball(numerator, -shift) if denominator == 1 << shift else Ball(numerator) / Ball(denominator)
    return widened(exact, relative, absolute)


def widened(exact: Ball, relative: float = 0.0, absolute: float = 0.0) -> Ball:
    """A ball with a relative and an absolute error added to its radius."""
    if not (relative or absolute):
        return exact
    radius = exact.radius + exact.size() * relative + absolute
    return Ball(exact.mantissa, exact.exponent, padded(radius, underflow=True))


def is_zero(value: Value) -> bool:
    """Whether a value is exactly 0."""
    return isinstance(value, Ball) and value.mantissa == 0 and value.radius == 0


def scaled(coefficient: Value, value: Value) -> Value:
    """coefficient * value with 0 * inf = 0 * nan = 0."""
    if is_zero(coefficient):
        return coefficient
    if isinstance(coefficient, Ball) and isinstance(value, Ball):
        return coefficient * value
    return math.prod(_sign(factor) for factor in (coefficient, value)) * math.inf


def added(values: Iterable[Value]) -> Value:
    """The sum; inf - inf is nan."""
    total, special = Ball(0), 0.0
    for value in values:
        if isinstance(value, Ball):
            total += value
        else:
            special += value
    return total if special == 0 else special


def words(value: Value) -> tuple[float, float, float]:
    """High, low and radius: the value is within radius of high + low.

    A special value is its own high word, with radius 0; for a number beyond the float64 range that is an infinity.
    """
    if not isinstance(value, Ball):
        return value, 0.0, 0.0
    middle = value.fraction()
    try:
        high = float(middle)
    except OverflowError:
        return math.inf if value.mantissa > 0 else -math.inf, 0.0, 0.0
    rest = middle - Fraction(high)
    low = float(rest)
    left = rest - Fraction(low)
    return (
        high,
        low,
        rounded_up(Fraction(value.radius) + abs(left)) if left and value.radius < math.inf else value.radius,
    )


def rounded_up(number: Fraction) -> float:
    """A float64 that is no smaller than a number >= 0; inf beyond the range."""
    try:
        nearest = float(number)
    except OverflowError:
        return math.inf
    return nearest if Fraction(nearest) >= number else math.nextafter(nearest, math.inf)


def _sign(value: Value) -> float:
    if not isinstance(value, Ball):
        return value if math.isnan(value) else math.copysign(1.0, value)
    return float((value.mantissa > 0) - (value.mantissa < 0))
