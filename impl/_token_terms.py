"""The loss of each token and its derivatives, for targets that are class numbers."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._smoothing import Smoothing, entropy_slope
from lossproof.impl._softmax import (
    carried_type,
    class_index,
    half_gap,
    half_log_loss,
    log_partition,
    log_total,
    peak_value,
    softmax,
)
from lossproof.impl._tangents import is_present, times


class TokenCrossEntropy(NamedTuple):
    """What each token contributes, all [...] in the carried type.

    Attributes:
        loss: cross-entropy less the entropy of the smoothed target, plus z_loss.
        z_loss: z_loss coefficient times log_z squared.
        log_z: log of the sum of the exponentials of the logits.
    """

    loss: Array
    z_loss: Array
    log_z: Array


class Inputs(NamedTuple):
    """The arguments of `token_terms`.

    Attributes:
        logits: [..., V], in their own type.
        targets: int32 [...], -1 where out of range.
        weightless: bool [...], True where the token's weight is 0; None where no weights are in play.
        smoothing: on, off, H and the label_smoothing that they belong to.
        z_loss: the coefficient, a scalar.
    """

    logits: Array
    targets: Array
    weightless: Array | None
    smoothing: Smoothing
    z_loss: Array


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def token_terms(smooth: bool, inputs: Inputs) -> TokenCrossEntropy:
    """Loss, z and log_z of each token; smooth is False where off is known to be 0."""
    logits, targets, _, smoothing, z_loss = inputs
    x = logits.astype(carried_type(logits))
    # Twice the largest float can be a finite loss once on or off has scaled it, hence halves.  [STATE-4]
    target_logit = jnp.take_along_axis(x, jnp.expand_dims(jnp.maximum(targets, 0), -1), axis=-1)
    half_gap_of_target = 0.5 * peak_value(x) - 0.5 * target_logit
    half_of_target = jnp.squeeze(half_gap_of_target, -1) + 0.5 * log_total(x)
    half = _absorbing(smoothing.on, half_of_target)  # [VALUE-1]
    if smooth:
        is_target = class_index(x) == jnp.expand_dims(targets, -1)
        others = jnp.where(is_target, 0.0, _absorbing(smoothing.off, half_log_loss(x)))
        half = half + jnp.sum(others, axis=-1)  # [VALUE-2]
    log_z = log_partition(x)
    z = (z_loss * log_z) * log_z  # [VALUE-4, STATE-5] in this order k = 0 never meets an overflowed square
    loss = 2.0 * half - smoothing.entropy + z  # [VALUE-3]
    in_range = targets >= 0
    return TokenCrossEntropy(*(jnp.where(in_range, value, 0.0) for value in (loss, z, log_z)))  # [EXCL-2]


def _absorbing(mass: Array, value: Array) -> Array:
    return jnp.where(mass == 0.0, 0.0, mass * value)  # [STATE-1] 0 * inf = 0


@partial(token_terms.defjvp, symbolic_zeros=True)
def _token_terms_jvp(
    smooth: bool, primals: tuple[Inputs], tangents: tuple[Any]
) -> tuple[TokenCrossEntropy, TokenCrossEntropy]:
    (inputs,), (dinputs,) = primals, tangents
    out = token_terms(smooth, inputs)
    weightless = jnp.zeros(out.loss.shape, bool) if inputs.weightless is None else inputs.weightless
    # [EXCL-1, EXCL-2, GRAD-11] What is dead here has logits of 0 instead of its own, so that no 0 * NaN can form.
    # A token of weight 0 lives on while its loss is finite: its row is multiplied by 0 later, and has a derivative
    # by the weight.
    dead = (inputs.targets < 0) | (weightless & ~jnp.isfinite(out.loss))
    live = inputs._replace(logits=jnp.where(jnp.expand_dims(dead, -1), jnp.zeros_like(inputs.logits), inputs.logits))
    dloss, dz, dlog_z = (jnp.zeros_like(value) for value in out)
    if is_present(dinputs.logits):
        dloss, dz, dlog_z = _along_logits(live, dead, dinputs.logits)
    if is_present(dinputs.smoothing.label_smoothing):
        slope = _slope_by_label_smoothing(live)
        slope = _without(dead | (weightless & ~jnp.isfinite(slope)), slope)
        dloss = dloss + times(slope, dinputs.smoothing.label_smoothing)  # [GRAD-4]
    if is_present(dinputs.z_loss):
        square = jnp.square(log_partition(live.logits.astype(out.loss.dtype)))
        square = _without(dead | (weightless & ~jnp.isfinite(square)), square)
        dz_by_coefficient = times(square, dinputs.z_loss)  # [GRAD-3]
        dloss, dz = dloss + dz_by_coefficient, dz + dz_by_coefficient
    return out, TokenCrossEntropy(*(_without(dead, value) for value in (dloss, dz, dlog_z)))


def _without(dead: Array, value: Array) -> Array:
    return jnp.where(dead, 0.0, value)


@jax.checkpoint
def _along_logits(inputs: Inputs, dead: Array, dlogits: Array) -> tuple[Array, Array, Array]:
    """The tangents of loss, z and log_z; the softmax is computed again where it is transposed, not kept."""
    carried = carried_type(inputs.logits)
    x = inputs.logits.astype(carried)
    dx = dlogits.astype(carried)  # [ACC-5] the three cotangents meet in the carried type, then are rounded once
    on, off, z_loss = (
        jnp.expand_dims(_without(dead, value), -1)
        for value in (inputs.smoothing.on, inputs.smoothing.off, inputs.z_loss)
    )
    probability, complement = softmax(x)
    others = x.shape[-1] - 1
    is_target = class_index(x) == jnp.expand_dims(inputs.targets, -1)
    # [GRAD-1] with Q = 1, and [ACC-3]: p_t - on = (V - 1) off p_t - on (1 - p_t).
    row = jnp.where(is_target, (others * off) * probability - on * complement, probability - off)
    # The product with p comes first: 2 k lse alone may overflow where p is 0.  [STATE-4]
    half_z_row = z_loss * (jnp.expand_dims(log_partition(x), -1) * probability)
    along_z = 2.0 * half_z_row
    return (
        jnp.sum((row + along_z) * dx, axis=-1),
        jnp.sum(along_z * dx, axis=-1),
        jnp.sum(probability * dx, axis=-1),
    )


def _slope_by_label_smoothing(inputs: Inputs) -> Array:
    """dloss/de of each token, in the extended reals: lse cancels from the first two terms of GRAD-4."""
    x = inputs.logits.astype(carried_type(inputs.logits))
    classes = x.shape[-1]
    if classes == 1:
        return jnp.zeros(x.shape[:-1], x.dtype)
    is_target = class_index(x) == jnp.expand_dims(inputs.targets, -1)
    gaps = half_gap(x)
    mean_of_others = jnp.sum(jnp.where(is_target, 0.0, gaps / (classes - 1)), axis=-1)
    of_target = jnp.sum(jnp.where(is_target, gaps, 0.0), axis=-1)
    spread = 2.0 * (mean_of_others - of_target)
    # At e = 0 and 1 the loss jumps to or from inf where a -inf logit gains or loses its mass: that outweighs dH/de.
    slope = entropy_slope(inputs.smoothing.label_smoothing, classes)
    return jnp.where(jnp.isinf(spread) & jnp.isinf(slope), spread, spread - slope)
