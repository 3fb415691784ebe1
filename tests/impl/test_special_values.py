"""Infinite, NaN and huge inputs, one class, and coefficients that are not numbers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

from ._formulas import hard, token
from ._ulps import assert_within, loss_roundings, row_roundings

INF, NAN = np.inf, np.nan
HUGE = float(np.finfo(np.float32).max)


def f32(*values):
    return np.array(values, np.float32)


def row_of(x, target, e=0.0, k=0.0):
    return jax.jit(jax.grad(lambda x, t: token_cross_entropy(x, t, label_smoothing=e, z_loss=k).loss))(x, target)


def test_a_masked_class_is_ordinary():
    """Breaks if one -inf logit off the target makes anything NaN (STATE-1, DIFF-2)."""
    x, kept = f32(1.0, 2.0, -INF), f32(1.0, 2.0)
    expected = hard(kept, 0, 0.0, 0.5)
    one = token_cross_entropy(x, 0, z_loss=0.5)
    assert_within(one.loss, expected.loss, loss_roundings(kept), float(expected.loss_scale))
    row = row_of(x, 0, 0.0, 0.5)
    assert_within(row[:2], expected.row, row_roundings(kept), expected.row_scale.astype(float))
    assert row[2] == 0


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(("target", "e"), [(2, 0.0), (0, 0.1), (0, 1.0), (2, 0.1)])
def test_mass_on_a_masked_class_costs_an_infinite_loss_and_a_finite_gradient(target, e, traced):
    """Breaks if the infinite loss reaches z, log_z or the gradient (STATE-2)."""
    x = f32(1.0, 2.0, -INF)
    function = jax.jit(token_cross_entropy) if traced else token_cross_entropy
    one = function(x, target, label_smoothing=e, z_loss=0.5)
    assert one.loss == INF
    assert np.isfinite(one.z_loss)
    assert np.isfinite(one.log_z)
    p = np.append(np.exp(x[:2] - np.log(np.exp(x[:2]).sum())), 0.0)
    q = np.full(3, e / 2)
    q[target] = 1 - e
    assert_within(row_of(x, target, e), p - q, row_roundings(x), p + q)


def test_a_masked_target_without_mass_is_ordinary():
    """Breaks if 0 * inf forms for a -inf target at e = 1 (STATE-1, STATE-7)."""
    x = f32(1.0, 2.0, -INF)
    expected = np.log(np.exp(1.0) + np.exp(2.0)) - 1.5 - np.log(2)
    for function in (token_cross_entropy, jax.jit(token_cross_entropy)):
        assert_within(function(x, 2, label_smoothing=1.0).loss, expected, loss_roundings(x), 3.0)


@pytest.mark.parametrize(("q", "loss"), [((1, 0, 1), INF), ((1, 0, -1), -INF), ((1, 0, 0), None)])
def test_dense_mass_on_a_masked_class_has_the_sign_of_the_mass(q, loss):
    """Breaks if the sign of q_j is lost on its way to an infinite loss (STATE-2)."""
    x = f32(1.0, 2.0, -INF)
    actual, z = cross_entropy_with_logits(x, f32(*q), 0.5)
    assert np.isfinite(actual) if loss is None else actual == loss
    assert np.isfinite(z)
    assert np.isfinite(jax.grad(lambda x: cross_entropy_with_logits(x, f32(*q), 0.5)[0])(x)).all()


def test_dense_masses_of_both_signs_on_masked_classes_are_undefined():
    """Breaks if inf - inf is taken for a number (STATE-2)."""
    assert np.isnan(cross_entropy_with_logits(f32(1.0, -INF, -INF), f32(1, 1, -1), 0.0)[0])


@pytest.mark.parametrize("bad", [(-INF, -INF, -INF), (INF, 0, 0), (0, 0, INF), (NAN, 0, 0), (0, NAN, -INF)])
@pytest.mark.parametrize("e", [0.0, 0.1])
def test_an_undefined_token_is_nan_and_touches_no_other(bad, e):
    """Breaks if an undefined token looks defined, or spoils its neighbours (STATE-3)."""
    x = np.stack([f32(1.0, 2.0, 3.0), f32(*bad), f32(1.0, 2.0, 3.0)])
    one = token_cross_entropy(x, [0, 1, 0], label_smoothing=e, z_loss=0.5)
    for value in one[:3]:
        np.testing.assert_array_equal(np.isnan(value), [False, True, False])
    total = compute_weighted_cross_entropy(x, [0, 1, 0], None, e, 0.5)
    np.testing.assert_array_equal(total, [NAN, NAN, 3])
    gradient = jax.grad(lambda x: compute_weighted_cross_entropy(x, [0, 1, 0], None, e, 0.5)[0])(x)
    np.testing.assert_array_equal(np.isnan(gradient), [[False] * 3, [True] * 3, [False] * 3])


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_a_dense_target_that_is_not_finite_is_undefined(bad):
    """Breaks if such a token's z or gradient row looks defined (STATE-3)."""
    x, q = np.ones((2, 3), np.float32), np.stack([f32(0, bad, 1), f32(0, 0, 1)])
    for value in cross_entropy_with_logits(x, q, 0.5):
        np.testing.assert_array_equal(np.isnan(value), [True, False])
    gradient = jax.grad(lambda x: cross_entropy_with_logits(x, q, 0.5)[0].sum())(x)
    np.testing.assert_array_equal(np.isnan(gradient), [[True] * 3, [False] * 3])


