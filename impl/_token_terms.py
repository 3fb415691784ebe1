"""The loss of each token and its derivatives."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, export

from lossproof.impl import _dense_terms, _hard_terms
from lossproof.impl._along_classes import along_classes, along_dense_classes
from lossproof.impl._class_axis import number_of_classes, own_targets
from lossproof.impl._dense_terms import along_targets, dense_row, half_dense_loss, is_dense, mass
from lossproof.impl._form import Form
from lossproof.impl._hard_terms import ZLoss
from lossproof.impl._partitioning import beside
from lossproof.impl._smoothing import Smoothing
from lossproof.impl._softmax_row import SoftmaxRow, softmax_row
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


export.register_namedtuple_serialization(TokenCrossEntropy, serialized_name="lossproof.TokenCrossEntropy")


class Inputs(NamedTuple):
    """The arguments of `token_terms`.

    Attributes:
        logits: [..., V], in their own type.
        targets: int32 [...], -1 where out of range; or dense, [..., V] in the carried type.
        weightless: bool [...], True where the token's weight is 0; None where no weights are in play.
        smoothing: on, off, H and the label_smoothing that they belong to; None for a known 0 and for dense targets.
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
    # [VALUE-4, STATE-5] In this order k = 0 never meets inf. [VALUE-9] The select keeps the product whole: in an FMA
    # with the loss, it would be rounded in one program and not in another.
    z = jnp.where(row.is_defined, (inputs.z_loss * row.log_z) * row.log_z, 0.0)
    if is_dense(inputs.targets):
        half = half_dense_loss(form, inputs.logits, inputs.targets, row.largest, row.peak, row.log_total)
        loss = 2.0 * half
        log_probability = -loss
    else:
        loss, half = _hard_terms.token_loss(inputs.smoothing, row, number_of_classes(form, inputs.logits))
        log_probability = _hard_terms.log_probability(row)
    # [STATE-2, STATE-4] No inf - inf: mass on a mask outweighs a z that is beyond the largest float, and that any other
    # loss.
    both, is_masked = jnp.isinf(loss) & jnp.isinf(z), jnp.isinf(half)
    values = TokenCrossEntropy(
        jnp.where(both & ~is_masked, 0.0, loss) + jnp.where(both & is_masked, 0.0, z),
        z,
        row.log_z,
        target_log_probability=log_probability if "target_log_probability" in form.also else None,
        entropy=row.log_total + row.mean_gap if row.mean_gap is not None else None,
    )
    return _together(inputs, _without(_out_of_range(inputs), _undefined(inputs, row, values)))  # [EXCL-2]


def _undefined(inputs: Inputs, row: SoftmaxRow, values: TokenCrossEntropy) -> TokenCrossEntropy:
    """NaN for tokens without a distribution (STATE-3).

    A token of weight 0 has inf instead: what it has is not finite, which is all that is asked of it, and no NaN is
    formed that a checker of NaNs would find.
    """
    otherwise = jnp.nan if inputs.weightless is None else jnp.where(inputs.weightless, jnp.inf, jnp.nan)
    return jax.tree.map(lambda value: jnp.where(row.is_defined, value, otherwise), values)


def _together(inputs: Inputs, values: TokenCrossEntropy) -> TokenCrossEntropy:
    """The same values, each of which depends on all arguments.

    The rule below has tangents that do. Where vmap maps one of these arguments and no other, jax 0.10 takes their
    derivatives for a batch and the values for none, and fails.
    """
    anything = jnp.isnan(values.loss) if inputs.weightless is None else jnp.isnan(values.loss) | inputs.weightless
    return jax.tree.map(lambda value: jnp.where(anything, value, value), values)


def _out_of_range(inputs: Inputs) -> Array:
    if not is_dense(inputs.targets):
        return inputs.targets < 0
    return beside(inputs.logits, jnp.zeros(inputs.logits.shape[:-1], bool))


def _without(dead: Array, values: TokenCrossEntropy) -> TokenCrossEntropy:
    return jax.tree.map(lambda value: jnp.where(dead, 0.0, value), values)


@partial(token_terms.defjvp, symbolic_zeros=True)
def _token_terms_jvp(
    form: Form, primals: tuple[Inputs], tangents: tuple[Any]
) -> tuple[TokenCrossEntropy, TokenCrossEntropy]:
    (inputs,), (dinputs,) = primals, tangents
    row = _row(form, inputs)
    out = _terms(form, inputs, row)
    # [EXCL-1, EXCL-2, GRAD-11] What is dead here has a row of zeros instead of its own, so that no 0 * NaN can form.
    # A token of weight 0 lives on while its loss is finite: its row is multiplied by 0 later, and has a derivative
    # by the weight.
    dead = _out_of_range(inputs)
    weightless = inputs.weightless
    if weightless is not None:
        dead |= weightless & ~jnp.isfinite(out.loss)
    dout = jax.tree.map(jnp.zeros_like, out)
    if is_present(dinputs.logits):
        dout = _along_logits(form, inputs, dead, row, dinputs.logits)
    dloss, dz = dout.loss, dout.z_loss
    if is_dense(inputs.targets):
        if is_present(dinputs.targets):
            names = ("largest", "peak", "log_total")
            live = row._replace(**{name: jnp.where(dead, 1.0, getattr(row, name)) for name in names})
            along = along_targets(form, inputs.logits, dead, live, dinputs.targets)
            dloss = dloss + along
            if dout.target_log_probability is not None:
                dout = dout._replace(target_log_probability=dout.target_log_probability - along)
    elif inputs.smoothing is not None and is_present(dinputs.smoothing.label_smoothing):
        classes = number_of_classes(form, inputs.logits)
        slope = _hard_terms.slope_by_label_smoothing(form, inputs.smoothing, row, classes)
        slope = _of_live(weightless, dead, slope)
        dloss = dloss + times(slope, dinputs.smoothing.label_smoothing)  # [GRAD-4]
    if is_present(dinputs.z_loss):
        dz_by_coefficient = times(_of_live(weightless, dead, jnp.square(row.log_z)), dinputs.z_loss)  # [GRAD-3]
        dloss, dz = dloss + dz_by_coefficient, dz + dz_by_coefficient
    dout = jax.tree.map(partial(_nan_of_undefined, row, dead), dout._replace(loss=dloss, z_loss=dz))
    return out, _without(dead, dout)


