"""What tokens predict, and dense targets of tokens and batches, against the plain formulas."""

import math
from fractions import Fraction

import mpmath
import pytest
from mpmath import mpf

from lossproof import reference

from . import _plain as plain
from ._differences import assert_is_derivative
from ._kinds import INF, kinds

DIGITS = 90
ROWS = [[Fraction(5, 4), Fraction(-3, 2), Fraction(9, 8)], [Fraction(1, 4), Fraction(30), Fraction(-2)]]
TARGETS = [2, 1]
DENSE = [[0.5, -1.0, 3.0], [0.0, 1.0, 0.25]]
WEIGHTS = [Fraction(3, 2), Fraction(0)]
CAPS = [None, Fraction(2), Fraction(30)]
NAN = math.nan


def real(number):
    return mpf(number.numerator) / number.denominator


def moved(row, j, step, cap):
    """The logits behind the soft-cap, with `step` added to the j-th before it."""
    y = [real(number) + (step if i == j else 0) for i, number in enumerate(row)]
    return y if cap is None else [real(cap) * mpmath.tanh(number / real(cap)) for number in y]


def entropy(x):
    p = [mpmath.exp(number - plain.log_z(x)) for number in x]
    return -mpmath.fsum(weight * mpmath.log(weight) for weight in p)


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("targets", [TARGETS, DENSE], ids=["classes", "dense"])
def test_the_gradients_of_predictions_are_the_derivatives(targets, cap):
    """Fails when GRAD-13 loses a term, or a cotangent, or the soft-cap's slope."""
    by_target, by_entropy = [Fraction(3, 4), Fraction(-5, 8)], [Fraction(1, 2), Fraction(7, 8)]
    cotangents = {"target_log_probability": by_target, "entropy": by_entropy}
    inputs = {"logits": ROWS, "targets": targets, "logit_softcap": cap, "digits": DIGITS}
    entries = reference.prediction_gradients(**inputs, cotangents=cotangents).logits.values
    for i, (row, target) in enumerate(zip(ROWS, targets, strict=True)):
        q = [mpf(int(j == target)) for j in range(3)] if targets is TARGETS else [mpf(weight) for weight in target]

        def value(x, i=i, q=q):
            return -real(by_target[i]) * plain.dense_loss(x, q) + real(by_entropy[i]) * entropy(x)

        for j in range(3):
            assert_is_derivative(
                "prediction: by logits",
                entries[3 * i + j],
                lambda h, j=j, row=row, value=value: value(moved(row, j, h, cap)),
            )


def test_special_values_of_predictions():
    """Fails when a masked class makes the entropy NaN, or a token that is excluded or undefined predicts a class
    (VALUE-13 to VALUE-15, GRAD-13).
    """
    rows = [[0, -INF, 0], [0, -INF, 0], [1, 2, NAN], [INF, 0, 0], [-INF] * 3, [NAN, 0, 0]]
    targets = [0, 1, 0, 0, 0, 3]
    predicted = reference.prediction(rows, targets)
    assert [int(entry.low) for entry in predicted.predicted_class] == [0, 0, -1, -1, -1, -1]
    assert kinds(predicted.target_log_probability) == ["finite", "-inf", "nan", "nan", "nan", "0"]
    assert kinds(predicted.entropy) == ["finite", "finite", "nan", "nan", "nan", "0"]
    assert [entry.rounded("float64") for entry in predicted.entropy][:2] == [math.log(2)] * 2
    cotangents = {"target_log_probability": [1] * 6, "entropy": [1] * 6}
    gradients = kinds(reference.prediction_gradients(rows, targets, cotangents=cotangents).logits)
    assert gradients == ["finite", "0", "finite", "finite", "finite", "finite", *["nan"] * 9, *["0"] * 3]


@pytest.mark.parametrize(("row", "first"), [([1, 3, 3, 2], 1), ([-1, -1], 0), ([1e300, 2e300], 1)])
def test_the_predicted_class_is_the_first_of_the_largest_logits(row, first):
    """Fails when ties go to the last, or a soft-cap that brings logits together in any number of digits makes one."""
    for cap in CAPS:
        predicted = reference.prediction([row], [0], logit_softcap=cap).predicted_class.item()
        assert int(predicted.low) == int(predicted.high) == first


def test_an_ignored_target_predicts_nothing():
    """Fails when a convention's ignore_index does not exclude further results as it does losses."""
    predicted = reference.prediction([[1, 2]], [1], ignore_index=1)
    assert [int(results.item().low) for results in predicted] == [0, -1, 0]


def test_dense_targets_of_tokens_and_batches_are_those_of_the_function_for_them():
    """Fails when VALUE-12 has another loss than VALUE-7, subtracts an entropy, forgets the weights or counts them
    otherwise; and when the derivatives differ (GRAD-1, GRAD-6).
    """
    k = Fraction(3, 16)
    apart = reference.cross_entropy_with_logits(ROWS, DENSE, k)
    tokens = reference.token_cross_entropy(ROWS, DENSE, z_loss=k)
    assert (tokens.loss, tokens.z_loss) == (apart.loss, apart.z_loss)
    batch = reference.compute_weighted_cross_entropy(ROWS, DENSE, WEIGHTS, 0.0, k, 2)
    assert batch.loss.decimal(20) == reference.compute_weighted_cross_entropy(
        ROWS[:1], DENSE[:1], [0.75], 0.0, k
    ).loss.decimal(20)
    assert batch.weight_sum.rounded("float64") == 1.5

    by = reference.cross_entropy_with_logits_gradients(ROWS, DENSE, k, cotangents={"loss": [0.75, 0]})
    by_tokens = reference.token_cross_entropy_gradients(ROWS, DENSE, z_loss=k, cotangents={"loss": [0.75, 0]})
    by_batch = reference.compute_weighted_cross_entropy_gradients(ROWS, DENSE, WEIGHTS, 0, k, 2, cotangents={"loss": 1})
    for gradients in (by_tokens, by_batch):
        assert (gradients.logits, gradients.targets) == (by.logits, by.targets)
        assert kinds([gradients.label_smoothing]) == ["0"]
    assert reference.token_cross_entropy_gradients(ROWS, TARGETS, cotangents={}).targets is None


def test_weight_0_hides_a_dense_token():
    """Fails when a padded token with dense targets reaches the loss (EXCL-1)."""
    rows, targets = [ROWS[0], [NAN, 0, 0]], [DENSE[0], [NAN, 1.0, 0.0]]
    loss = reference.compute_weighted_cross_entropy(rows, targets, [1, 0]).loss
    assert loss.decimal(20) == reference.token_cross_entropy(ROWS[:1], DENSE[:1]).loss.item().decimal(20)


def test_dense_targets_are_not_smoothed():
    """Fails when label_smoothing of dense targets is ignored (SHAPE-7)."""
    with pytest.raises(ValueError, match=r"must be 0 with dense targets, got label_smoothing=0\.1: smooth"):
        reference.token_cross_entropy(ROWS, DENSE, label_smoothing=0.1)
