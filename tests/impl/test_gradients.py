"""The first derivatives by every argument, in both modes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy
from lossproof.impl._form import Form
from lossproof.impl._target_entry import without_target

from ._formulas import hard, token
from ._ulps import assert_within, loss_roundings, row_roundings

RNG = np.random.default_rng(11)
X = RNG.normal(0, 4, (5, 13)).astype(np.float32)
TARGETS = np.array([0, 5, 12, 3, int(X[4].argmax())])
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0, 0.25], np.float32)
E, K, L = np.float32(0.125), np.float32(0.25), np.float32(4.0)
EXPECTED = [hard(x, t, E, K) for x, t in zip(X, TARGETS, strict=True)]
ROUNDINGS = float(loss_roundings(X).max()) + 6


def batch_loss(x, weights=WEIGHTS, e=E, k=K, factor=L):
    return compute_weighted_cross_entropy(x, TARGETS, weights, e, k, factor)


def total(values):
    return sum(w / L * value for w, value in zip(WEIGHTS, values, strict=True))


def scale_of_total(per_token=1.0):
    return float(sum(w / L * one.loss_scale for w, one in zip(WEIGHTS, EXPECTED, strict=True)) * per_token)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_the_gradient_is_the_closed_form(dtype):
    """Breaks if the z term lacks its 2, c_i enters twice, or the gradient is rounded early (GRAD-1, ACC-5)."""
    x = jnp.asarray(X, dtype)
    exact = np.asarray(x, np.float64)
    expected = [hard(exact[i], TARGETS[i], E, K) for i in range(5)]
    gradient = jax.grad(lambda x: batch_loss(x)[0])(x)
    assert gradient.dtype == dtype
    rows = np.stack([w / L * one.row for w, one in zip(WEIGHTS, expected, strict=True)]).astype(np.float64)
    scale = np.stack([w / L * one.row_scale for w, one in zip(WEIGHTS, expected, strict=True)]).astype(np.float64)
    final_rounding = float(jnp.finfo(dtype).eps) / 2**-23 * np.abs(rows) / np.maximum(scale, np.finfo(np.float32).tiny)
    actual = np.asarray(gradient, np.float64)
    flushed = np.abs(rows) < float(jnp.finfo(dtype).tiny)  # float16 keeps fewer digits there
    assert_within(np.where(flushed, rows, actual), rows, row_roundings(exact) + 6 + final_rounding, scale)


def test_the_cotangents_meet_before_the_rounding():
    """Breaks if loss, z and log_z are rounded to bfloat16 one by one, or one of them is dropped (GRAD-7, ACC-5)."""
    x = jnp.asarray(X, jnp.bfloat16)
    cotangents = np.float32(1.0), np.float32(-2.0), np.float32(0.375)

    def mixed(x):
        one = token_cross_entropy(x, TARGETS, label_smoothing=E, z_loss=K)
        return sum(c * jnp.sum(value) for c, value in zip(cotangents, one[:3], strict=True))

    rounded_once = jax.grad(mixed)(x.astype(jnp.float32)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(jax.grad(mixed)(x), rounded_once)


@pytest.mark.parametrize("which", ["loss", "z_loss", "log_z"])
def test_each_output_has_its_own_gradient(which):
    """Breaks if the cotangent of the returned z_loss or log_z is ignored (GRAD-1, GRAD-7, DIFF-10)."""
    gradient = jax.grad(lambda x: getattr(token_cross_entropy(x, TARGETS, z_loss=K), which).sum())(X)
    for x, t, row in zip(X, TARGETS, gradient, strict=True):
        p = token(x, np.zeros(13), 0.0)
        with_z = hard(x, t, 0.0, K)
        probability = np.exp(x - p.log_z)
        z_row = 2 * K * p.log_z * probability
        expected = {"loss": with_z.row, "z_loss": z_row, "log_z": probability}[which]
        scale = {"loss": with_z.row_scale, "z_loss": np.abs(z_row), "log_z": probability}[which]
        assert_within(row, expected, row_roundings(x) + 6, np.asarray(scale, np.float64))


def test_the_gradient_by_the_weights():
    """Breaks if a weight of 0 has no derivative, or out-of-range targets have one (GRAD-2, EXCL-2)."""
    gradients = [jax.grad(lambda w, i=i: batch_loss(X, w)[i])(WEIGHTS) for i in range(3)]
    scale = np.array([one.loss_scale / L for one in EXPECTED], np.float64)
    assert_within(gradients[0], [one.loss / L for one in EXPECTED], ROUNDINGS, scale)
    assert_within(gradients[1], [one.z / L for one in EXPECTED], ROUNDINGS, scale)
    np.testing.assert_array_equal(gradients[2], np.ones(5))

    def of_odd_tokens(w, i, factor=1.0):
        x = np.array([[0.0, -np.inf], [np.nan, 0.0], [1.0, 2.0]], np.float32)
        return compute_weighted_cross_entropy(x, [1, 0, 2], w, 0.0, 0.5, factor)[i]

    zeros = np.zeros(3, np.float32)
    for i, expected in enumerate(([0, 0, 0], [0, 0, 0], [1, 1, 0])):
        np.testing.assert_array_equal(jax.grad(of_odd_tokens)(zeros, i), expected)
    np.testing.assert_array_equal(jax.grad(lambda w: batch_loss(X, w, factor=0.0)[0])(WEIGHTS), np.zeros(5))


def test_the_gradient_by_the_z_loss_coefficient():
    """Breaks if k has no derivative: t5x returns 0 (GRAD-3, DIFF-10)."""
    expected = total([one.log_z**2 for one in EXPECTED])
    for i in range(2):
        assert_within(jax.grad(lambda k, i=i: batch_loss(X, k=k)[i])(K), expected, ROUNDINGS, float(expected) + 1)


@pytest.mark.parametrize("e", [0.01, 0.125, 0.5, 0.99])
def test_the_gradient_by_label_smoothing(e):
    """Breaks if on, off or H is not differentiated (GRAD-4)."""
    e = np.float32(e)
    slopes = []
    for x, t in zip(X.astype(np.longdouble), TARGETS, strict=True):
        others = np.delete(x[t] - x, t)
        slopes.append(others.mean() - np.log((1 - np.longdouble(e)) * 12 / e))
    scale = float(sum(WEIGHTS / L) * (2 * np.ptp(X) + np.log(12 / e) + np.abs(np.log1p(-e))))
    assert_within(jax.grad(lambda e: batch_loss(X, e=e)[0])(e), total(slopes), ROUNDINGS, scale)
    assert jax.grad(lambda e: batch_loss(X, e=e)[1])(e) == 0


@pytest.mark.parametrize(("e", "expected"), [(0.0, -np.inf), (1.0, np.inf)])
def test_the_slope_at_the_ends_of_label_smoothing_is_infinite(e, expected):
    """Breaks if 0 * inf forms for excluded tokens, or the entropy's slope is cut off (GRAD-4, GRAD-8, EXCL-1)."""
    x = np.array([[1.0, 2.0, 3.0], [np.nan, 0.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
    weights = np.array([1.0, 0.0, 0.0], np.float32)

    def loss(e):
        return compute_weighted_cross_entropy(x, [0, 1, 2], weights, e)[0]

    assert jax.jit(jax.grad(loss))(e) == expected
    assert jax.jit(lambda e: jax.jvp(loss, (e,), (1.0,))[1])(e) == expected
    assert jax.grad(lambda e: compute_weighted_cross_entropy(x[:, :1], [0, 1, 0], weights, e)[0])(e) == 0


def test_the_slope_where_a_masked_class_gains_or_loses_its_mass():
    """Breaks if inf - inf forms where the loss jumps to or from inf at an end of label_smoothing (GRAD-4)."""
    x = np.array([0.0, 1.0, -np.inf], np.float32)
    assert jax.grad(lambda e: token_cross_entropy(x, 0, label_smoothing=e).loss)(0.0) == np.inf
    assert jax.grad(lambda e: token_cross_entropy(x, 2, label_smoothing=e).loss)(1.0) == -np.inf


def test_an_unused_derivative_by_label_smoothing_costs_no_digits():
    """Breaks if a traced e of 0 brings its infinite slope into the logits gradient (GRAD-1, GRAD-4)."""
    traced = jax.jit(lambda x, e: jax.grad(lambda x: token_cross_entropy(x, TARGETS, label_smoothing=e).loss.sum())(x))
    known = jax.grad(lambda x: token_cross_entropy(x, TARGETS).loss.sum())(X)
    np.testing.assert_array_equal(traced(X, 0.0), known)


def test_the_gradient_by_the_factor():
    """Breaks if L is taken for a constant (GRAD-5)."""
    for i in range(2):
        expected = -total([(one.loss, one.z)[i] for one in EXPECTED]) / L
        assert_within(
            jax.grad(lambda f, i=i: batch_loss(X, factor=f)[i])(L), expected, ROUNDINGS, scale_of_total(1 / L)
        )


def test_the_gradients_of_dense_targets():
    """Breaks if the gradient is p - q whatever Q is, or targets and k have none (GRAD-1, GRAD-3, GRAD-6, DIFF-9)."""
    q = RNG.normal(0, 1, X.shape).astype(np.float32)
    by_x, by_q, by_k = jax.grad(lambda *a: cross_entropy_with_logits(*a)[0].sum(), argnums=(0, 1, 2))(X, q, K)
    expected = [token(X[i], q[i], K) for i in range(5)]
    scale = np.stack([one.row_scale + np.abs(qi).sum() for one, qi in zip(expected, q, strict=True)]).astype(np.float64)
    assert_within(by_x, np.stack([one.row for one in expected]), row_roundings(X), scale)
    lse = np.array([one.log_z for one in expected])
    assert_within(by_q, lse[:, None] - X, ROUNDINGS)
    assert_within(by_k, (lse**2).sum(), ROUNDINGS, float((np.abs(lse) + 1) @ (np.abs(lse) + 1)))


def test_a_confident_dense_target_keeps_its_digits():
    """Breaks if q_j - p_j is formed for a one-hot target that leads by 40 (ACC-3)."""
    x = np.zeros((1, 64), np.float32)
    x[0, 9] = 40
    q = np.eye(64, dtype=np.float32)[9:10]
    gradient = jax.grad(lambda x: cross_entropy_with_logits(x, q, 0.0)[0].sum())(x)
    expected = hard(x[0], 9)
    assert_within(gradient[0, 9], expected.row[9], loss_roundings(x)[0])


def test_a_dense_target_of_zero_on_a_masked_class_has_derivatives():
    """Breaks if 0 * inf forms in the forward mode of dense targets (GRAD-6, GRAD-8, STATE-1)."""
    x = np.array([0.0, 1.0, -np.inf], np.float32)
    q = np.array([0.5, 0.5, 0.0], np.float32)
    function = partial(cross_entropy_with_logits, z_loss=0.0)
    assert np.isfinite(jax.jvp(function, (x, q), (x.clip(-1), np.zeros(3, np.float32)))[1][0])
    np.testing.assert_array_equal(np.isinf(jax.grad(lambda q: function(x, q)[0])(q)), [False, False, True])


def test_forward_and_reverse_are_the_same_map():
    """Breaks if jvp or any one argument's tangent is missing: y . J v = v . J^T y (GRAD-8, DIFF-11)."""
    arguments = (jnp.asarray(X), WEIGHTS, E, K, L)
    tangents = tuple(jnp.asarray(RNG.normal(0, 1, np.shape(a)).astype(np.float32)) for a in arguments)
    cotangents = tuple(np.float32(c) for c in (1.0, -0.5, 2.0))
    pushed = jax.jit(lambda a, t: jax.jvp(batch_loss, a, t)[1])(arguments, tangents)
    pulled = jax.jit(lambda a, c: jax.vjp(batch_loss, *a)[1](c))(arguments, cotangents)
    parts = [np.asarray(a, np.float64) * np.asarray(b, np.float64) for a, b in zip(pulled, tangents, strict=True)]
    there = sum(np.float64(c) * np.float64(p) for c, p in zip(cotangents, pushed, strict=True))
    back = sum(part.sum() for part in parts)
    scale = sum(np.abs(part).sum() for part in parts)
    assert_within(there, back, 2 * float(row_roundings(X).max()) + ROUNDINGS, scale)


@pytest.mark.parametrize("implementation", [None, "xla"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_entry_of_the_target_is_put_in_its_place_exactly(dtype, implementation):
    """Breaks if an entry is rounded, or if the place is told by arithmetic, in which 0 * inf is NaN (ACC-3)."""
    with jax.enable_x64(dtype is np.float64):
        others = jnp.asarray([[1.1, -np.inf, 5.5], [np.nan, 1e-30, np.inf], [2.2, 3.3, 4.4]], dtype)
        targets, of_target = jnp.array([0, 2, -1], jnp.int32), jnp.asarray([np.inf, -1 / 3, 7.0], dtype)
        form = Form(implementation=implementation)
        forward = partial(without_target, form, targets=targets, logits_dtype=np.dtype(dtype))
        tangent = jnp.asarray(RNG.normal(size=others.shape), dtype)
        without, entries = forward(tangent=tangent)
        expected = np.array(tangent)
        expected[[0, 1], [0, 2]] = 0
        np.testing.assert_array_equal(without, expected)
        np.testing.assert_array_equal(entries, [tangent[0, 0], tangent[1, 2], 0])
        (found,) = jax.jit(jax.linear_transpose(lambda x: forward(tangent=x), others))((others, of_target))
        expected = np.array(others)
        expected[[0, 1], [0, 2]] = of_target[:2]
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
