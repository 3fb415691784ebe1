"""Interval arithmetic on mpmath's numbers: every operation encloses the real result.

The four operations are mpmath's, rounded outward, which it does correctly. Its exp and log are not: a result rounded
up may lie below the true value by a fraction of a working ulp (mpmath issue 1181). So the results rounded to nearest
are taken, whose error is hardly more than half an ulp, and widened outward by a whole one. The ends are mpmath's raw
tuples: a row of logits has 10^5 of them, and its own interval type spends most of its time on dispatch.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

import mpmath
from mpmath import libmp

# (sign, mantissa, exponent, bit count): mpmath, which ships no types, calls it a raw number.
Raw: TypeAlias = Any

_ZERO, _ONE = libmp.fzero, libmp.fone


class _Precision(threading.local):
    """Our own, thread by thread: the caller's mpmath.mp.prec and mpmath.iv.prec are neither read nor set."""

    bits: int = 113


_precision = _Precision()


class UndecidedError(ArithmeticError):
    """The last precision does not tell what the answer is."""


class Interval:
    """The real numbers from `low` to `high`; without these two, unless both are the same, or one of them is 0.

    That the ends are left out follows from how an interval that is no single number comes about: an inexact result is
    rounded away from the value, exp and log are widened by more than they err, and sums, products and quotients of open
    intervals are open.

    Attributes:
      low, high: raw finite numbers; one and the same object where the interval is a single number.
    """

    __slots__ = ("high", "low")

    low: Raw
    high: Raw

    def __init__(self, low: Raw, high: Raw) -> None:
        self.low, self.high = low, high

    @property
    def is_point(self) -> bool:
        """Whether it holds a single number."""
        return self.low is self.high

    def __neg__(self) -> "Interval":
        low = libmp.mpf_neg(self.high)
        return Interval(low, low if self.low is self.high else libmp.mpf_neg(self.low))

    def __add__(self, other: "Interval | float") -> "Interval":
        a, b = self, _interval(other)
        if a.low is a.high:
            if a.low == _ZERO:
                return b
            if b.low is b.high:
                return _rounded(libmp.mpf_add(a.low, b.low))
        if b.low is b.high and b.low == _ZERO:
            return a
        bits = _precision.bits
        return Interval(libmp.mpf_add(a.low, b.low, bits, "f"), libmp.mpf_add(a.high, b.high, bits, "c"))

    def __sub__(self, other: "Interval | float") -> "Interval":
        return self + -_interval(other)

    def __rsub__(self, other: float) -> "Interval":
        return -self + other

    def __mul__(self, other: "Interval | float") -> "Interval":
        a, b = self, _interval(other)
        if b.low is b.high:
            a, b = b, a
        if a.low is a.high:
            if a.low == _ZERO:
                return a
            if a.low == _ONE:
                return b
            if b.low is b.high:
                return _rounded(libmp.mpf_mul(a.low, b.low))
        bits = _precision.bits
        if not (a.low[0] or b.low[0]):  # nothing is negative
            return Interval(libmp.mpf_mul(a.low, b.low, bits, "f"), libmp.mpf_mul(a.high, b.high, bits, "c"))
        products = [libmp.mpf_mul(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        return Interval(libmp.mpf_pos(_least(products), bits, "f"), libmp.mpf_pos(_greatest(products), bits, "c"))

    def __truediv__(self, other: "Interval | float") -> "Interval":
        a, b = self, _interval(other)
        if not (b > 0 or -b > 0):
            raise ZeroDivisionError("the divisor may be 0")
        bits = _precision.bits
        down = [libmp.mpf_div(x, y, bits, "f") for x in (a.low, a.high) for y in (b.low, b.high)]
        up = [libmp.mpf_div(x, y, bits, "c") for x in (a.low, a.high) for y in (b.low, b.high)]
        return between(_least(down), _greatest(up))

    def __rtruediv__(self, other: float) -> "Interval":
        return _interval(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __eq__(self, other: object) -> bool:
        """Whether it is certainly this one number."""
        return isinstance(other, (int, float)) and self.low is self.high and self.low == _interval(other).low

    __hash__ = None  # type: ignore[assignment]  # == is a statement about numbers, no identity

    def __gt__(self, other: "Interval | float") -> bool:
        """Whether it is certainly greater."""
        return bool(libmp.mpf_gt(self.low, _interval(other).high))

    def square(self) -> "Interval":
        """The squares of its numbers."""
        product = self * self
        # A square is not negative, although a product of two intervals that hold 0 may be.
        return between(_ZERO, product.high) if product.low[0] else product


@contextlib.contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Sets the precision of this thread's interval arithmetic inside the block, in bits."""
    saved = _precision.bits
    _precision.bits = bits
    try:
        yield
    finally:
        _precision.bits = saved


def current_precision() -> int:
    """The working precision in bits."""
    return _precision.bits


def exact(number: float | Fraction) -> Interval:
    """The interval that holds just this finite number, or a tightest one around a fraction that is not binary."""
    if isinstance(number, float):
        raw = libmp.from_float(number)
    elif number.denominator & (number.denominator - 1):
        return exact(number.numerator) / exact(number.denominator)
    else:
        raw = libmp.from_man_exp(number.numerator, 1 - number.denominator.bit_length())
    return Interval(raw, raw)


def between(low: Raw, high: Raw) -> Interval:
    """The interval with these ends."""
    return Interval(low, low if low == high else high)


def total(terms: Sequence[Interval], counts: Sequence[int] = ()) -> Interval:
    """The sum, rounded once; 0 of no terms.

    Args:
      terms: what is added.
      counts: how many times each of the first terms is there; those beyond are there once.
    """
    times = [*counts, *[1] * (len(terms) - len(counts))]
    return between(_sum([term.low for term in terms], times, "f"), _sum([term.high for term in terms], times, "c"))


def exp(x: Interval) -> Interval:
    """e^x."""
    return exact(1) if x == 0 else _increasing(libmp.mpf_exp, x)


def log(x: Interval) -> Interval:
    """The natural logarithm of x > 0."""
    return exact(0) if x == 1 else _increasing(libmp.mpf_log, x)


def log1p(x: Interval) -> Interval:
    """log(1 + x) for x >= 0, with small relative width however small x is."""
    if x == 0:
        return x
    _, _, exponent, bits = x.high
    leading_zeros = max(0, -(exponent + bits))
    if leading_zeros > 4 * _precision.bits:  # here x - x^2/2 and x agree to far more than the working precision
        return between((x - x.square() / 2).low, x.high)
    with working_precision(_precision.bits + leading_zeros):
        return log(1 + x)


def tanh_and_slope(x: Interval) -> tuple[Interval, Interval]:
    """tanh x with small relative width however small x is, and its derivative 1 - tanh^2 however large x is."""
    if x == 0:
        return x, exact(1)
    if not (x > 0):
        value, slope = tanh_and_slope(-x)
        return -value, slope
    _, _, exponent, bits = x.high
    leading_zeros = max(0, -(exponent + bits))
    with working_precision(_precision.bits + leading_zeros):
        t = exp(-(x + x))
        inverse = 1 / (1 + t)
        return (1 - t) * inverse, 4 * t * inverse.square()


def endpoints(x: Interval) -> tuple[Any, Any]:
    """The two ends, as exact mpmath numbers."""
    return mpmath.mp.make_mpf(x.low), mpmath.mp.make_mpf(x.high)


def _interval(number: Interval | float) -> Interval:
    if isinstance(number, Interval):
        return number
    return _whole(number) if isinstance(number, int) else exact(number)


@lru_cache(maxsize=64)
def _whole(number: int) -> Interval:
    """The few whole numbers of the formulas, over and over: 1 - p, 2 k, ..."""
    return exact(number)


def _rounded(raw: Raw) -> Interval:
    """An exact number at the working precision: itself, or its two neighbours."""
    bits = _precision.bits
    if raw[3] <= bits:
        return Interval(raw, raw)
    return Interval(libmp.mpf_pos(raw, bits, "f"), libmp.mpf_pos(raw, bits, "c"))


def _increasing(function: Callable[..., Raw], x: Interval) -> Interval:
    """An increasing function of mpmath, whose results rounded to nearest err by less than one ulp."""
    bits = _precision.bits
    low = function(x.low, bits, "n")
    return _widened(Interval(low, low if x.is_point else function(x.high, bits, "n")))


def _widened(x: Interval) -> Interval:
    bits = _precision.bits
    return Interval(libmp.mpf_sub(x.low, _ulp(x.low), bits, "f"), libmp.mpf_add(x.high, _ulp(x.high), bits, "c"))


def _ulp(raw: Raw) -> Raw:
    """The spacing at the working precision of the numbers about this one, or twice that."""
    return libmp.mpf_shift(libmp.mpf_abs(raw), 1 - _precision.bits)


def _sum(numbers: Sequence[Raw], times: Sequence[int], rounding: str) -> Raw:
    """The exact sum of numbers that are there so many times, rounded once, but for bits that lie beyond twice the
    working precision under the largest number: those are rounded for each number, in the same direction.
    """
    counted = [(raw, count) for raw, count in zip(numbers, times, strict=True) if raw[1]]
    if not counted:
        return _ZERO
    bits = _precision.bits
    top = max(exponent + length for (_, _, exponent, length), _ in counted)
    unit = max(min(exponent for (_, _, exponent, _), _ in counted), top - 2 * bits - 64)
    units = 0
    for (sign, mantissa, exponent, _), count in counted:
        shift = exponent - unit
        signed = -mantissa if sign else mantissa
        if shift >= 0:
            units += count * (signed << shift)
        else:  # >> rounds down
            units += count * (signed >> -shift if rounding == "f" else -(-signed >> -shift))
    return libmp.from_man_exp(units, unit, bits, rounding)


def _least(numbers: Sequence[Raw]) -> Raw:
    least = numbers[0]
    for raw in numbers[1:]:
        if libmp.mpf_lt(raw, least):
            least = raw
    return least


def _greatest(numbers: Sequence[Raw]) -> Raw:
    return libmp.mpf_neg(_least([libmp.mpf_neg(raw) for raw in numbers]))
