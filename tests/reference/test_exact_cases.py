"""Cases whose answer is a rational number, or exactly 0."""

from fractions import Fraction

import pytest

from lossproof import reference

from ._kinds import gradients, holds, kind, kinds


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 50])
def test_equal_logits_share_the_probability(classes):
    """Fails when p_j of equal logits is not 1/V: the gradient is then 1/V, and 1/V - 1 at the target."""
    gradient = gradients(([[3.25] * classes], [0])).logits.values
    assert holds(gradient[0], Fraction(1, classes) - 1)
    assert all(holds(entry, Fraction(1, classes)) for entry in gradient[1:])


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_equal_logits_with_their_own_distribution_cost_nothing(classes):
    """Fails when the smallest loss is not 0: uniform logits at on = off = 1/V (VALUE-3); e = 1/2 for V = 2."""
    even = Fraction(classes - 1, classes)
    answer = reference.token_cross_entropy([[1.5] * classes], [0], label_smoothing=even)
    assert kind(answer.loss.item()) == "0"
    rows = gradients(([[1.5] * classes], [0], None, even))
    assert kinds(rows.logits) == ["0"] * classes
    assert kind(rows.label_smoothing) == "0"


@pytest.mark.parametrize("smoothing", [0, 0.1, 1])
def test_one_class_costs_nothing_but_the_z_loss(smoothing):
    """Fails when V = 1 with smoothing gives anything but z, whose derivatives are rational (STATE-6)."""
    plain = reference.token_cross_entropy([[3.0]], [0], label_smoothing=smoothing)
    assert [kind(answer.item()) for answer in plain] == ["0", "0", "finite"]
    assert holds(plain.log_z.item(), 3)
    squared = reference.token_cross_entropy([[3.0]], [0], label_smoothing=smoothing, z_loss=0.5)
    assert holds(squared.loss.item(), Fraction(9, 2)) and holds(squared.z_loss.item(), Fraction(9, 2))
    answer = gradients(([[3.0]], [0], [2], smoothing, 0.5, 5))
    assert holds(answer.logits.item(), Fraction(2 * 3, 5))
    assert holds(answer.z_loss, Fraction(2 * 9, 5))
    assert kind(answer.label_smoothing) == "0"
    assert holds(answer.weights.item(), Fraction(9, 10))
    assert holds(answer.loss_normalizing_factor, -Fraction(9, 25))


def test_one_class_costs_nothing_in_other_conventions_too():
    """Fails when on and off of V = 1 are taken from a formula."""
    uniform = reference.Convention("uniform", subtract_entropy=False, add_z_loss=False)
    answer = reference.token_cross_entropy([[3.0]], [0], label_smoothing=0.25, z_loss=0.5, convention=uniform)
    assert kind(answer.loss.item()) == "0"
    assert holds(answer.z_loss.item(), Fraction(9, 2))


def test_weight_sums_are_exact_sums():
    """Fails when a small weight is lost beside a large one (VALUE-6)."""
    weights = [1e16, 1.0, -1e16, 2.0**-60]
    answer = reference.compute_weighted_cross_entropy([[0, 0]] * 4, [0] * 4, weights)
    assert holds(answer.weight_sum, 1 + Fraction(1, 2**60))
    without = reference.compute_weighted_cross_entropy([[0, 0]] * 4, [0] * 4)
    assert holds(without.weight_sum, 4)


def test_hessians_of_equal_logits_are_rational():
    """Fails when p (v - mean v) is off: V = 4, equal logits (GRAD-9)."""
    product = reference.weighted_hessian_vector_product([[2, 2, 2, 2]], [1], [3], 0, 0, 2, vector=[[1, 0, 0, -5]])
    expected = [Fraction(3, 2) * Fraction(1, 4) * (v + 1) for v in (1, 0, 0, -5)]
    assert all(holds(entry, number) for entry, number in zip(product, expected, strict=True))


def test_dense_targets_that_sum_to_nothing_cost_a_difference_of_logits():
    """Fails when lse does not cancel: q = (1, -1) costs x_1 - x_0 (VALUE-7)."""
    answer = reference.cross_entropy_with_logits([[0.25, 3.0]], [[1, -1]], 0)
    assert holds(answer.loss.item(), Fraction(11, 4))


def test_nothing_in_gives_nothing_out():
    """Fails when an empty batch is an error, or not 0 (SHAPE-4)."""
    empty = ([], [])
    shaped = reference.token_cross_entropy(_empty((0, 5)), _empty((0,)))
    assert [answer.shape for answer in shaped] == [(0,)] * 3 and not shaped.loss.values
    total = reference.compute_weighted_cross_entropy(_empty((0, 5)), _empty((0,)), _empty((0,)))
    assert kinds(total) == ["0"] * 3
    answer = gradients((_empty((0, 5)), _empty((0,))))
    assert (answer.logits.shape, answer.weights.shape) == ((0, 5), (0,))
    assert kinds([answer.label_smoothing, answer.z_loss, answer.loss_normalizing_factor]) == ["0"] * 3
    with pytest.raises(ValueError, match="at least one class"):
        reference.token_cross_entropy(*empty)


def _empty(shape):
    import numpy as np

    return np.zeros(shape, np.int32)
