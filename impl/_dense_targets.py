"""The loss of each token against a dense target, any weights over the classes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._arguments import canonical_dense_targets, canonical_logits, canonical_scalar
from lossproof.impl._softmax import carried_type, defined, half_log_loss, log_partition, softmax
from lossproof.impl._tangents import is_present, times


class _Inputs(NamedTuple):
    logits: Array
    targets: Array
    z_loss: Array


def cross_entropy_with_logits(logits: ArrayLike, targets: ArrayLike, z_loss: float | ArrayLike) -> tuple[Array, Array]:
    """The loss and z-loss of each token for dense targets, which need not be probabilities.

    Args:
        logits: [..., V] with V >= 1, bfloat16, float16, float32 or float64, any value.
        targets: [..., V], any real or bool type, any sign and sum; a class with target 0 takes no part.
        z_loss: real scalar, the coefficient of log_z squared.

    Returns:
        (loss, z_loss), each [...], float32 or, for float64 logits, float64. The loss contains the z-loss; no entropy is
        subtracted.

    Raises:
        TypeError: an argument has a type that SHAPE-2 or SHAPE-6 does not allow.
        ValueError: targets do not have the shape of logits, or z_loss has axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from lossproof import cross_entropy_with_logits
        >>> loss, z_loss = cross_entropy_with_logits(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[1.0, 0.0, 0.0]]), 0.0)
        >>> loss
        Array([2.407606], dtype=float32)

    References:
        SPEC.md, clauses VALUE-7, GRAD-1, GRAD-3, GRAD-6 to GRAD-10, STATE-1 to STATE-5 and DIFF-9.
    """
    logits = canonical_logits(logits)
    carried = carried_type(logits)
    targets = canonical_dense_targets(targets, logits, carried)
    z_loss = canonical_scalar("z_loss", z_loss, carried)
    terms: tuple[Array, Array] = _jitted(logits, targets, z_loss)
    return terms


@jax.jit
def _jitted(logits: Array, targets: Array, z_loss: Array) -> tuple[Array, Array]:
    return _dense_terms(_Inputs(logits, targets, defined(z_loss)))


def _defined(logits: Array, targets: Array) -> Array:
    """The logits in the carried type, NaN for tokens with a target that is not finite (STATE-3)."""
    x = logits.astype(targets.dtype)
    return jnp.where(jnp.all(jnp.isfinite(targets), axis=-1, keepdims=True), x, jnp.nan)


@jax.custom_jvp
def _dense_terms(inputs: _Inputs) -> tuple[Array, Array]:
    x = _defined(inputs.logits, inputs.targets)
    parts = jnp.where(inputs.targets == 0.0, 0.0, inputs.targets * half_log_loss(x))  # [VALUE-7, STATE-1, STATE-2]
    log_z = log_partition(x)
    z = (inputs.z_loss * log_z) * log_z  # [VALUE-4, STATE-5]
    return 2.0 * jnp.sum(parts, axis=-1) + z, z


def _dense_terms_jvp(primals: tuple[_Inputs], tangents: tuple[Any]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (inputs,), (dinputs,) = primals, tangents
    out = _dense_terms(inputs)
    dloss, dz = (jnp.zeros_like(value) for value in out)
    if is_present(dinputs.logits):
        dloss, dz = _along_logits(inputs, dinputs.logits)
    if is_present(dinputs.targets):
        dloss = dloss + _along_targets(inputs, dinputs.targets)
    if is_present(dinputs.z_loss):
        square = jnp.square(log_partition(_defined(inputs.logits, inputs.targets)))
        by_coefficient = times(square, dinputs.z_loss)  # [GRAD-3]
        dloss, dz = dloss + by_coefficient, dz + by_coefficient
    return out, (dloss, dz)


_dense_terms.defjvp(_dense_terms_jvp, symbolic_zeros=True)


@jax.checkpoint
def _along_logits(inputs: _Inputs, dlogits: Array) -> tuple[Array, Array]:
    targets = inputs.targets
    x = _defined(inputs.logits, targets)
    dx = dlogits.astype(x.dtype)  # [ACC-5]
    probability, complement = softmax(x)
    mass = jnp.sum(targets, axis=-1, keepdims=True)
    # [GRAD-1] Q p_j - q_j, in the form that keeps the digits where q_j is all of Q.  [ACC-3, DIFF-9]
    row = (mass - targets) * probability - targets * complement
    along_z = 2.0 * (inputs.z_loss * (jnp.expand_dims(log_partition(x), -1) * probability))
    return jnp.sum((row + along_z) * dx, axis=-1), jnp.sum(along_z * dx, axis=-1)


@jax.checkpoint
def _along_targets(inputs: _Inputs, dtargets: Array) -> Array:
    half = half_log_loss(_defined(inputs.logits, inputs.targets))
    return jnp.sum(times(2.0 * half, dtargets), axis=-1)  # [GRAD-6]
