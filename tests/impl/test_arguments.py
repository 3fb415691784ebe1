"""Shapes, types and error messages."""

import fractions
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

X = np.array([[1.0, 2.0, 3.0], [0.5, 0.25, 0.0]], np.float32)
T = np.array([0, 2])


def raises(kind, message, call):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


def test_a_shape_that_does_not_fit_is_named_with_the_one_that_would():
    """Breaks if shapes are broadcast, or the message does not help (SHAPE-1)."""
    raises(
        ValueError,
        "targets must have the shape of logits without its last axis: logits (2, 3) need targets (2,), got (3,).",
        lambda: compute_weighted_cross_entropy(X, np.array([0, 1, 2])),
    )
    raises(
        ValueError,
        "weights must have the shape of logits without its last axis: logits (2, 3) need weights (2,), got ().",
        lambda: compute_weighted_cross_entropy(X, T, 1.0),
    )
    raises(
        ValueError,
        "dense targets must have the shape of logits: logits (2, 3) need targets (2, 3), got (2,): "
        "class numbers, one for each token, are of an integer type.",
        lambda: cross_entropy_with_logits(X, T, 0.0),
    )
    for shape in ((), (2, 0)):
        raises(
            ValueError,
            f"logits must have a last axis of one class or more, got logits.shape={shape}: put the classes last.",
            lambda shape=shape: token_cross_entropy(np.zeros(shape, np.float32), np.zeros(shape[:-1], int)),
        )


def test_types_that_mean_something_else_are_named():
    """Breaks if integer logits, bool targets or complex weights are converted in silence (SHAPE-2)."""
    raises(
        TypeError,
        "logits must be bfloat16, float16, float32 or float64, got logits.dtype=int64: "
        "convert them with logits.astype(jnp.float32).",
        lambda: token_cross_entropy(np.zeros((2, 3), int), T),
    )
    raises(
        TypeError,
        "targets must be class numbers of an integer type or dense targets of a floating type, got targets.dtype=bool: "
        "convert them with targets.astype(jnp.int32).",
        lambda: token_cross_entropy(X, np.ones(2, bool)),
    )
    raises(
        TypeError,
        "weights must be of a real or bool type, got weights.dtype=complex64: convert them with "
        "weights.astype(jnp.float32).",
        lambda: compute_weighted_cross_entropy(X, T, np.ones(2, np.complex64)),
    )


@pytest.mark.parametrize("e", [-0.1, 1.5, np.nan, np.inf, np.float32(2), jnp.float32(2)])
def test_a_known_label_smoothing_out_of_range_is_an_error(e):
    """Breaks if a percentage is taken for a probability (SHAPE-5)."""
    raises(
        ValueError,
        f"label_smoothing must be a number from 0 to 1, got label_smoothing={float(e)!r}: pass the probability to take "
        "from the target, 0.1 for instance.",
        lambda: compute_weighted_cross_entropy(X, T, None, e),
    )


@pytest.mark.parametrize("name", ["label_smoothing", "z_loss", "loss_normalizing_factor"])
def test_options_are_real_scalars(name):
    """Breaks if an option of the wrong kind is broadcast or converted (SHAPE-6)."""
    raises(
        ValueError,
        f"{name} must be a real scalar, got an array: {name}.shape=(1,): pass one number, and use weights for what "
        "differs from token to token.",
        lambda: compute_weighted_cross_entropy(X, T, **{name: np.array([0.5])}),
    )
    for value in (True, np.True_, 1j, "0.1", np.complex64(1), jnp.bool_(True)):
        with pytest.raises(TypeError, match=rf"^{name} must be a real scalar, got {name}=.* of type .*: pass a number"):
            compute_weighted_cross_entropy(X, T, **{name: value})
    with pytest.raises(TypeError, match="get_loss_normalizing_factor_and_weights turns a special factor into one"):
        compute_weighted_cross_entropy(X, T, loss_normalizing_factor="NUM_REAL_TARGET_TOKENS")


@pytest.mark.parametrize("make", [float, np.float64, np.float16, jnp.bfloat16, fractions.Fraction, np.array, jnp.array])
def test_options_may_be_any_real_number(make):
    """Breaks if a numpy or jax scalar is refused, or taken at another value (SHAPE-6)."""
    expected = compute_weighted_cross_entropy(X, T, None, 0.5, 0.5, 0.5)
    assert compute_weighted_cross_entropy(X, T, None, make(0.5), make(0.5), make(0.5)) == expected


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_values_are_float32_and_gradients_have_the_type_of_their_argument(dtype):
    """Breaks if the loss is carried in bfloat16, or a gradient comes back wider (SHAPE-3, DIFF-12)."""
    x, weights, k = jnp.asarray(X, dtype), jnp.ones(2, jnp.bfloat16), jnp.float16(0.5)
    assert [v.dtype for v in compute_weighted_cross_entropy(x, T, weights, 0.1, k)] == ["float32"] * 3
    gradients = jax.grad(lambda *a: compute_weighted_cross_entropy(a[0], T, a[1], 0.1, a[2])[0], (0, 1, 2))(
        x, weights, k
    )
    assert [g.dtype for g in gradients] == [dtype, "bfloat16", "float16"]
    assert [g.shape for g in gradients] == [x.shape, weights.shape, k.shape]
    exact = token_cross_entropy(x.astype(jnp.float32), T).loss
    np.testing.assert_array_equal(token_cross_entropy(x, T).loss, exact)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 3), (0,), (3, 0)])
