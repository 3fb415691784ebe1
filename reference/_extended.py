"""Interval arithmetic extended by nan, inf and -inf, which are plain floats here; an exact coefficient of 0
absorbs everything.
"""

import math
from collections.abc import Sequence

from lossproof.reference._inputs import Real, is_finite
from lossproof.reference._interval import Interval, UndecidedError, exact, total


def scaled(coefficient: Interval | float, value: Interval | float) -> Interval | float:
    """coefficient * value with 0 * inf = 0 * nan = 0; coefficient and value are intervals, or special floats."""
    if isinstance(coefficient, Interval):
        if isinstance(value, Interval):
            return coefficient * value
        if coefficient == 0:
            return exact(0)
    factors = [_sign(factor) for factor in (coefficient, value)]
    if 0 in factors or any(math.isnan(factor) for factor in factors):
        return math.nan
    return math.prod(factors) * math.inf


def added(terms: Sequence[Interval | float], counts: Sequence[int] = ()) -> Interval | float:
    """The sum, with each term as many times as in `total`; inf - inf is nan."""
    specials = [term for term in terms if isinstance(term, float)]  # how many of each makes no difference
    return sum(specials) if specials else total([term for term in terms if isinstance(term, Interval)], counts)


def number(value: Real) -> Interval | float:
    """An exact finite number as an interval; nan, inf and -inf as they are."""
    return exact(value) if is_finite(value) else float(value)


def _sign(factor: Interval | float) -> float:
    if isinstance(factor, float):
        return factor if math.isnan(factor) else math.copysign(1.0, factor)
    if factor == 0:
        return 0.0
    if not (factor > 0 or -factor > 0):
        raise UndecidedError("the sign of a coefficient is not known: its interval has 0 inside")
    return 1.0 if factor > 0 else -1.0