@pytest.mark.parametrize(
    ("x", "target", "e", "expected"),
    [
        ((3e38, 3e38, 3e38), 0, 0.0, np.log(3)),
        ((3e38, 3e38, 3e38), 0, 0.1, None),
        ((3e38, -3e38), 0, 0.0, 0.0),
        ((3e38, -3e38), 1, 0.0, INF),
        ((3e38, -3e38), 1, 0.75, None),
        ((HUGE, -HUGE, -HUGE, -HUGE), 0, 0.25, None),
        ((-HUGE, -HUGE), 1, 0.0, np.log(2)),
    ],
)
def test_huge_logits_are_ordinary(x, target, e, expected):
    """Breaks if a difference or a sum overflows on the way to a finite loss (STATE-4, DIFF-6)."""
    x = f32(*x)
    formula = hard(x, target, e)
    expected = formula.loss if expected is None else expected
    assert_within(token_cross_entropy(x, target, label_smoothing=e).loss, expected, 16, float(formula.loss_scale))
    scale = formula.row_scale.astype(float)
    assert_within(row_of(x, target, e), formula.row, 2 * loss_roundings(f32(0, 0)), scale)


@pytest.mark.parametrize("x", [(3e38, 3e38), (-3e38, 1.0), (HUGE, -HUGE)])
def test_without_a_coefficient_z_is_zero_however_large_log_z_is(x):
    """Breaks if lse squared overflows before k = 0 meets it, in value or gradient (STATE-5)."""
    for function in (token_cross_entropy, jax.jit(token_cross_entropy)):
        assert function(f32(*x), 0, z_loss=0.0).z_loss == 0
    gradient = jax.grad(lambda x: token_cross_entropy(x, 0, z_loss=0.0).z_loss)(f32(*x))
    np.testing.assert_array_equal(gradient, np.zeros(2))


def test_a_huge_log_z_with_a_coefficient_has_no_nan():
    """Breaks if 2 k lse overflows and meets p_j = 0 (STATE-4)."""
    gradient = jax.grad(lambda x: token_cross_entropy(x, 0, z_loss=1e10).loss)(f32(3e38, -3e38))
    np.testing.assert_array_equal(gradient, [INF, 0])


@pytest.mark.parametrize("e", [0.0, 0.1, 1.0])
def test_one_class_leaves_the_z_loss_alone(e):
    """Breaks if e / (V - 1) is formed for V = 1 (STATE-6, DIFF-4)."""
    for function in (token_cross_entropy, jax.jit(token_cross_entropy)):
        one = function(f32(3.0), 0, label_smoothing=e, z_loss=0.5)
        assert (one.loss, one.z_loss, one.log_z) == (4.5, 4.5, 3.0)
    assert row_of(f32(3.0), 0, e, 0.5)[0] == 3.0
    assert np.isnan(token_cross_entropy(f32(-INF), 0).loss)


