"""The values of losses and totals."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy
from lossproof.impl._form import Form
from lossproof.impl._smoothing import concrete_smoothing

from ._formulas import hard, token
from ._ulps import assert_within, loss_roundings

ONE_TWO_THREE = np.array([[1.0, 2.0, 3.0]], np.float32)


@pytest.mark.parametrize(
    ("logits", "e", "k", "loss", "z"),
    [
        ([1, 2, 3], 0.0, 0.0, 2.40760596444438030448292, 0.0),
        ([1, 2, 3], 0.1, 0.0, 1.863208272996937534034647, 0.0),
        ([1, 2, 3], 1.0, 0.0, 0.2144587838844349950656878, 0.0),
        ([1, 2, 3], 0.0, 0.1, 2.40760596444438030448292 + 1.161177840891691524787774, 1.161177840891691524787774),
        ([1, 2, -np.inf], 0.0, 0.0, 1.313261687518222834048995, 0.0),
        ([0, -200, 0], 0.1, 0.0, 10.29874948911250253896896, 0.0),
    ],
)
def test_a_token_has_the_loss_of_the_design(logits, e, k, loss, z):
    """Breaks if any term of the loss is missing, doubled or spread over V classes (VALUE-1 to VALUE-4)."""
    logits = np.array([logits], np.float32)
    expected = hard(logits[0], 0, e, k)
    actual = token_cross_entropy(logits, [0], label_smoothing=e, z_loss=k)
    assert_within(actual.loss, [loss], loss_roundings(logits), expected.loss_scale)
    assert_within(actual.z_loss, [z], loss_roundings(logits))


@pytest.mark.parametrize("e", [0.0, 1e-6, 0.1, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("traced", [False, True])
def test_smoothed_losses_follow_the_formula(e, traced):
    """Breaks if on, off or H is wrong for a known or a traced label_smoothing (VALUE-2, VALUE-3, STATE-7)."""
    x = np.random.default_rng(3).normal(0, 5, (6, 17)).astype(np.float32)
    targets = np.arange(6) * 3
    e = np.float32(e)
    function = jax.jit(token_cross_entropy) if traced else token_cross_entropy
    actual = function(x, targets, label_smoothing=e, z_loss=np.float32(0.25))
    expected = [hard(row, t, e, 0.25) for row, t in zip(x, targets, strict=True)]
    scale = np.array([one.loss_scale for one in expected], np.float64)
    assert_within(actual.loss, [one.loss for one in expected], loss_roundings(x), scale)
    assert_within(actual.log_z, [one.log_z for one in expected], loss_roundings(x), 1 + np.abs(x).max(-1))


def test_the_smallest_smoothed_loss_is_zero():
    """Breaks if the entropy constant is off: logits that equal log q have loss 0 (VALUE-3)."""
    x = np.log(np.array([0.9, 0.05, 0.05])).astype(np.float32)
    expected = hard(x, 0, 0.1)
    actual = token_cross_entropy(x, 0, label_smoothing=0.1).loss
    assert_within(actual, expected.loss, loss_roundings(x), float(expected.loss_scale))


def test_log_z_is_the_log_of_the_sum():
    """Breaks if log_z is anything but lse (VALUE-8)."""
    expected = token(ONE_TWO_THREE[0], [1, 0, 0]).log_z
    assert_within(token_cross_entropy(ONE_TWO_THREE, [1]).log_z, [expected], loss_roundings(ONE_TWO_THREE))


def test_a_total_weighs_once_and_divides_once():
    """Breaks if the weight enters twice or not at all, or L divides the weight sum (VALUE-5, VALUE-6)."""
    x = np.random.default_rng(4).normal(0, 3, (2, 3, 5)).astype(np.float32)
    targets = np.array([[0, 1, 2], [3, 4, 5]])
    weights = np.array([[1.0, 0.5, 2.0], [3.0, 0.25, 9.0]], np.float32)
    loss, z, weight_sum = compute_weighted_cross_entropy(x, targets, weights, 0.1, 0.5, 4.0)
    tokens = [hard(x[i], min(targets[i], 4), np.float64(0.1), 0.5) for i in np.ndindex(2, 3) if targets[i] < 5]
    c = weights.reshape(-1)[:5] / 4.0
    roundings = loss_roundings(x).max() + 4
    scale = float(sum(ci * one.loss_scale for ci, one in zip(c, tokens, strict=True)))
    assert_within(loss, sum(ci * one.loss for ci, one in zip(c, tokens, strict=True)), roundings, scale)
    assert_within(z, sum(ci * one.z for ci, one in zip(c, tokens, strict=True)), roundings, scale)
    assert weight_sum == 6.75


def test_without_weights_the_weight_sum_counts_targets_in_range():
    """Breaks if excluded tokens are counted, or L is (VALUE-6, EXCL-2)."""
    assert compute_weighted_cross_entropy(np.zeros((4, 3), np.float32), [0, 2, 3, -1], None, 0.0, 0.0, 7)[2] == 2


def test_dense_targets_need_not_be_probabilities():
    """Breaks if targets are normalised, an entropy is subtracted, or 0 * inf forms (VALUE-7, STATE-1)."""
    x = np.array([[1.0, 2.0, 3.0, -np.inf], [0.5, -4.0, 2.0, 1.0]], np.float32)
    q = np.array([[0.5, 3.0, -0.25, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    loss, z = cross_entropy_with_logits(x, q, 0.5)
    expected = [token(x[i], q[i], 0.5) for i in range(2)]
    scale = np.array([one.loss_scale for one in expected], np.float64)
    assert_within(loss, [one.loss for one in expected], loss_roundings(x), scale)
    assert_within(z, [one.z for one in expected], loss_roundings(x), scale)


def test_evaluating_and_training_have_one_value():
    """Breaks if the loss is computed by another formula under differentiation (VALUE-9, DIFF-1)."""
    x = np.array([[0.0, 1.0, 2.0]], np.float32) + np.float32(1e4)

    def loss(x):
        return compute_weighted_cross_entropy(x, np.array([0]))[0]

    eager, jitted, trained = loss(x), jax.jit(loss)(x), jax.value_and_grad(loss)(x)[0]
    assert eager == jitted == trained
    assert_within(eager, hard(x[0], 0).loss, loss_roundings(x)[0])


@pytest.mark.parametrize("lead", [5, 20, 40, 60, 80])
@pytest.mark.parametrize("offset", [0, 100, 10_000])
def test_confident_tokens_keep_their_digits(lead, offset):
    """Breaks if lse - x_t is formed, or 1 enters the sum: losses far below u become 0 (ACC-1, ACC-2, ACC-3)."""
    x = (np.random.default_rng(lead).uniform(-1, 1, (3, 4096)) + offset).astype(np.float32)
    targets = np.array([7, 4095, 0])
    x[np.arange(3), targets] = x.max(-1) + lead
    expected = [hard(x[i], targets[i]) for i in range(3)]
    loss, row = jax.vmap(jax.value_and_grad(lambda x, t: token_cross_entropy(x, t).loss))(x, targets)
    assert_within(loss, [one.loss for one in expected], loss_roundings(x))
    of_target = np.arange(3), targets
    assert_within(row[of_target], np.stack([one.row for one in expected])[of_target], loss_roundings(x))


def test_many_terms_add_up_exactly():
    """Breaks if the total is a running sum: 200,000 times 0.1 is then off by hundreds of ulps (ACC-4)."""
    count = 200_000
    tenth = np.full(count, 0.1, np.float32)
    weight_sum = compute_weighted_cross_entropy(np.zeros((count, 1), np.float32), np.zeros(count, int), tenth)[2]
    assert weight_sum == np.float32(count * float(tenth[0]))
    x = np.zeros((count, 2), np.float32)
    loss, _, _ = compute_weighted_cross_entropy(x, np.zeros(count, int))
    assert_within(loss, count * np.log(2), loss_roundings(x[0]) + 2)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1e8, 1.0, -1e8], 1.0), ([3e38, 3e38, -3e38, -3e38], 0.0), ([3e38, 3e38], np.inf), ([np.inf, 1.0], np.inf)],
)
def test_totals_survive_cancellation_and_overflow_on_the_way(weights, expected):
    """Breaks if the sum is not carried in two parts, or a partial sum overflows (ACC-4, STATE-4)."""
    count = len(weights)
    x, targets = np.zeros((count, 1), np.float32), np.zeros(count, int)
    assert compute_weighted_cross_entropy(x, targets, np.array(weights, np.float32))[2] == expected


def test_repeated_runs_give_the_same_bits():
    """Breaks if the order of a sum depends on anything but the inputs (ACC-6)."""
    x = np.random.default_rng(5).normal(0, 3, (64, 1000)).astype(np.float32)
    runs = [
        np.asarray(compute_weighted_cross_entropy(x, np.arange(64), None, 0.1, 1e-3)[0]).tobytes() for _ in range(3)
    ]
    assert len(set(runs)) == 1


@pytest.mark.parametrize("smoothing", ["others", "uniform"])
@pytest.mark.parametrize("e", [1e-300, 1e-20, 2.0**-54, 0.1, 0.5, 1 - 2.0**-30])
def test_the_constant_of_a_known_smoothing_is_rounded_once(e, smoothing):
    """Fails when a part of H is lost, such as -on log on where 1 - e is rounded to 1."""
    classes = 3
    with mpmath.workprec(2000):
        off = mpmath.mpf(e) / (classes - 1 if smoothing == "others" else classes)
        on = 1 - (classes - 1) * off
        exact = -(on * mpmath.log(on) + (classes - 1) * off * mpmath.log(off))
    found = concrete_smoothing(e, Form(smoothing=smoothing), classes, jnp.dtype(jnp.float32))
    assert float(found.entropy) == float(np.float32(float(exact)))
