"""The loss of each token and its derivatives."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl import _class_targets, _dense_terms
from lossproof.impl._class_sums import half_dense_loss, mass
from lossproof.impl._dense_terms import along_targets, dense_row, is_dense
from lossproof.impl._elementary import exp
from lossproof.impl._form import Form
from lossproof.impl._row_sums import capped
from lossproof.impl._smoothing import Smoothing
from lossproof.impl._softcap import through_cap
from lossproof.impl._softmax_row import SoftmaxRow, finite_gaps, softmax_row
from lossproof.impl._tangents import is_present, times


class TokenCrossEntropy(NamedTuple):
    """What each token contributes, all [...] in the carried type unless it is said.

    Attributes:
        loss: cross-entropy less the entropy of the smoothed target, plus z_loss.
        z_loss: z_loss coefficient times log_z squared.
        log_z: log of the sum of the exponentials of the logits.
        target_log_probability: the target's logit less log_z; for dense targets the sum of these, each times its
            target. None unless asked for, as are the next two.
        predicted_class: int32, the index of the first largest logit; -1 for a token that is excluded or undefined.
        entropy: that of the predicted probabilities.
    """

    loss: Array
    z_loss: Array
    log_z: Array
    target_log_probability: Array | None = None
    predicted_class: Array | None = None
    entropy: Array | None = None


class Inputs(NamedTuple):
    """The arguments of `token_terms`.

    Attributes:
        logits: [..., V], in their own type.
        targets: int32 [...], -1 where out of range; or dense, [..., V] in the carried type.
        weightless: bool [...], True where the token's weight is 0; None where no weights are in play.
        smoothing: on, off, H and the label_smoothing that they belong to; None for dense targets.
        z_loss: the coefficient, a scalar.
    """

    logits: Array
    targets: Array
    weightless: Array | None
    smoothing: Smoothing | None
    z_loss: Array


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def token_terms(form: Form, inputs: Inputs) -> TokenCrossEntropy:
    """All results of each token but its predicted class."""
    return _terms(form, inputs, _row(form, inputs))


def _row(form: Form, inputs: Inputs) -> SoftmaxRow:
    return (dense_row if is_dense(inputs.targets) else softmax_row)(form, inputs.logits, inputs.targets)


def _terms(form: Form, inputs: Inputs, row: SoftmaxRow) -> TokenCrossEntropy:
    z = (inputs.z_loss * row.log_z) * row.log_z  # [VALUE-4, STATE-5] in this order k = 0 never meets inf
    if inputs.smoothing is None:
        half = half_dense_loss(inputs.logits, inputs.targets, row.peak, row.log_total, form.softcap)
        loss = 2.0 * half
        log_probability = -loss
    else:
        loss = _class_targets.smoothed_loss(form, inputs.smoothing, row, inputs.logits.shape[-1])
        log_probability = _class_targets.log_probability(row)
    values = TokenCrossEntropy(
        loss + z,
        z,
        row.log_z,
        target_log_probability=log_probability if "target_log_probability" in form.also else None,
        entropy=row.entropy if "entropy" in form.also else None,
    )
    return _together(inputs, _without(_out_of_range(inputs), values))  # [EXCL-2]


def _together(inputs: Inputs, values: TokenCrossEntropy) -> TokenCrossEntropy:
    """The same values, each of which depends on all arguments.

    The rule below has tangents that do. Where vmap maps one of these arguments and no other, jax 0.10 takes their
    derivatives for a batch and the values for none, and fails.
    """
    anything = jnp.isnan(values.loss) if inputs.weightless is None else jnp.isnan(values.loss) | inputs.weightless
    return jax.tree.map(lambda value: jnp.where(anything, value, value), values)


def _out_of_range(inputs: Inputs) -> Array:
    return jnp.zeros(inputs.logits.shape[:-1], bool) if is_dense(inputs.targets) else inputs.targets < 0


def _without(dead: Array, values: TokenCrossEntropy) -> TokenCrossEntropy:
    return jax.tree.map(lambda value: jnp.where(dead, 0.0, value), values)


@partial(token_terms.defjvp, symbolic_zeros=True)
def _token_terms_jvp(
    form: Form, primals: tuple[Inputs], tangents: tuple[Any]
) -> tuple[TokenCrossEntropy, TokenCrossEntropy]:
    (inputs,), (dinputs,) = primals, tangents
    row = _row(form, inputs)
    out = _terms(form, inputs, row)
    weightless = jnp.zeros(out.loss.shape, bool) if inputs.weightless is None else inputs.weightless
    # [EXCL-1, EXCL-2, GRAD-11] What is dead here has a row of zeros instead of its own, so that no 0 * NaN can form.
    # A token of weight 0 lives on while its loss is finite: its row is multiplied by 0 later, and has a derivative
    # by the weight.
    dead = _out_of_range(inputs) | (weightless & ~jnp.isfinite(out.loss))
    live = SoftmaxRow(*(jnp.where(dead, 1.0, value) for value in row))
    dout = jax.tree.map(jnp.zeros_like, out)
    if is_present(dinputs.logits):
        dout = _along_logits(form, inputs, dead, live, dinputs.logits)
    dloss, dz = dout.loss, dout.z_loss
    if inputs.smoothing is None:
        if is_present(dinputs.targets):
            x = jnp.where(dead[..., None], 1.0, capped(inputs.logits.astype(row.peak.dtype), form.softcap))
            along = along_targets(x, live, dinputs.targets)
            dloss = dloss + along
            if dout.target_log_probability is not None:
                dout = dout._replace(target_log_probability=dout.target_log_probability - along)
    elif is_present(dinputs.smoothing.label_smoothing):
        slope = _class_targets.slope_by_label_smoothing(form, inputs.smoothing, live, inputs.logits.shape[-1])
        slope = jnp.where(dead | (weightless & ~jnp.isfinite(slope)), 0.0, slope)
        dloss = dloss + times(slope, dinputs.smoothing.label_smoothing)  # [GRAD-4]
    if is_present(dinputs.z_loss):
        square = jnp.square(live.log_z)
        square = jnp.where(dead | (weightless & ~jnp.isfinite(square)), 0.0, square)
        dz_by_coefficient = times(square, dinputs.z_loss)  # [GRAD-3]
        dloss, dz = dloss + dz_by_coefficient, dz + dz_by_coefficient
    return out, _without(dead, dout._replace(loss=dloss, z_loss=dz))


def _along_logits(form: Form, inputs: Inputs, dead: Array, row: SoftmaxRow, dlogits: Array) -> TokenCrossEntropy:
    """The tangents of all results; the softmax is computed again where it is transposed, not kept."""
    # Q is kept: it is a pass over the targets of its own.
    whole = mass(inputs.targets) if inputs.smoothing is None else jnp.ones_like(row.peak)

    @jax.checkpoint
    def tangent(inputs: Inputs, whole: Array, dead: Array, row: SoftmaxRow, dlogits: Array) -> TokenCrossEntropy:
        y = jnp.where(dead[..., None], 1.0, inputs.logits.astype(row.peak.dtype))
        # [ACC-5] the cotangents meet in the carried type, then are rounded once
        dx = through_cap(y, dlogits.astype(y.dtype), form.softcap)
        x = capped(y, form.softcap)
        below = x - row.peak[..., None]
        exponential = exp(below)
        if form.softcap is None and inputs.logits.dtype == x.dtype:  # of 16 bits, the difference is exact or exp is 0
            exponential = exponential + exponential * _rounding_of_difference(x, row.peak[..., None], below)
        probability = exponential / row.total[..., None]
        z_loss, none = (jnp.where(dead, 0.0, each) for each in (inputs.z_loss, 0.0))
        # The product with p comes first: 2 k lse alone may overflow where p is 0.  [STATE-4]
        along_z = 2.0 * (z_loss[..., None] * (row.log_z[..., None] * probability))
        if inputs.smoothing is None:
            targets = jnp.where(dead[..., None], 0.0, inputs.targets)
            by_xent = _dense_terms.xent_slopes(y, targets, jnp.where(dead, 0.0, whole), row, exponential)
            by_loss, by_log_probability = by_xent + along_z, -by_xent
        else:
            on, off = (jnp.where(dead, 0.0, each) for each in (inputs.smoothing.on, inputs.smoothing.off))
            by_loss = _class_targets.loss_slopes(on, off, z_loss, inputs.targets, row, exponential)
            by_log_probability = -_class_targets.loss_slopes(1.0 + none, none, none, inputs.targets, row, exponential)

        def along(slopes: Array) -> Array:
            return jnp.sum(slopes * dx, axis=-1)

        return TokenCrossEntropy(
            along(by_loss),
            along(along_z),
            along(probability),
            target_log_probability=along(by_log_probability) if "target_log_probability" in form.also else None,
            entropy=along(probability * (finite_gaps(below) - row.mean_gap[..., None]))
            if "entropy" in form.also
            else None,
        )

    return tangent(inputs, whole, dead, row, dlogits)


def _rounding_of_difference(x: Array, peak: Array, below: Array) -> Array:
    """What x - peak is more than the rounded `below` (Knuth): in an exponent, it would be relative; 0 at -inf."""
    seen = below - x
    lost = (x - (below - seen)) - (peak + seen)
    return lax.stop_gradient(jnp.where(jnp.isfinite(lost), lost, 0.0))
