"""The oracle's double-double operations against exact fractions, and the bounds that its proof cites."""

from fractions import Fraction

import numpy as np
import pytest

from lossproof.reference.oracle import _double_double as dd

POINTS = 5000
U = Fraction(1, 2**53)


def operands(seed, count=POINTS):
    """Double-doubles with exponents from -30 to 30, and of either sign."""
    rng = np.random.default_rng(seed)
    high = rng.uniform(1, 2, count) * np.exp2(rng.integers(-30, 31, count)) * rng.choice([-1, 1], count)
    return dd.two_sum(high, np.spacing(high) / 2 * rng.uniform(-1, 1, count))


def nearly_opposite(x, seed):
    """For each double-double one that cancels all but a few of its last bits, or of its middle ones."""
    rng = np.random.default_rng(seed)
    bits = np.exp2(-rng.integers(40, 106, x[0].size))
    return dd.two_sum(-x[0] * (1 + bits), x[1] * rng.uniform(-1, 1, x[0].size) * rng.choice([1, 0.1, 1e-5], x[0].size))


def exact(x):
    return [Fraction(high) + Fraction(low) for high, low in zip(*(part.tolist() for part in x), strict=True)]


def worst(found, true):
    """The largest relative error, in units of u^2."""
    return max(abs(f - t) / abs(t) if t else Fraction(f != t) for f, t in zip(exact(found), true, strict=True)) / U**2


def same_sign(x, y):
    return dd.add_same_sign((abs(x[0]), x[1] * np.sign(x[0])), (abs(y[0]), y[1] * np.sign(y[0])))


FAR, NEAR = (operands(0), operands(1)), (operands(0), nearly_opposite(operands(0), 1))
SHORT = [[Fraction(value) for value in y[0].tolist()] for _, y in (FAR, NEAR)]
CASES = {
    "add": (dd.add(*FAR), [a + b for a, b in zip(*map(exact, FAR), strict=True)], 3),
    "add, cancelling": (dd.add(*NEAR), [a + b for a, b in zip(*map(exact, NEAR), strict=True)], 3),
    "add_float": (dd.add_float(FAR[0], FAR[1][0]), [a + b for a, b in zip(exact(FAR[0]), SHORT[0], strict=True)], 2),
    "add_float, cancelling": (
        dd.add_float(NEAR[0], NEAR[1][0]),
        [a + b for a, b in zip(exact(NEAR[0]), SHORT[1], strict=True)],
        2,
    ),
    "add_same_sign": (same_sign(*FAR), [abs(a) + abs(b) for a, b in zip(*map(exact, FAR), strict=True)], 3),
    "multiply": (dd.multiply(*FAR), [a * b for a, b in zip(*map(exact, FAR), strict=True)], 7),
    "multiply_float": (
        dd.multiply_float(FAR[0], FAR[1][0]),
        [a * b for a, b in zip(exact(FAR[0]), SHORT[0], strict=True)],
        1.5,
    ),
    "divide": (dd.divide(*FAR), [a / b for a, b in zip(*map(exact, FAR), strict=True)], 15),
}


@pytest.mark.parametrize("case", CASES)
def test_operations_keep_their_published_bounds(case):
    """Fails when an operation is not the algorithm whose bound docs/oracle-proof.md, section 2, cites for it."""
    found, true, bound = CASES[case]
    assert worst(found, true) <= bound
    assert all(high == high + low for high, low in zip(*(part.tolist() for part in found), strict=True))


@pytest.mark.parametrize("name", ["two_sum", "two_prod"])
def test_sums_and_products_of_floats_are_exact(name):
    """Fails when the error of a sum or product is not what the two words say."""
    for a, b in ((FAR[0][0], FAR[1][0]), (NEAR[0][0], NEAR[1][0])):
        pairs = [(Fraction(x), Fraction(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        true = [x + y if name == "two_sum" else x * y for x, y in pairs]
        assert exact(getattr(dd, name)(a, b)) == true


def test_buffers_give_what_new_arrays_give():
    """Fails when an operation overwrites what it still needs."""
    (x, y), buffers = FAR, list(np.empty((6, POINTS)))
    assert np.array_equal(dd.multiply(x, y, tuple(buffers)), dd.multiply(x, y))
    assert np.array_equal(dd.two_sum(x[0], y[0], tuple(buffers[:3])), dd.two_sum(x[0], y[0]))
    inside = np.array(x)
    assert np.array_equal(dd.add_same_sign(inside, y, (*inside, *buffers[:3])), dd.add_same_sign(x, y))
