"""The formulas of dense targets."""

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._class_sums import all_finite
from lossproof.impl._form import Form
from lossproof.impl._softmax_row import SoftmaxRow, softmax_row
from lossproof.impl._tangents import times


def is_dense(targets: Array) -> bool:
    """Whether targets are weights over the classes, not class numbers."""
    return bool(jnp.issubdtype(targets.dtype, jnp.floating))


def dense_row(form: Form, logits: Array, targets: Array) -> SoftmaxRow:
    """The row of each token, NaN where a target is not finite (STATE-3); what it has of a target is of no use."""
    row = softmax_row(form, logits, jnp.zeros(logits.shape[:-1], jnp.int32))
    finite = all_finite(targets)
    return SoftmaxRow(*(jnp.where(finite, value, jnp.nan) for value in row))


def xent_slopes(logits: Array, targets: Array, mass: Array, row: SoftmaxRow, exponential: Array) -> Array:
    """The derivative of xent by the logits after the cap, [..., V].

    Q p_j - q_j, in the form that keeps the digits where q_j is all of Q (GRAD-1, ACC-3, DIFF-9).
    """
    total = row.total[..., None]
    probability = exponential / total
    # At the peak 1 - p_j is r / s; what is added there is 0, and has the derivative by the peak's own term.  [GRAD-9]
    of_peak = (row.rest[..., None] + (jax.lax.stop_gradient(exponential) - exponential)) / total
    complement = jnp.where(logits == row.largest[..., None], of_peak, 1.0 - probability)
    return (mass[..., None] - targets) * probability - targets * complement


@jax.checkpoint
def along_targets(x: Array, row: SoftmaxRow, dtargets: Array) -> Array:
    """The tangent of xent, from the logits after the cap (GRAD-6)."""
    half = (0.5 * row.peak[..., None] - 0.5 * x) + (0.5 * row.log_total)[..., None]
    return jnp.sum(times(2.0 * half, dtargets), axis=-1)