def test_any_leading_axes(shape):
    """Breaks if a batch must have one axis, or an empty one has no gradient (SHAPE-1, SHAPE-4)."""
    x = np.zeros((*shape, 2), np.float32)
    targets = np.zeros(shape, int)
    assert token_cross_entropy(x, targets).loss.shape == shape
    loss, _, weight_sum = compute_weighted_cross_entropy(x, targets, np.ones(shape, np.float32), 0.1)
    assert weight_sum == x.size // 2
    assert x.size or loss == 0
    gradient = jax.grad(lambda x: compute_weighted_cross_entropy(x, targets)[0])(x)
    assert gradient.shape == x.shape


@pytest.mark.parametrize("make", [lambda t: t, np.array, lambda t: np.array(t, np.uint64)])
@pytest.mark.parametrize("target", [2**32, 2**32 + 1, 2**63 - 1])
def test_a_target_is_read_at_its_full_width(make, target):
    """Breaks if jax's 32 bits make a target in range of one that is not (SHAPE-2)."""
    assert compute_weighted_cross_entropy(X, make([0, target]))[2] == 1


@pytest.mark.parametrize("dtype", ["int4", "int8", "uint8", "int16", "uint16", "int32", "uint32"])
@pytest.mark.parametrize("library", [np, jnp])
def test_narrow_targets_reach_into_a_wide_vocabulary(dtype, library):
    """Breaks if V wraps in the type of the targets, or a negative target does (SHAPE-2, EXCL-2)."""
    x = np.zeros((3, 300), np.float32)
    targets = library.asarray([0, 7, 5], getattr(jnp, dtype))
    assert compute_weighted_cross_entropy(x, targets)[2] == 3
    assert jax.jit(compute_weighted_cross_entropy)(x, targets)[2] == 3
    if dtype == "uint32":
        assert compute_weighted_cross_entropy(x, library.asarray([2**32 - 1, 300, 299], jnp.uint32))[2] == 1
    if dtype.startswith("int"):
        assert compute_weighted_cross_entropy(x, library.asarray([-1, -8, 0], getattr(jnp, dtype)))[2] == 1


@pytest.mark.parametrize("weights", [np.array([True, False]), np.array([1, 0]), [1, 0], np.array([1, 0], np.uint8)])
def test_weights_may_be_masks(weights):
    """Breaks if a bool or integer mask is refused (SHAPE-2)."""
    assert compute_weighted_cross_entropy(X, T, weights)[2] == 1


def test_wide_numbers_are_rounded_not_truncated():
    """Breaks if a 64-bit integer loses its upper half in jax's 32 bits (SHAPE-2)."""
    assert compute_weighted_cross_entropy(X, T, np.array([2**40, 1]))[2] == np.float32(2**40)
    loss = cross_entropy_with_logits(np.zeros(2, np.float32), np.array([2**40, 0]), 0)[0]
    assert loss > np.float32(2**39)


def test_a_value_beyond_the_carried_type_is_infinite_without_a_warning():
    """Breaks if a double too large for float32 raises numpy's overflow warning (STATE-8)."""
    assert np.isnan(compute_weighted_cross_entropy(X, T, None, 0.0, 1e300)[0])
    assert np.isnan(compute_weighted_cross_entropy(np.full((1, 2), 1e300), [0])[0])


def test_strict_promotion_modes_are_respected():
    """Breaks for users who let jax refuse implicit promotion (SHAPE-3)."""
    x = jnp.asarray(X, jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        options = (jnp.ones(2), jnp.float32(0.1), jnp.float16(0.5), jnp.int32(2))
        jax.jit(jax.hessian(lambda x: compute_weighted_cross_entropy(x, jnp.asarray(T), *options)[0]))(x)
        jax.jit(jax.grad(lambda e: token_cross_entropy(x, jnp.asarray(T), label_smoothing=e).loss.sum()))(0.1)
        jax.jit(jax.grad(lambda *a: cross_entropy_with_logits(*a)[0].sum(), (0, 1, 2)))(x, X, 0.1)
