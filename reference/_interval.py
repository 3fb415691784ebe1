"""Interval arithmetic on mpmath: every operation encloses the real result.

mpmath's interval +, -, *, / round outward correctly. Its exp and log do not quite (mpmath issue 1181: a result may
miss the true value by a fraction of a working ulp), so both are widened outward by one working ulp here.
"""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeAlias

import mpmath
from mpmath import libmp
from mpmath.ctx_iv import MPIntervalContext

Interval: TypeAlias = Any  # an interval of mpmath, which ships no types

_context = MPIntervalContext()  # our own: the caller's mpmath.iv.prec is left alone


@contextlib.contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Sets the precision of all interval arithmetic inside the block, in bits."""
    saved = _context.prec
    _context.prec = bits
    try:
        yield
    finally:
        _context.prec = saved


def current_precision() -> int:
    """The working precision in bits."""
    return int(_context.prec)


def exact(number: float | Fraction) -> Interval:
    """The interval that holds just this finite number, or a tightest one around it if it is longer than the
    working precision.
    """
    if isinstance(number, Fraction):
        return _context.mpf(number.numerator) / number.denominator
    return _context.mpf(number)


def between(low: Interval, high: Interval) -> Interval:
    """The smallest interval that holds both."""
    return _context.make_mpf((low._mpi_[0], high._mpi_[1]))


def total(terms: list[Interval]) -> Interval:
    """The sum; 0 of no terms."""
    return sum(terms, exact(0))


def exp(x: Interval) -> Interval:
    """e^x."""
    if x == 0:
        return exact(1)
    return _widened(_context.exp(x))


def log(x: Interval) -> Interval:
    """The natural logarithm of x > 0."""
    if x == 1:
        return exact(0)
    return _widened(_context.log(x))


def log1p(x: Interval) -> Interval:
    """log(1 + x) for x >= 0, with small relative width however small x is."""
    if x == 0:
        return exact(0)
    leading_zeros = max(0, -_exponent(x.b))
    if leading_zeros > 4 * _context.prec:  # here x - x^2/2 and x agree to far more than the working precision
        return between(x - x * x / 2, x)
    with working_precision(_context.prec + leading_zeros):
        return log(1 + x)


def endpoints(x: Interval) -> tuple[Any, Any]:
    """The two ends, as exact mpmath numbers."""
    low, high = x._mpi_
    return mpmath.mp.make_mpf(low), mpmath.mp.make_mpf(high)


def _widened(x: Interval) -> Interval:
    low, high = x._mpi_
    ulp = 1 - _context.prec  # as a power of 2, relative to the end itself
    low = libmp.mpf_sub(low, libmp.mpf_shift(libmp.mpf_abs(low), ulp), _context.prec, "f")
    high = libmp.mpf_add(high, libmp.mpf_shift(libmp.mpf_abs(high), ulp), _context.prec, "c")
    return _context.make_mpf((low, high))


def _exponent(x: Interval) -> int:
    _, mantissa, exponent, bits = x._mpi_[1]
    return int(exponent + bits) if mantissa else 0
