"""The loss of each token and its derivatives, for targets that are class numbers."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._row_sums import Gaps, gap_scale
from lossproof.impl._smoothing import Smoothing, entropy_slope
from lossproof.impl._softmax import class_index
from lossproof.impl._softmax_row import SoftmaxRow, softmax_row
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
def token_terms(gaps: Gaps, inputs: Inputs) -> TokenCrossEntropy:
    """Loss, z and log_z of each token; gaps says what smoothing needs of the other classes."""
    return _terms(gaps, inputs, softmax_row(gaps, inputs.logits, inputs.targets))


def _terms(gaps: Gaps, inputs: Inputs, row: SoftmaxRow) -> TokenCrossEntropy:
    smoothing, z_loss = inputs.smoothing, inputs.z_loss
    # Twice the largest float can be a finite loss once on or off has scaled it, hence halves.  [STATE-4]
    half = _absorbing(smoothing.on, row.half_target_gap)
    if gaps is not Gaps.NOTHING:
        half = half + _absorbing(smoothing.off, row.other_gaps) * (0.5 / gap_scale(inputs.logits.shape[-1]))
    z = (z_loss * row.log_z) * row.log_z  # [VALUE-4, STATE-5] in this order k = 0 never meets an overflowed square
    # [VALUE-1, VALUE-2] log s is in every lse - x_j, and on + (V - 1) off = 1 of it in the loss.  [VALUE-3]
    loss = (2.0 * half + row.log_total) - smoothing.entropy + z
    in_range = inputs.targets >= 0
    return TokenCrossEntropy(*(jnp.where(in_range, value, 0.0) for value in (loss, z, row.log_z)))  # [EXCL-2]


def _absorbing(mass: Array, value: Array) -> Array:
    return jnp.where(mass == 0.0, 0.0, mass * value)  # [STATE-1] 0 * inf = 0


@partial(token_terms.defjvp, symbolic_zeros=True)
def _token_terms_jvp(
    gaps: Gaps, primals: tuple[Inputs], tangents: tuple[Any]
) -> tuple[TokenCrossEntropy, TokenCrossEntropy]:
    (inputs,), (dinputs,) = primals, tangents
    row = softmax_row(gaps, inputs.logits, inputs.targets)
    out = _terms(gaps, inputs, row)
    weightless = jnp.zeros(out.loss.shape, bool) if inputs.weightless is None else inputs.weightless
    # [EXCL-1, EXCL-2, GRAD-11] What is dead here has a row of zeros instead of its own, so that no 0 * NaN can form.
    # A token of weight 0 lives on while its loss is finite: its row is multiplied by 0 later, and has a derivative
    # by the weight.
    dead = (inputs.targets < 0) | (weightless & ~jnp.isfinite(out.loss))
    live = SoftmaxRow(*(jnp.where(dead, 1.0, value) for value in row))
    dloss, dz, dlog_z = (jnp.zeros_like(value) for value in out)
    if is_present(dinputs.logits):
        dloss, dz, dlog_z = _along_logits(inputs, dead, live, dinputs.logits)
    if is_present(dinputs.smoothing.label_smoothing):
        slope = _slope_by_label_smoothing(inputs, live)
        slope = _without(dead | (weightless & ~jnp.isfinite(slope)), slope)
        dloss = dloss + times(slope, dinputs.smoothing.label_smoothing)  # [GRAD-4]
    if is_present(dinputs.z_loss):
        square = jnp.square(live.log_z)
        square = _without(dead | (weightless & ~jnp.isfinite(square)), square)
        dz_by_coefficient = times(square, dinputs.z_loss)  # [GRAD-3]
        dloss, dz = dloss + dz_by_coefficient, dz + dz_by_coefficient
    return out, TokenCrossEntropy(*(_without(dead, value) for value in (dloss, dz, dlog_z)))


def _without(dead: Array, value: Array) -> Array:
    return jnp.where(dead, 0.0, value)


@jax.checkpoint
def _along_logits(inputs: Inputs, dead: Array, row: SoftmaxRow, dlogits: Array) -> tuple[Array, Array, Array]:
    """The tangents of loss, z and log_z; the softmax is computed again where it is transposed, not kept."""
    x = jnp.where(dead[..., None], 1.0, inputs.logits.astype(row.peak.dtype))
    dx = dlogits.astype(x.dtype)  # [ACC-5] the three cotangents meet in the carried type, then are rounded once
    on, off, z_loss = (_without(dead, value) for value in (inputs.smoothing.on, inputs.smoothing.off, inputs.z_loss))
    probability = jnp.exp(x - row.peak[..., None]) / row.total[..., None]
    # [GRAD-1] with Q = 1, and [ACC-3]: p_t - on = (V - 1) off p_t - on (1 - p_t).
    of_target = ((x.shape[-1] - 1) * off) * row.target_probability - on * row.target_complement
    is_target = class_index(x) == inputs.targets[..., None]
    by_xent = jnp.where(is_target, of_target[..., None], probability - off[..., None])
    # The product with p comes first: 2 k lse alone may overflow where p is 0.  [STATE-4]
    along_z = 2.0 * (z_loss[..., None] * (row.log_z[..., None] * probability))
    return (
        jnp.sum((by_xent + along_z) * dx, axis=-1),
        jnp.sum(along_z * dx, axis=-1),
        jnp.sum(probability * dx, axis=-1),
    )


def _slope_by_label_smoothing(inputs: Inputs, row: SoftmaxRow) -> Array:
    """dloss/de of each token, in the extended reals: lse cancels from the first two terms of GRAD-4."""
    classes = inputs.logits.shape[-1]
    if classes == 1:
        return jnp.zeros_like(row.peak)
    half_mean_of_others = row.other_gaps * (0.5 / (gap_scale(classes) * (classes - 1)))
    spread = 2.0 * (half_mean_of_others - row.half_target_gap)
    # At e = 0 and 1 the loss jumps to or from inf where a -inf logit gains or loses its mass: that outweighs dH/de.
    slope = entropy_slope(inputs.smoothing.label_smoothing, classes)
    return jnp.where(jnp.isinf(spread) & jnp.isinf(slope), spread, spread - slope)
