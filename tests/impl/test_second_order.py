"""Second derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

from ._formulas import hard
from ._ulps import assert_within, row_roundings

RNG = np.random.default_rng(12)
X = RNG.normal(0, 3, (4, 9)).astype(np.float32)
V = RNG.normal(0, 1, (4, 9)).astype(np.float32)
TARGETS = np.array([0, 8, 3, int(X[3].argmax())])
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0], np.float32)
K = np.float32(0.25)


def forward_over_reverse(f, x, v):
    return jax.jvp(jax.grad(f), (x,), (v,))[1]


def reverse_over_forward(f, x, v):
    return jax.grad(lambda x: jax.jvp(f, (x,), (v,))[1])(x)


def reverse_over_reverse(f, x, v):
    return jax.grad(lambda x: jnp.sum(jax.grad(f)(x) * v))(x)


def product(x, v, mass, k):
    """(Hv)_j / c_i = p_j (a (v_j - s) + 2 k s), and the size of its parts."""
    x, v = x.astype(np.longdouble), v.astype(np.longdouble)
    lse = x.max() + np.log(np.exp(x - x.max()).sum())
    p = np.exp(x - lse)
    s, a = (p * v).sum(), mass + 2 * k * lse
    size = (mass + 2 * abs(k * lse)) * (np.abs(v) + (p * np.abs(v)).sum()) + 2 * abs(k) * (p * np.abs(v)).sum()
    return p * (a * (v - s) + 2 * k * s), (p + (1 - p) * p) * size


@pytest.mark.parametrize("order", [forward_over_reverse, reverse_over_forward, reverse_over_reverse])
@pytest.mark.parametrize("offset", [0, 1000])
def test_hessian_vector_products_are_the_closed_form(order, offset):
    """Breaks if the tangent cannot be differentiated, or its peak has no derivative (GRAD-9)."""
    k = K if offset == 0 else np.float32(0)
    x = (X + offset).astype(np.float32)

    def loss(x):
        return compute_weighted_cross_entropy(x, TARGETS, WEIGHTS, 0.1, k, 4.0)[0]

    actual = jax.jit(partial(order, loss))(x, V)
    for i in range(4):
        expected, size = product(x[i], V[i], 1, float(k))
        c = WEIGHTS[i] / 4
        assert_within(actual[i], c * expected, 2 * row_roundings(x[i]) + 8, np.asarray(c * size, np.float64))


@pytest.mark.parametrize("order", [forward_over_reverse, reverse_over_forward])
def test_dense_hessian_vector_products_use_the_mass(order):
    """Breaks if Q is taken for 1 in the second derivative (GRAD-9)."""
    q = RNG.normal(0, 1, X.shape).astype(np.float32)
    actual = jax.jit(partial(order, lambda x: cross_entropy_with_logits(x, q, K)[0].sum()))(X, V)
    for i in range(4):
        expected, _ = product(X[i], V[i], q[i].astype(np.float64).sum(), float(K))
        _, size = product(X[i], V[i], np.abs(q[i]).astype(np.float64).sum(), float(K))
        assert_within(actual[i], expected, 3 * row_roundings(X[i]) + 8, np.asarray(size, np.float64))


def test_a_masked_class_has_no_second_derivative():
    """Breaks if inf - inf or 0 * inf forms in an untaken branch (GRAD-9, STATE-1)."""
    x = np.array([1.0, 2.0, -np.inf], np.float32)
    hessian = jax.jit(jax.hessian(lambda x: token_cross_entropy(x, 0).loss))(x)
    assert np.isfinite(hessian).all()
    np.testing.assert_array_equal(hessian[2], np.zeros(3))


@pytest.mark.parametrize("logits_first", [True, False])
def test_the_mixed_derivative_by_weight_and_logits(logits_first):
    """Breaks if a weight of 0 cuts its token's row out: learning to reweight starts there (GRAD-11)."""

    def loss(x, w):
        return compute_weighted_cross_entropy(x, TARGETS, w, 0.1, K, 4.0)[0]

    if logits_first:
        mixed = jax.jit(jax.jacrev(jax.grad(loss, 0), 1))(X, WEIGHTS)
        mixed = jnp.moveaxis(mixed, -1, 0)
    else:
        mixed = jax.jit(jax.jacfwd(jax.grad(loss, 1), 0))(X, WEIGHTS)
    for i in range(4):
        one = hard(X[i], TARGETS[i], 0.1, K)
        assert_within(mixed[i, i], one.row / 4, row_roundings(X[i]) + 8, np.asarray(one.row_scale / 4, np.float64))
        assert not np.asarray(mixed[i, np.delete(np.arange(4), i)]).any()


def test_a_dead_token_of_weight_zero_stays_silent_in_second_order():
    """Breaks if a NaN row leaks through 0 * NaN into the mixed derivative or the Hessian (EXCL-1, GRAD-11)."""
    x = np.array([[1.0, 2.0], [np.nan, 0.0], [0.0, -np.inf]], np.float32)
    weights = np.array([1.0, 0.0, 0.0], np.float32)

    def loss(x, w):
        return compute_weighted_cross_entropy(x, [0, 0, 1], w, 0.0, K)[0]

    mixed = jax.jit(jax.jacrev(jax.grad(loss, 0), 1))(x, weights)
    assert np.isfinite(mixed).all()
    hessian = jax.jit(jax.hessian(loss))(x, weights)
    assert np.isfinite(hessian).all()
    assert not np.asarray(hessian[1:]).any()


def test_smoothing_and_logits_have_mixed_derivatives():
    """Breaks if the slope by label_smoothing is a constant to the logits: its row is 1 at t, else -1 / (V - 1)."""
    mixed = jax.jacfwd(jax.grad(lambda e, x: token_cross_entropy(x, 1, label_smoothing=e).loss), 1)
    again = jax.jacfwd(jax.grad(lambda e, x: token_cross_entropy(x, 1, label_smoothing=e).loss, 1), 0)
    expected = np.array([-0.5, 1.0, -0.5])
    x = np.array([0.5, 2.0, 1.0], np.float32)
    assert_within(mixed(0.25, x), expected, row_roundings(x))
    assert_within(again(0.25, x), expected, row_roundings(x))
