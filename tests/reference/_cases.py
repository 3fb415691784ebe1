"""Logits to try the reference on: ordinary ones, and those on which formulas break."""

import random
from fractions import Fraction

SMOOTHINGS = (Fraction(0), Fraction(1, 10), Fraction(0.1), Fraction(1, 2), Fraction(1))
Z_COEFFICIENTS = (Fraction(0), Fraction(1e-4), Fraction(1, 10))


def _normal(rng, classes):
    spread = rng.choice([0.1, 1.0, 5.0, 20.0])
    return [rng.gauss(0, spread) for _ in range(classes)]


def _confident(rng, classes):
    """The target, class 0, leads by 1 to 2000."""
    return [rng.uniform(1, 2000)] + [rng.gauss(0, 0.5) for _ in range(classes - 1)]


def _wrong(rng, classes):
    """The target, class 0, lies 1 to 2000 below."""
    return [-rng.uniform(1, 2000)] + [rng.gauss(0, 0.5) for _ in range(classes - 1)]


def _offset(rng, classes):
    offset = rng.choice([1e3, -1e4, 1e5, 2.0**40])
    return [offset + rng.gauss(0, 2) for _ in range(classes)]


def _ties(rng, classes):
    return [float(rng.randint(-1, 1)) for _ in range(classes)]


def _huge(rng, classes):
    return [rng.choice([3e38, -3e38, 1e300, 1.7e308, 0.0]) for _ in range(classes)]


def _tiny(rng, classes):
    return [
        rng.choice([1, -1]) * rng.uniform(1, 2) * rng.choice([5e-324, 1e-310, 1e-40, 1e-20]) for _ in range(classes)
    ]


KINDS = {
    "normal": _normal,
    "confident": _confident,
    "wrong": _wrong,
    "offset": _offset,
    "ties": _ties,
    "huge": _huge,
    "tiny": _tiny,
}


def tokens(kind, count):
    """Returns (logits, target, label_smoothing, z_loss) `count` times, V from 1 to 50."""
    rng = random.Random(kind)  # noqa: S311  a seed, not a secret
    cases = []
    for i in range(count):
        classes = 1 + i if i < 4 else rng.randint(1, 50)
        target = 0 if kind in ("confident", "wrong") else rng.randrange(classes)
        cases.append((KINDS[kind](rng, classes), target, rng.choice(SMOOTHINGS), rng.choice(Z_COEFFICIENTS)))
    return cases
