"""The oracles are tested: an error of a working ulp, or of one unit of the last place of a float, planted anywhere in
the reference, is found.
"""

import itertools
from fractions import Fraction

import mpmath
import pytest

from lossproof import reference

from ._cases import KINDS, questions
from ._differences import assert_is_derivative
from ._kinds import holds
from ._planting import PLANTS
from ._verdicts import complaints


def first_complaint():
    """The first complaint about any of some questions of every kind, or None."""
    # Backwards: ties and near-ties, at which alone some errors are to be seen, come first.
    asked = itertools.chain.from_iterable(questions(kind, 25, seed="planted") for kind in reversed(KINDS))
    return next((words for question in asked for words in complaints(question)[0]), None)


def test_nothing_is_found_where_nothing_is_planted():
    """Fails when the questions below get complaints anyway, so that they prove nothing."""
    assert first_complaint() is None


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_error_is_found(name, monkeypatch, note):
    """Fails when the comparison with Arb does not see the smallest error at this place of the reference."""
    PLANTS[name](monkeypatch)
    found = first_complaint()
    assert found
    note(f"planted in {name}: {found[0]} {found[2]}")


def off_by(answer, relative):
    factor = mpmath.fadd(1, relative, exact=True)
    low, high = (mpmath.fmul(end, factor, exact=True) for end in (answer.low, answer.high))
    return reference.Enclosure(low, high)


def test_numerical_differentiation_finds_the_last_bit_of_a_float64():
    """Fails when a closed form that is off by a unit of the last place passes for the derivative."""
    row = [[Fraction(5, 4), Fraction(-3, 2)]]
    gradient = reference.token_cross_entropy_gradients(row, [0], cotangents={"loss": [1]}, digits=90).logits.values[0]

    def value(h):
        return mpmath.log(1 + mpmath.exp(mpmath.mpf(-11) / 4 - h))

    assert_is_derivative("by logits: two classes", gradient, value)
    with pytest.raises(AssertionError):
        assert_is_derivative("by logits: two classes", off_by(gradient, mpmath.ldexp(1, -53)), value)


def test_exact_fractions_find_a_working_ulp():
    """Fails when an enclosure beside a rational answer passes for it."""
    answer = reference.token_cross_entropy_gradients([[0] * 3], [1], cotangents={"loss": [1]}).logits.values[0]
    assert holds(answer, Fraction(1, 3))
    assert not holds(off_by(answer, mpmath.ldexp(1, -110)), Fraction(1, 3))
