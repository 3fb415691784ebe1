"""The formulas of t5x.losses, written afresh: a target that shows what the DIFF clauses of SPEC.md are about.

    lossproof check examples/t5x_formula.py:

t5x (Apache-2.0, https://github.com/google-research/t5x, t5x/losses.py) is where the formulas come from.
"""

import jax
import jax.numpy as jnp
from jax import Array


@jax.custom_vjp
def cross_entropy_with_logits(logits: Array, targets: Array, z_loss: float) -> tuple[Array, Array]:
    """The loss and z of each token as t5x evaluates them: through lse - x."""
    lse = jax.scipy.special.logsumexp(logits, axis=-1, keepdims=True)
    loss = -jnp.sum(targets * (logits - lse), axis=-1)
    z = z_loss * jnp.square(jnp.squeeze(lse, axis=-1))
    return loss + z, z


def _forward(logits: Array, targets: Array, z_loss: float) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    """The same as t5x trains with them: through shifted logits."""
    peak = jnp.max(logits, axis=-1, keepdims=True)
    shifted = logits - peak
    exps = jnp.exp(shifted)
    total = jnp.sum(exps, axis=-1, keepdims=True)
    log_softmax = shifted - jnp.log(total)
    lse = jnp.squeeze(jnp.log(total) + peak, axis=-1)
    z = z_loss * jnp.square(lse)
    loss = -jnp.sum(targets * log_softmax, axis=-1) + z
    return (loss, z), (targets, jnp.asarray(z_loss, logits.dtype), exps, total, log_softmax, lse)


def _backward(residuals: tuple[Array, ...], cotangents: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    targets, z_loss, exps, total, log_softmax, lse = residuals
    by_loss = jnp.expand_dims(cotangents[0], -1)  # the cotangent of z is dropped
    factor = jnp.expand_dims(1 + 2 * z_loss * lse, -1)
    return by_loss * (factor * exps / total - targets), -by_loss * log_softmax, jnp.zeros_like(z_loss)


cross_entropy_with_logits.defvjp(_forward, _backward)


def compute_weighted_cross_entropy(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    loss_normalizing_factor: float | None = None,
) -> tuple[Array, Array, Array]:
    """The batch's loss, z_loss and weight_sum."""
    if logits.ndim != targets.ndim + 1:
        raise ValueError(f"Incorrect shapes. Got shape {logits.shape} logits and {targets.shape} targets")
    classes = logits.shape[-1]
    on = 1.0 - label_smoothing
    off = (1.0 - on) / (classes - 1) if classes > 1 else jnp.divide(1.0 - on, 0.0)
    constant = -(on * jnp.log(on) + (classes - 1) * off * jnp.log(off + 1e-20))
    soft = jnp.where(jnp.arange(classes) == jnp.expand_dims(targets, -1), on, off).astype(jnp.float32)
    loss, z = cross_entropy_with_logits(logits, soft, z_loss)
    loss = loss - constant
    weight_sum = jnp.asarray(float(targets.size))
    if weights is not None:
        loss, z, weight_sum = loss * weights, z * weights, jnp.sum(weights)
    if loss_normalizing_factor is not None:
        loss, z = loss / loss_normalizing_factor, z / loss_normalizing_factor
    return jnp.sum(loss), jnp.sum(z), weight_sum
