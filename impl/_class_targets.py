"""The formulas of targets that are class numbers."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._form import Form
from lossproof.impl._row_sums import Gaps, gap_scale
from lossproof.impl._smoothing import Smoothing, entropy_slope, receivers
from lossproof.impl._softmax import class_index
from lossproof.impl._softmax_row import SoftmaxRow

_SMALL = 2.0**-63  # its square is in the range of float32


def smoothed_loss(form: Form, smoothing: Smoothing, row: SoftmaxRow, classes: int) -> Array:
    """xent - H of each token (VALUE-1 to VALUE-3)."""
    # Twice the largest float can be a finite loss once on or off has scaled it, hence halves.  [STATE-4]
    half = _absorbing(smoothing.on, row.half_target_gap)
    if form.gaps is not Gaps.NOTHING:
        half = half + _absorbing(smoothing.off, row.other_gaps) * (0.5 / gap_scale(classes))
    # log s is in every lse - x_j, and on + (V - 1) off = 1 of it in the loss.
    return (2.0 * half + row.log_total) - smoothing.entropy


def _absorbing(mass: Array, value: Array) -> Array:
    return jnp.where(mass == 0.0, 0.0, mass * value)  # [STATE-1] 0 * inf = 0


def log_probability(row: SoftmaxRow) -> Array:
    """x_t - lse, with small relative error (ACC-1)."""
    return -(2.0 * row.half_target_gap + row.log_total)


def loss_slopes(on: Array, off: Array, z_loss: Array, targets: Array, row: SoftmaxRow, exponential: Array) -> Array:
    """The derivative of the loss by the logits after the cap, [..., V], from the scalars of each token (GRAD-1, Q = 1).

    One factor for each row, (1 + 2 k lse) / s, is all that an exponential is multiplied by.
    """
    z = 2.0 * (z_loss * row.log_z)
    # [STATE-4] 2 k lse may overflow where its product with p does not: then the factor comes in two.
    fits = jnp.isfinite(z)
    largest = float(jnp.finfo(z.dtype).max)
    scaled = 2.0 * ((z_loss * _SMALL) * (row.log_z * _SMALL))
    factor = jnp.where(fits, 1.0 + z, jnp.clip(scaled, -largest, largest)) / row.total
    more = jnp.where(fits, 1.0, _SMALL**-2)
    others = (exponential * factor[..., None]) * more[..., None] - off[..., None]
    # [ACC-3] p_t - on = (V - 1) off p_t - on (1 - p_t)
    of_target = ((exponential.shape[-1] - 1) * off) * row.target_probability - on * row.target_complement
    of_target = of_target + 2.0 * (z_loss * (row.log_z * row.target_probability))
    return _with_target(others, targets, of_target)


@jax.custom_jvp
def _with_target(others: Array, targets: Array, of_target: Array) -> Array:
    """The entries [..., V] of the other classes, and [...] in the place of the target.

    By bits, because XLA:CPU takes a quarter longer to write a gradient where it selects on a comparison.
    """
    bits = jnp.int64 if others.dtype.itemsize == 8 else jnp.int32
    is_other = -jnp.minimum(jnp.abs(class_index(others) - targets[..., None]), 1).astype(bits)  # all bits, or none
    kept = lax.bitcast_convert_type(others, bits) & is_other
    put = lax.bitcast_convert_type(of_target, bits)[..., None] & ~is_other
    return lax.bitcast_convert_type(kept | put, others.dtype)


@_with_target.defjvp
def _with_target_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    others, targets, of_target = primals
    dothers, _, dof_target = tangents
    is_target = class_index(others) == targets[..., None]
    return _with_target(others, targets, of_target), jnp.where(is_target, dof_target[..., None], dothers)


def slope_by_label_smoothing(form: Form, smoothing: Smoothing, row: SoftmaxRow, classes: int) -> Array:
    """dloss/de of each token, in the extended reals: lse cancels from the first two terms of GRAD-4."""
    if classes == 1:
        return jnp.zeros_like(row.peak)
    half_mean_of_others = row.other_gaps * (0.5 / (gap_scale(classes) * (classes - 1)))
    moved = 2.0 * ((classes - 1) / receivers(form, classes))  # of the halves that follow
    spread = moved * (half_mean_of_others - row.half_target_gap)
    # Where a -inf logit gains or loses its mass, the loss jumps to or from inf: that outweighs dH/de.
    slope = entropy_slope(smoothing.label_smoothing, form, classes)
    return jnp.where(jnp.isinf(spread) & jnp.isinf(slope), spread, spread - slope)