def test_full_smoothing_is_finite():
    """Breaks if 0 log 0 forms at e = 1 (STATE-7, DIFF-5)."""
    x = f32(1.0, 2.0, 3.0)
    expected = hard(x, 0, 1.0)
    assert_within(row_of(x, 0, 1.0), expected.row, row_roundings(x), expected.row_scale.astype(float))


@pytest.mark.parametrize("factor", [0.0, -0.0, 2.0**-127, INF, -INF, NAN])
def test_an_undefined_factor_makes_counted_tokens_nan_and_no_others(factor):
    """Breaks if 1 / L gives inf or 0, a subnormal L neither counts nor is 0, or an excluded token sees it (STATE-8,
    EXCL-3, ACC-7).
    """
    x, targets, weights = np.ones((3, 2), np.float32), [0, 1, 2], f32(1, 0, 1)

    def loss(x, weights):
        return compute_weighted_cross_entropy(x, targets, weights, 0.1, 0.5, factor)

    np.testing.assert_array_equal(loss(x, weights), [NAN, NAN, 1])
    gradient = jax.grad(lambda x: loss(x, weights)[0])(x)
    np.testing.assert_array_equal(gradient, [[NAN, NAN], [0, 0], [0, 0]])
    assert loss(x, f32(0, 0, 1))[:2] == (0, 0)
    np.testing.assert_array_equal(jax.grad(lambda x: loss(x, f32(0, 0, 1))[0])(x), np.zeros((3, 2)))


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_an_undefined_weight_or_coefficient_is_nan_for_its_own_tokens(bad):
    """Breaks if an infinite weight gives an infinite loss, or a NaN k reaches excluded tokens (STATE-8)."""
    x = np.ones((3, 2), np.float32)

    def loss(x, weights, k):
        return compute_weighted_cross_entropy(x, [0, 1, 2], weights, 0.0, k)

    np.testing.assert_array_equal(loss(x, f32(bad, 1, 1), 0.0)[:2], [NAN, NAN])
    gradient = jax.grad(lambda x: loss(x, f32(bad, 1, 1), 0.0)[0])(x)
    np.testing.assert_array_equal(np.isnan(gradient), [[True] * 2, [False] * 2, [False] * 2])
    np.testing.assert_array_equal(np.isnan(token_cross_entropy(x, [0, 1, 2], z_loss=bad).loss), [True, True, False])
    gradient = jax.grad(lambda x: loss(x, f32(1, 0, 1), bad)[0])(x)
    np.testing.assert_array_equal(np.isnan(gradient), [[True] * 2, [False] * 2, [False] * 2])
    assert loss(x, f32(0, 0, 1), bad)[:2] == (0, 0)


def test_a_traced_label_smoothing_out_of_range_is_nan_for_counted_tokens():
    """Breaks if a schedule that leaves [0, 1] goes unnoticed, or in the loss alone (SHAPE-5)."""

    def loss(x, e, **keywords):
        return token_cross_entropy(x, [0, 3], label_smoothing=e, **keywords).loss

    x = np.ones((2, 3), np.float32)
    for keywords in ({}, {"smoothing": "uniform"}, {"subtract_entropy": False}):
        function = jax.jit(partial(loss, **keywords))
        gradient = jax.jit(jax.grad(lambda x, e, keywords=keywords: loss(x, e, **keywords).sum()))
        for e in (-0.1, 1.1, NAN, INF):
            np.testing.assert_array_equal(function(x, e), [NAN, 0])
            np.testing.assert_array_equal(gradient(x, e), [[NAN] * 3, [0] * 3])


