"""Dense targets and Hessian-vector products against numerical differentiation of the plain formulas."""

from fractions import Fraction

import pytest
from mpmath import mpf

from lossproof import reference

from . import _plain as plain
from ._differences import assert_is_derivative
from .test_derivatives import CONVENTIONS, asked

DIGITS = 90
ROW = [Fraction(5, 4), Fraction(-3, 2), Fraction(0), Fraction(9, 8)]
# A distribution; any sum; both signs; a sum of 0.
DENSE = [
    [Fraction(1, 2), Fraction(1, 4), Fraction(1, 8), Fraction(1, 8)],
    [Fraction(3), Fraction(1, 4), Fraction(0), Fraction(7, 8)],
    [Fraction(-1, 2), Fraction(2), Fraction(1, 16), Fraction(-3, 4)],
    [Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-1, 2)],
]
K = Fraction(3, 16)
VECTOR = [Fraction(1), Fraction(-2), Fraction(1, 2), Fraction(3, 4)]


def reals(numbers, j=None, step=0):
    """Rationals as mpf, the j-th moved by `step`."""
    return [mpf(n.numerator) / n.denominator + (step if i == j else 0) for i, n in enumerate(numbers)]


@pytest.mark.parametrize("q", DENSE)
def test_dense_gradients_are_the_derivatives(q):
    """Fails when the gradient is p - q instead of Q p - q, or that by the targets is not lse - x_j (GRAD-1, GRAD-6)."""
    by_loss, by_z = Fraction(3, 4), Fraction(-5, 8)
    gradients = reference.cross_entropy_with_logits_gradients(
        [ROW], [q], K, cotangents={"loss": [by_loss], "z_loss": [by_z]}, digits=DIGITS
    )

    def value(x, weights, k):
        a, b = reals([by_loss, by_z])
        return a * (plain.dense_loss(x, weights) + plain.z(x, k)) + b * plain.z(x, k)

    (k,) = reals([K])
    for j in range(4):
        by_logits, by_targets = gradients.logits.values[j], gradients.targets.values[j]
        assert_is_derivative("dense: by logits", by_logits, lambda h, j=j: value(reals(ROW, j, h), reals(q), k))
        assert_is_derivative("dense: by targets", by_targets, lambda h, j=j: value(reals(ROW), reals(q, j, h), k))
    assert_is_derivative("dense: by z_loss", gradients.z_loss, lambda h: value(reals(ROW), reals(q), k + h))


@pytest.mark.parametrize("e", [Fraction(0), Fraction(1, 8), Fraction(1, 2)])
@pytest.mark.parametrize("k", [Fraction(0), K])
@pytest.mark.parametrize("lead", [0, 25])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_hessian_vector_product_is_the_second_derivative(e, k, lead, convention):
    """Fails when GRAD-9 is off: a of the curvature, the mean under p, the rank-one part of the z-loss, c_i."""
    row, weight, factor = [ROW[0] + lead, *ROW[1:]], Fraction(-3, 2), Fraction(5, 2)
    product = reference.weighted_hessian_vector_product(
        [row], [0], [weight], e, k, factor, vector=[VECTOR], digits=DIGITS, convention=asked(CONVENTIONS[convention])
    )
    for j, entry in enumerate(product):

        def value(g, h, j=j):
            moved = [x + h * v for x, v in zip(reals(row, j, g), reals(VECTOR), strict=True)]
            return plain.batch([moved], [0], reals([weight]), *reals([e, k, factor]), **CONVENTIONS[convention])[0]

        assert_is_derivative(f"batch, {convention}: Hessian-vector product", entry, value, order=2)


def test_excluded_tokens_have_no_curvature():
    """Fails when weight 0 or an out-of-range target leaves something in a Hessian-vector product (EXCL)."""
    product = reference.weighted_hessian_vector_product([ROW, ROW], [0, 9], [0, 1], vector=[VECTOR, VECTOR])
    assert [(entry.low, entry.high) for entry in product] == [(0, 0)] * 8


def test_the_vector_must_fit_the_logits():
    """Fails when a vector of another shape is cut or broadcast."""
    with pytest.raises(ValueError, match=r"vector must have the shape of logits, \(1, 4\), got \(4,\)"):
        reference.weighted_hessian_vector_product([ROW], [0], vector=VECTOR)
