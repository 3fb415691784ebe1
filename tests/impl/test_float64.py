"""Double precision, with jax's x64 mode."""

import jax
import jax.numpy as jnp
import numpy as np

from lossproof import (
    compute_weighted_cross_entropy,
    cross_entropy_with_logits,
    get_loss_normalizing_factor_and_weights,
    token_cross_entropy,
)

from ._formulas import hard
from ._ulps import assert_within, loss_roundings, row_roundings


def test_float64_logits_are_carried_in_float64():
    """Breaks if any step goes through float32 (SHAPE-3, ACC-5)."""
    x = np.random.default_rng(6).normal(0, 4, (3, 50))
    x[2, 7] = 40.0
    targets = np.array([0, 49, 7])
    expected = [hard(x[i], targets[i], 0.1, 0.5) for i in range(3)]
    with jax.enable_x64(True):
        one = token_cross_entropy(x, targets, label_smoothing=0.1, z_loss=0.5)
        gradient = jax.grad(lambda x: token_cross_entropy(x, targets, label_smoothing=0.1, z_loss=0.5).loss.sum())(x)
    assert one.loss.dtype == gradient.dtype == np.float64
    scale = np.array([e.loss_scale for e in expected], float)
    assert_within(one.loss, [e.loss for e in expected], loss_roundings(x), scale, np.float64)
    row_scale = np.stack([e.row_scale for e in expected]).astype(float)
    assert_within(gradient, np.stack([e.row for e in expected]), row_roundings(x) + 4, row_scale, np.float64)


def test_float32_logits_stay_float32_beside_float64_options():
    """Breaks if x64 mode widens a float32 loss, or a strict promotion mode refuses it (SHAPE-3)."""
    x = np.ones((2, 3), np.float32)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        arguments = (jnp.asarray(x), jnp.ones(2), jnp.float64(0.1), jnp.float64(0.5), jnp.float64(2))
        function = lambda x, *rest: compute_weighted_cross_entropy(x, jnp.array([0, 2**32]), *rest)  # noqa: E731
        values = jax.jit(function)(*arguments)
        gradients = jax.jit(jax.grad(lambda *a: function(*a)[0], argnums=(0, 1, 2, 3, 4)))(*arguments)
        dense = cross_entropy_with_logits(x, jnp.ones((2, 3)), 0.0)
    assert [v.dtype for v in (*values, *dense)] == ["float32"] * 5
    assert [g.dtype for g in gradients] == ["float32"] + ["float64"] * 4
    assert values[2] == 1


def test_normalizing_factors_keep_float64_weights():
    """Breaks if double precision weights are summed in single (NORM-4, NORM-6)."""
    weights = np.array([[1e16, 1.0, -1e16]])
    batch = {"decoder_loss_weights": weights, "decoder_target_tokens": np.ones((1, 3), int)}
    with jax.enable_x64(True):
        factor, _ = get_loss_normalizing_factor_and_weights("num_real_target_tokens", batch)
    assert factor.dtype == np.float64
    assert np.asarray(factor) == 1.0
