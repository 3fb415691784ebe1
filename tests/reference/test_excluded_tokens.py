"""EXCL: tokens that do not count leave no trace."""

import pytest

from lossproof import reference

from ._kinds import INF, NAN, gradients, holds, kind, kinds, same

COUNTED = ([0.5, -1.0, 2.0], 1, 1.5)  # logits, target, weight
ROWS = [[0.0, 1.0, 2.0], [NAN] * 3, [INF, 0.0, 1.0], [-INF] * 3, [3e38, -3e38, 0.0]]
FACTORS = [0, 0.0, INF, -INF, NAN, 3]


def batch(row, target, weight, factor=4, k=0.25):
    """The counted token and one more."""
    logits, targets, weights = zip(COUNTED, (row, target, weight), strict=True)
    return list(logits), list(targets), list(weights), 0.125, k, factor


def alone(factor=4, k=0.25):
    logits, targets, weights = ([part] for part in COUNTED)
    return logits, targets, weights, 0.125, k, factor


@pytest.mark.parametrize("row", ROWS)
def test_weight_0_leaves_no_trace(row):
    """Fails when a token of weight 0 adds something, NaN above all (EXCL-1)."""
    with_it, without = (reference.compute_weighted_cross_entropy(*inputs) for inputs in (batch(row, 0, 0.0), alone()))
    assert same(with_it, without)
    answer, expected = (gradients(inputs, loss=1, z_loss=0.5) for inputs in (batch(row, 0, -0.0), alone()))
    assert same(answer.logits.values[:3], expected.logits)
    assert [(entry.low, entry.high) for entry in answer.logits.values[3:]] == [(0, 0)] * 3
    assert same(answer[2:5], expected[2:5])


@pytest.mark.parametrize("target", [-1, 3, 4, -3, 2**31, 2**32, 2**32 + 1, -(2**40)])
@pytest.mark.parametrize("row", ROWS)
def test_targets_out_of_range_leave_no_trace(row, target):
    """Fails when a target is clamped, wrapped or counted (EXCL-2)."""
    with_it, without = (
        reference.compute_weighted_cross_entropy(*inputs) for inputs in (batch(row, target, 7.0), alone())
    )
    assert same(with_it, without)
    answer, expected = (gradients(inputs, loss=1, weight_sum=2) for inputs in (batch(row, target, NAN), alone()))
    assert same(answer.logits.values[:3], expected.logits)
    assert kinds(answer.logits.values[3:]) == ["0"] * 3
    assert kind(answer.weights.values[1]) == "0"  # GRAD-2
    assert same(answer[2:5], expected[2:5])
    one = reference.token_cross_entropy([row], [target], label_smoothing=0.1, z_loss=0.25)
    assert [kind(output.item()) for output in one] == ["0"] * 3
    row_gradient = reference.token_cross_entropy_gradients([row], [target], cotangents={"loss": [1], "log_z": [1]})
    assert kinds(row_gradient.logits) == ["0"] * 3


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("k", [0.25, NAN])
def test_all_padding_is_0_whatever_the_factor(factor, k):
    """Fails when 0 / 0 or 0 * inf shows (EXCL-3)."""
    padding = ([[1, 2, 3], [NAN] * 3], [0, 5], [0, NAN], 0.125, k, factor)
    assert kinds(reference.compute_weighted_cross_entropy(*padding)) == ["0"] * 3
    answer = gradients(padding, loss=1, z_loss=1)
    assert kinds(answer.logits) == ["0"] * 6
    assert kinds([answer.label_smoothing, answer.z_loss, answer.loss_normalizing_factor]) == ["0"] * 3


def test_the_ignored_index_is_excluded_in_its_convention_only():
    """Fails when ignore_index of another library counts, or ours ignores a class."""
    ignoring = reference.Convention(ignore_index=1)
    inputs = ([[0, 0], [0, 0]], [0, 1])
    assert kinds(reference.token_cross_entropy(*inputs, convention=ignoring).loss) == ["finite", "0"]
    assert kinds(reference.token_cross_entropy(*inputs).loss) == ["finite", "finite"]
    assert holds(reference.compute_weighted_cross_entropy(*inputs, convention=ignoring).weight_sum, 1)


def test_a_weight_of_0_still_learns():
    """Fails when the derivative by a weight is 0 where the weight is (GRAD-2)."""
    answer = gradients(([[0, 0]], [0], [0], 0, 0, 4)).weights.item()
    loss = reference.compute_weighted_cross_entropy([[0, 0]], [0], [1], 0, 0, 4).loss
    assert same([answer], [loss])
