"""How peers reduce a batch: a sum and two kinds of mean."""

import math
from fractions import Fraction

import pytest
from mpmath import mpf

from lossproof import reference

from . import _plain as plain
from ._differences import assert_is_derivative
from ._kinds import kinds

ROWS = [[Fraction(1), Fraction(-2), Fraction(3)], [Fraction(0), Fraction(1, 2), Fraction(1)], [Fraction(4)] * 3]
TARGETS = [0, 2, 1]
WEIGHTS = [Fraction(3, 2), Fraction(1, 4), Fraction(2)]
MEAN = reference.Convention("uniform", subtract_entropy=False, reduction="mean")


def real(number):
    return mpf(number.numerator) / number.denominator


def test_a_mean_divides_by_what_it_counts():
    """Fails when ignored tokens are in the mean's count, or are not in the batch's (torch's mean, Keras' mean)."""
    targets = [0, -100, 1]
    peer = {"smoothing": "uniform", "subtract_entropy": False, "ignore_index": -100}
    total, mean, batch_mean = (
        reference.compute_weighted_cross_entropy(
            ROWS, targets, convention=reference.Convention(**peer, reduction=reduction), digits=40
        )
        for reduction in ("sum", "mean", "batch_mean")
    )
    for divided, count in ((mean, 2), (batch_mean, 3)):
        by_factor = reference.compute_weighted_cross_entropy(
            ROWS, targets, None, 0, 0, count, convention=reference.Convention(**peer), digits=40
        )
        assert divided.loss.decimal(40) == by_factor.loss.decimal(40) != total.loss.decimal(40)
        assert divided.weight_sum == total.weight_sum


def test_a_mean_of_nothing_is_undefined():
    """Fails when the mean of no token is 0: torch gives NaN. The mean over the batch is 0."""
    for reduction, kind in (("mean", "nan"), ("batch_mean", "0"), ("sum", "0")):
        convention = reference.Convention(ignore_index=1, reduction=reduction)
        values = reference.compute_weighted_cross_entropy(ROWS[:1], [1], convention=convention)
        assert kinds(values)[:2] == [kind, kind]


@pytest.mark.parametrize("argument", ["weights", "logits", "label_smoothing", "loss_normalizing_factor"])
def test_the_derivatives_of_a_weighted_mean(argument):
    """Fails when the mean's denominator is taken for a constant in the derivative by weights, or left out elsewhere."""
    e, factor = Fraction(1, 8), Fraction(5, 2)
    gradients = reference.compute_weighted_cross_entropy_gradients(
        ROWS, TARGETS, WEIGHTS, e, 0, factor, cotangents={"loss": 1}, convention=MEAN, digits=90
    )

    def mean(i, j, h):
        weights = [real(w) + (h if argument == "weights" and n == i else 0) for n, w in enumerate(WEIGHTS)]
        rows = [
            [real(x) + (h if argument == "logits" and (n, m) == (i, j) else 0) for m, x in enumerate(row)]
            for n, row in enumerate(ROWS)
        ]
        smoothing = real(e) + (h if argument == "label_smoothing" else 0)
        divisor = real(factor) + (h if argument == "loss_normalizing_factor" else 0)
        losses = [
            plain.hard_loss(row, target, smoothing, uniform=True, entropy=False)
            for row, target in zip(rows, TARGETS, strict=True)
        ]
        return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights) / divisor

    gradient = getattr(gradients, argument)
    entries = [gradient] if isinstance(gradient, reference.Enclosure) else list(gradient)
    width = len(entries) // 3 or 1
    for n, entry in enumerate(entries):
        assert_is_derivative(f"{argument}, of a mean", entry, lambda h, n=n: mean(n // width, n % width, h))


def test_the_weight_of_an_excluded_token_moves_the_divisor_of_a_mean():
    """Fails when the derivative by the weight 0 of a token with a NaN is 0: it is -mean / (sum of the weights)."""
    logits = [*ROWS[:2], [math.nan, 0, 0]]
    batch = (logits, TARGETS, [Fraction(3, 2), Fraction(1, 4), 0])
    mean = reference.compute_weighted_cross_entropy(*batch, convention=MEAN, digits=30).loss
    gradients = reference.compute_weighted_cross_entropy_gradients(
        *batch, cotangents={"loss": 1}, convention=MEAN, digits=30
    )
    found = gradients.weights.values[2]
    assert abs(found.value + mean.value / mpf("1.75")) < mpf("1e-14")
    assert found.value < -0.1
