"""Tokens that do not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, token_cross_entropy

X = np.array([[1.0, 2.0, 3.0], [0.5, 0.25, 0.0]], np.float32)


@pytest.mark.parametrize(("fill", "weight"), [(np.nan, 0.0), (np.inf, -0.0), (-np.inf, 0.0), (3e38, 0.0)])
def test_a_weight_of_zero_absorbs_everything(fill, weight):
    """Breaks if 0 * NaN or 0 * inf forms, in a value or in a gradient (EXCL-1, DIFF-7)."""
    x = X.copy()
    x[1] = fill
    weights = np.array([1.0, weight], np.float32)

    def loss(x):
        return compute_weighted_cross_entropy(x, [0, 1], weights, 0.1, 0.5)

    alone = compute_weighted_cross_entropy(X[:1], [0], weights[:1], 0.1, 0.5)
    assert tuple(map(float, loss(x))) == tuple(map(float, alone))
    for which in range(3):
        gradient = jax.grad(lambda x, which=which: loss(x)[which])(x)
        np.testing.assert_array_equal(gradient[1], np.zeros(3))
    pushed = jax.jvp(lambda x: loss(x)[0], (x,), (np.ones_like(x),))[1]
    assert np.isfinite(pushed)


@pytest.mark.parametrize("target", [-1, 3, -(2**31), 2**31 - 1])
def test_a_target_out_of_range_adds_nothing(target):
    """Breaks if the target is clamped or wrapped, or only the value is 0 and not the gradient (EXCL-2, DIFF-3)."""
    targets = np.array([0, target])
    x = X.copy()
    x[1, 1] = np.nan
    assert [float(value[1]) for value in token_cross_entropy(x, targets, label_smoothing=0.1, z_loss=0.5)[:3]] == [
        0,
        0,
        0,
    ]
    gradient = jax.grad(lambda x: sum(v.sum() for v in token_cross_entropy(x, targets, z_loss=0.5)[:3]))(x)
    np.testing.assert_array_equal(gradient[1], np.zeros(3))
    total = compute_weighted_cross_entropy(x, targets, np.array([1.0, 5.0], np.float32))
    assert total[0] == token_cross_entropy(X[0], 0).loss
    assert total[2] == 1


@pytest.mark.parametrize("factor", [None, 1.0, 0.0, np.inf, np.nan])
@pytest.mark.parametrize("weights", [np.zeros(2, np.float32), np.ones(2, np.float32)])
def test_an_all_padding_batch_is_zero(factor, weights):
    """Breaks if 0 / 0 forms (EXCL-3, DIFF-8)."""
    targets = np.array([0, 1]) if not weights.any() else np.array([-1, 3])

    def loss(x, factor):
        return compute_weighted_cross_entropy(x, targets, weights, 0.1, 0.5, factor)

    assert loss(X, factor) == (0, 0, 0)
    np.testing.assert_array_equal(jax.grad(lambda x: loss(x, factor)[0])(X), np.zeros((2, 3)))
    if factor is not None:
        assert jax.grad(lambda f: loss(X, f)[0])(jnp.float32(factor)) == 0
