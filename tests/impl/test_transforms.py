"""JAX's transformations change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

from ._ulps import assert_within, row_roundings

RNG = np.random.default_rng(13)
X = RNG.normal(0, 3, (3, 4, 7)).astype(np.float32)
TARGETS = RNG.integers(-1, 7, (3, 4)).astype(np.int32)
WEIGHTS = RNG.uniform(0, 2, (3, 4)).astype(np.float32)
E = np.array([0.0, 0.1, 1.0], np.float32)
K = np.array([0.0, 0.5, -1.0], np.float32)
L = np.array([1.0, 2.0, 0.5], np.float32)
ARGUMENTS = (X, TARGETS, WEIGHTS, E, K, L)


def value_and_grad(x, *rest):
    return jax.value_and_grad(lambda x: compute_weighted_cross_entropy(x, *rest)[0])(x)


def close(actual, expected):
    """Equal but for the order of sums, which a transformation may change."""
    rounding = 2 * float(row_roundings(X).max())
    size = float(np.abs(np.asarray(expected, np.float64)).sum())
    assert_within(actual, expected, rounding, size)


@pytest.mark.parametrize("axis", range(6))
def test_vmap_over_each_argument(axis):
    """Breaks if a batched argument is mixed up with another, in value or gradient (GRAD-10)."""
    axes = [0 if i == axis else None for i in range(6)]
    arguments = [a if i == axis else a[1] for i, a in enumerate(ARGUMENTS)]
    value, gradient = jax.vmap(value_and_grad, in_axes=axes)(*arguments)
    for i in range(3):
        one = [a[i] if j == axis else a for j, a in enumerate(arguments)]
        expected = jax.jit(value_and_grad)(*one)
        close(value[i], expected[0])
        close(gradient[i], expected[1])


def test_vmap_over_dense_targets():
    """Breaks if dense targets or k cannot be batched (GRAD-10)."""
    q = RNG.normal(0, 1, X.shape).astype(np.float32)
    together = jax.vmap(cross_entropy_with_logits)(X, q, K)
    for i in range(3):
        for actual, expected in zip(together, cross_entropy_with_logits(X[i], q[i], K[i]), strict=True):
            close(actual[i], expected)


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, lambda f: jax.checkpoint(jax.jit(f))])
def test_jit_and_checkpoint(wrap):
    """Breaks if the loss cannot be staged or recomputed (GRAD-10)."""
    arguments = [a[1] for a in ARGUMENTS]

    def loss(x, *rest):
        return compute_weighted_cross_entropy(x, *rest)[0]

    value, gradient = jax.value_and_grad(wrap(loss))(*arguments)
    expected = value_and_grad(*arguments)
    close(value, expected[0])
    close(gradient, expected[1])


def test_scan_over_chunks():
    """Breaks if the loss cannot be accumulated over chunks in a loop (GRAD-10)."""

    def chunked(x):
        def step(total, chunk):
            return total + compute_weighted_cross_entropy(*chunk, 0.1, 0.5)[0], None

        return jax.lax.scan(step, jnp.float32(0), (x, TARGETS, WEIGHTS))[0]

    value, gradient = jax.jit(jax.value_and_grad(chunked))(X)
    expected = value_and_grad(X, TARGETS, WEIGHTS, 0.1, 0.5)
    close(value, expected[0])
    close(gradient, expected[1])


def test_jacobians_in_both_modes():
    """Breaks if forward and reverse mode differ entry by entry (GRAD-8)."""

    def losses(x):
        return token_cross_entropy(x, TARGETS[0], label_smoothing=0.1, z_loss=0.5)

    for forward, reverse in zip(jax.jit(jax.jacfwd(losses))(X[0]), jax.jit(jax.jacrev(losses))(X[0]), strict=True):
        close(forward, reverse)


def test_linearize_is_the_tangent():
    """Breaks if the linear part depends on where it is evaluated (GRAD-8)."""
    v = RNG.normal(0, 1, X[0].shape).astype(np.float32)

    def loss(x):
        return token_cross_entropy(x, TARGETS[0], z_loss=0.5).loss

    _, linear = jax.linearize(loss, X[0])
    close(linear(v), jax.jvp(loss, (X[0],), (v,))[1])
    close(jax.linear_transpose(linear, X[0])(np.ones(4, np.float32))[0], jax.grad(lambda x: loss(x).sum())(X[0]))


def test_a_traced_option_has_the_value_of_a_known_one():
    """Breaks if on, off or H differ between the two ways (VALUE-9)."""
    arguments = [a[1] for a in ARGUMENTS]
    known = compute_weighted_cross_entropy(*arguments)
    for actual, expected in zip(jax.jit(compute_weighted_cross_entropy)(*arguments), known, strict=True):
        close(actual, expected)


def test_the_gradient_program_has_no_scatter_and_keeps_no_copy_of_the_logits():
    """Breaks if the backward pass scatters, or [N, V] arrays are saved beside the logits."""
    x = jnp.zeros((8, 32), jnp.bfloat16)

    def loss(x):
        return compute_weighted_cross_entropy(x, np.zeros(8, int), None, 0.1, 0.5)[0]

    assert "scatter" not in jax.jit(jax.grad(loss)).lower(x).as_text()
    saved = [leaf for leaf in jax.tree.leaves(jax.vjp(loss, x)[1]) if np.shape(leaf) == x.shape]
    assert len(saved) == 1
    assert saved[0].dtype == x.dtype