@pytest.mark.parametrize("targets", [np.array([1]), f32([0.0, 1.0])], ids=["hard", "dense"])
def test_an_infinite_loss_outweighs_a_negative_z_that_overflows(targets):
    """Breaks if inf - inf makes a NaN of a masked target beside a huge logit (STATE-2, STATE-4)."""
    x = f32([2.0**127, -INF])
    for function in (token_cross_entropy, jax.jit(token_cross_entropy)):
        found = function(x, targets, z_loss=-0.5)
        assert (found.loss, found.z_loss) == (INF, -INF)
        found = function(np.where(x == -INF, -(2.0**127), x).astype(np.float32), targets, z_loss=-0.5)
        assert (found.loss, found.z_loss) == (-INF, -INF)  # both are beyond the largest float, z by far


def test_a_gradient_that_is_not_wanted_leaves_the_others_finite():
    """Breaks if an infinite derivative by another argument meets a tangent of 0 (GRAD-7, GRAD-8)."""
    x = f32(1.0, 2.0, -INF)
    arguments = (x, f32(1.0)[0], f32(0.0)[0], f32(0.0)[0])

    def loss(x, w, e, k):
        return compute_weighted_cross_entropy(x, 2, w, e, k)[0]

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*arguments)
    assert np.isfinite(gradients[0]).all()
    assert gradients[1] == 0
    along = (f32(1.0, 1.0, 1.0), *(np.zeros((), np.float32) for _ in range(3)))
    assert np.isfinite(jax.jit(lambda a, t: jax.jvp(loss, a, t)[1])(arguments, along))
    assert jnp.isfinite(jax.vjp(lambda e: compute_weighted_cross_entropy(x, 0, None, e)[0], 0.0)[1](0.0)[0])


def test_dense_and_hard_targets_agree():
    """Breaks if the two ways to the same loss have different values (VALUE-1, VALUE-7)."""
    x = f32(1.0, -2.0, 0.5)
    expected = token(x, [0, 1, 0])
    assert_within(cross_entropy_with_logits(x, [0, 1, 0], 0)[0], expected.loss, loss_roundings(x))
    assert_within(token_cross_entropy(x, 1).loss, expected.loss, loss_roundings(x))


@pytest.mark.parametrize(("weight", "factor", "expected"), [(1e-30, 1e30, INF), (-1e-30, 1e30, -INF)])
def test_an_infinite_loss_stays_infinite_where_weight_over_factor_underflows(weight, factor, expected):
    """Breaks if 0 * inf turns an infinite total into NaN (STATE-2, VALUE-5)."""
    total, _, _ = compute_weighted_cross_entropy(
        f32(-INF, 0.0)[None], np.array([0]), f32(weight), loss_normalizing_factor=factor
    )
    assert total == expected


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_slopes_that_are_infinite_with_both_signs_have_no_sum(compiled):
    """Fails when at e = 0 the -inf of an ordinary token outweighs the +inf of one with a masked class (GRAD-4)."""
    x = jnp.array([[1.0, 2.0, 3.0], [1.0, -jnp.inf, 3.0]])

    def total(e):
        return compute_weighted_cross_entropy(x, jnp.array([0, 0]), label_smoothing=e)[0]

    gradient = jax.grad(total)
    assert jnp.isnan((jax.jit(gradient) if compiled else gradient)(0.0))
    assert jnp.isnan(jax.jvp(total, (0.0,), (1.0,))[1])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_an_infinite_loss_is_no_part_of_what_the_factor_does_to_the_z_loss(compiled):
    """Fails when the cotangent of z_loss alone meets the infinite loss as 0 * inf (GRAD-5, GRAD-7)."""
    x, targets = f32(0.0, 1.0, -INF)[None], np.array([2])

    def totals(factor):
        return compute_weighted_cross_entropy(x, targets, z_loss=0.1, loss_normalizing_factor=factor)

    def slope(factor, of_loss, of_z):  # the zero is a number here, not one that is known to be 0
        return jax.vjp(totals, factor)[1]((of_loss, of_z, jnp.zeros(())))[0]

    by_factor = (jax.jit(slope) if compiled else slope)(2.0, jnp.zeros(()), jnp.ones(()))
    assert jnp.isclose(by_factor, -totals(2.0)[1] / 2)
    assert slope(2.0, jnp.ones(()), jnp.zeros(())) == -jnp.inf
