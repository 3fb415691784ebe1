"""What kind of answer an enclosure is, for comparisons with `==`."""

import math
from fractions import Fraction

import mpmath


def kind(enclosure):
    """Returns "nan", "inf", "-inf", "0" or "finite"."""
    if enclosure.is_special:
        return str(float(enclosure.low))
    if enclosure.rounded("float64") == 0 and enclosure.decimal(5) == "0":
        return "0"
    return "finite"


def kinds(array):
    return [kind(enclosure) for enclosure in array]


def holds(enclosure, fraction):
    """Whether an enclosure is one of this rational, and as tight as a float64 needs."""
    numerator, denominator = Fraction(fraction).as_integer_ratio()
    low, high = (mpmath.fmul(end, denominator, exact=True) for end in (enclosure.low, enclosure.high))
    return bool(low <= numerator <= high) and enclosure.rounded("float64") == numerator / denominator


def is_exactly(enclosure, fraction):
    """Whether an enclosure is this binary rational and nothing else."""
    numerator, denominator = Fraction(fraction).as_integer_ratio()
    return [mpmath.fmul(end, denominator, exact=True) for end in (enclosure.low, enclosure.high)] == [numerator] * 2


def same(first, second):
    """Whether two answers are the same enclosures, end by end."""
    return [(repr(e.low), repr(e.high)) for e in first] == [(repr(e.low), repr(e.high)) for e in second]


def gradients(batch, **cotangents):
    """The weighted gradients, cotangent 1 for loss unless others are given."""
    from lossproof import reference

    return reference.compute_weighted_cross_entropy_gradients(*batch, cotangents=cotangents or {"loss": 1})


INF, NAN = math.inf, math.nan
