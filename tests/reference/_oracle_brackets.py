"""Brackets of the oracle against enclosures of the reference, and its two functions against Arb; exact comparisons."""

import itertools
import math
from fractions import Fraction

import numpy as np
from flint import arb, ctx

from lossproof.reference.oracle import _exp, _log1p

LARGEST = Fraction(np.finfo(np.float64).max)


def misses(bracket, enclosures):
    """The places at which a bracket is not the same special value, or does not hold the enclosure.

    Enclosures are of 45 digits. So a bracket is given the width of the enclosure in addition: next to a large maximum
    that is exact, a bracket can be narrower than they are.
    """
    columns = [np.ravel(part).tolist() for part in bracket]
    assert len(columns[0]) == len(list(enclosures))
    triples = zip(*columns, enclosures, strict=True)
    return [
        (n, *words, answer.rounded("float64"))
        for n, (*words, answer) in enumerate(triples)
        if not _holds(*words, answer)
    ]


def _holds(high, low, radius, enclosure):
    if enclosure.is_special or not math.isfinite(high):
        expected = float(enclosure.low) if enclosure.is_special else _beyond(enclosure)
        same = high == expected or (math.isnan(high) and expected is not None and math.isnan(expected))
        return same and low == radius == 0
    if radius == math.inf:
        return True  # nothing is claimed; the tests of the width see that this is rare
    first, last = exact(enclosure.low), exact(enclosure.high)
    middle, radius = Fraction(high) + Fraction(low), Fraction(radius) + (last - first)
    return middle - radius <= first and last <= middle + radius


def _beyond(enclosure):
    """The infinity of a number beyond the float64 range, or None."""
    for sign in (1, -1):
        if min(sign * exact(enclosure.low), sign * exact(enclosure.high)) > LARGEST:
            return sign * math.inf
    return None


def exact(number):
    """An mpmath number as a fraction; what is below 2^-5000 in magnitude is moved there, still far below any radius."""
    sign, mantissa, exponent, bits = number._mpf_
    return (-1 if sign else 1) * Fraction(int(mantissa)) * Fraction(2) ** max(int(exponent), -5000 - int(bits))


def flat(blocks):
    """The gradient's blocks, as one bracket of all rows."""
    slices, brackets = zip(*blocks, strict=True)
    for before, after in itertools.pairwise(slices):
        assert before.stop == after.start
    return tuple(np.concatenate(parts) for parts in zip(*brackets, strict=True))


def exp_arguments(count, seed=0):
    """[2, 4 count]: double-doubles in [-620, 0]: anywhere, near 0, at the table's arguments and halfway between."""
    rng = np.random.default_rng(seed)
    step = math.log(2) / 8192
    near = rng.integers(0, int(620 / step), 2 * count) + np.repeat([0.0, 0.5], count)
    high = np.concatenate([
        rng.uniform(0, 620, count),
        np.exp2(rng.uniform(-70, 9, count)),
        near * step * (1 + rng.integers(-2, 3, 2 * count) * 2.0**-52),
    ])  # fmt: skip
    low = np.spacing(high) / 2 * rng.choice([-1, -0.5, -1e-9, 0, 1e-9, 0.3, 1], high.size)
    return -np.stack(normal(np.minimum(high, 619.9), low))


def log1p_arguments(count, seed=0):
    """[2, 3 count]: double-doubles from 2^-890 to 2^40, and where the table changes or its nearest entry does."""
    rng = np.random.default_rng(seed)
    center = np.ldexp(rng.integers(64, 129, count) / 64, rng.integers(0, 18, count))
    edges = np.maximum(center * (1 + rng.integers(-2, 3, count) * 2.0**-52) - 1, 0)
    high = np.concatenate([np.exp2(rng.uniform(-890, 40, count)), np.exp2(rng.uniform(-12, 18, count)), edges])
    low = np.spacing(high) / 2 * rng.choice([-1, -0.5, -1e-9, 0, 1e-9, 0.3, 1], high.size)
    return np.stack(normal(high, np.where(high > 2.0**-890, low, 0)))


def normal(high, low):
    total = high + low
    return total, low - (total - high)


def exp_misses(arguments):
    """The arguments whose exponential, by Arb, is not within the proven error of the oracle's."""
    found = np.empty_like(arguments)
    _exp.exp(arguments.copy(), found, np.empty((_exp.BUFFERS, arguments.shape[1])))
    return _relative_misses(arguments, found, lambda x: x.exp(), _exp.ERROR, bits=300)


def log1p_misses(arguments):
    """The arguments whose log1p, by Arb, is not within the proven error of the oracle's."""
    found = np.stack(_log1p.log1p(arguments))
    return _relative_misses(arguments, found, lambda x: x.log1p(), _log1p.ERROR, bits=300)


def _relative_misses(arguments, found, function, error, bits):
    ctx.prec = bits
    rows = zip(*arguments.tolist(), *found.tolist(), strict=True)
    wrong = []
    for x_high, x_low, high, low in rows:
        true = function(arb(x_high) + arb(x_low))
        if not abs(arb(high) + arb(low) - true) <= abs(true) * arb(error):
            wrong.append((x_high, x_low))
    return wrong


def rounding_misses(words, true):
    """The indices at which two words are not the nearest float and the float nearest to what is left of `true(i)`."""
    ctx.prec = 300
    wrong = []
    for i, (high, low) in enumerate(zip(*np.array(words).tolist(), strict=True)):
        left = true(i) - arb(high)
        half_ulps = (abs(left) <= arb(math.ulp(high)) / 2, abs(left - arb(low)) <= arb(math.ulp(low)) / 2)
        if not (all(half_ulps) or (true(i) == arb(high) and low == 0)):
            wrong.append(i)
    return wrong