def _of_live(weightless: Array | None, dead: Array, coefficient: Array) -> Array:
    if weightless is not None:
        dead = dead | (weightless & ~jnp.isfinite(coefficient))
    return jnp.where(dead, 0.0, coefficient)


def _nan_of_undefined(row: SoftmaxRow, dead: Array, tangent: Array) -> Array:
    """The tangent, all of whose derivatives are NaN where a token is undefined (STATE-3)."""
    return tangent * jnp.where(row.is_defined | dead, 1.0, jnp.nan)


def _along_logits(form: Form, inputs: Inputs, dead: Array, row: SoftmaxRow, dlogits: Array) -> TokenCrossEntropy:
    """The tangents of all results (GRAD-1, GRAD-13)."""
    z = _hard_terms.z_loss_slope(jnp.where(dead, 0.0, inputs.z_loss), row) if form.has_z_loss else None
    sums = (_along_dense if is_dense(inputs.targets) else _along_hard)(form, inputs, dead, row, z, dlogits)
    dlog_z = sums.exponentials / row.total
    dz = jnp.zeros_like(dlog_z)
    if z is not None:
        dz, dlog_z = z.slope * dlog_z, dlog_z / z.more
    dentropy = None
    if sums.gaps is not None and row.mean_gap is not None:
        dentropy = sums.gaps / row.total
        dentropy = (dentropy if z is None else dentropy / z.more) - row.mean_gap * dlog_z
    return TokenCrossEntropy(
        sums.loss,
        dz,
        dlog_z,
        target_log_probability=sums.log_probability if "target_log_probability" in form.also else None,
        entropy=dentropy,
    )


class _Sums(NamedTuple):
    """What a tangent of the logits comes to: of the loss, of target_log_probability, and over all classes.

    Attributes:
        exponentials: the sum of exp(x_j - m) dx_j, times the `more` of the z-loss.
        gaps: the sum of exp(x_j - m) (m - x_j) dx_j, likewise; None without an entropy.
    """

    loss: Array
    log_probability: Array
    exponentials: Array
    gaps: Array | None


def _along_hard(form: Form, inputs: Inputs, dead: Array, row: SoftmaxRow, z: ZLoss | None, dlogits: Array) -> _Sums:
    own = own_targets(form, inputs.logits, inputs.targets)
    along = along_classes(
        form,
        inputs.logits,
        own,
        jnp.where(dead, 1.0, row.largest),
        jnp.where(dead, 1.0, row.peak),
        dead,
        dlogits,
        None if z is None else z.more,
    )
    classes = number_of_classes(form, inputs.logits)
    # A coefficient that is NaN must not meet the zeros that a dead token's cotangents are.
    z_loss = jnp.where(dead, 0.0, inputs.z_loss)
    smoothing = inputs.smoothing
    if smoothing is not None:
        smoothing = smoothing._replace(on=jnp.where(dead, 0.0, smoothing.on), off=jnp.where(dead, 0.0, smoothing.off))
    exponential, others = row.target_exponential, along.exponentials / row.total
    if z is not None:
        exponential, others = exponential * z.more, others / z.more
    gaps = along.gaps
    if gaps is not None:
        gap = jnp.minimum(2.0 * row.half_target_gap, float(jnp.finfo(gaps.dtype).max))
        gaps = gaps + (exponential * gap) * along.target
    return _Sums(
        _hard_terms.loss_along(smoothing, z, z_loss, row, along, classes),
        row.target_complement * along.target - others,
        along.exponentials + exponential * along.target,
        gaps,
    )


def _along_dense(form: Form, inputs: Inputs, dead: Array, row: SoftmaxRow, z: ZLoss | None, dlogits: Array) -> _Sums:
    along = along_dense_classes(
        form,
        inputs.logits,
        (inputs.targets,),
        mass(form, inputs.targets),
        (row.total, row.rest),
        jnp.where(dead, 1.0, row.largest),
        jnp.where(dead, 1.0, row.peak),
        dead,
        dlogits,
        None if z is None else z.more,
        None if z is None else z.slope / row.total,
        _dense_terms.xent_slopes,
    )
    return _Sums(along.loss, -along.xent, along.exponentials, along.gaps)
