"""The formulas of targets that are class numbers."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from lossproof.impl._along_classes import Along
from lossproof.impl._form import Form
from lossproof.impl._smoothing import Smoothing, entropy_slope, receivers
from lossproof.impl._softmax_row import SoftmaxRow, gap_scale

_SMALL = 2.0**-63  # its square is in the range of float32


def token_loss(smoothing: Smoothing | None, row: SoftmaxRow, classes: int) -> tuple[Array, Array]:
    """xent - H of each token (VALUE-1 to VALUE-3), and half of its gaps' part, which is infinite at masks alone."""
    if smoothing is None:
        return 2.0 * row.half_target_gap + row.log_total, row.half_target_gap
    # Twice the largest float can be a finite loss once on or off has scaled it, hence halves.  [STATE-4]
    half = _absorbing(smoothing.on, row.half_target_gap)
    if row.other_gaps is not None:
        half = half + _absorbing(smoothing.off, row.other_gaps) * (0.5 / gap_scale(classes))
    # log s is in every lse - x_j, and on + (V - 1) off = 1 of it in the loss.
    return (2.0 * half + row.log_total) - smoothing.entropy, half


def _absorbing(mass: Array, value: Array) -> Array:
    return mass * jnp.where(mass == 0.0, 0.0, value)  # [STATE-1] 0 * inf = 0


def log_probability(row: SoftmaxRow) -> Array:
    """x_t - lse, with small relative error (ACC-1)."""
    return -(2.0 * row.half_target_gap + row.log_total)


class ZLoss(NamedTuple):
    """The part of the z-loss in the derivatives, [...].

    Attributes:
        slope: 2 k lse, divided by `more`.
        more: the factor that the exponentials of the pass are to have: 2 k lse may overflow where its product with p
            does not (STATE-4).
    """

    slope: Array
    more: Array


def z_loss_slope(z_loss: Array, row: SoftmaxRow) -> ZLoss:
    """2 k lse, in two factors where it overflows."""
    slope = 2.0 * (z_loss * row.log_z)
    fits = jnp.abs(slope) < jnp.inf  # not of a NaN: it is one factor, too
    scaled = 2.0 * ((z_loss * _SMALL) * (row.log_z * _SMALL))
    largest = float(jnp.finfo(slope.dtype).max)
    return ZLoss(jnp.where(fits, slope, jnp.clip(scaled, -largest, largest)), jnp.where(fits, 1.0, _SMALL**-2))


def loss_along(
    smoothing: Smoothing | None, z: ZLoss | None, z_loss: Array, row: SoftmaxRow, along: Along, classes: int
) -> Array:
    """The tangent of the loss (GRAD-1 with Q = 1): the target's entry has a slope of its own."""
    factor = 1.0 / row.total
    if z is not None:
        factor = jnp.where(z.more == 1.0, 1.0 + z.slope, z.slope) / row.total
    # [ACC-3] p_t - on = (V - 1) off p_t - on (1 - p_t)
    probability = row.target_exponential / row.total
    of_target = -row.target_complement
    if smoothing is not None:
        of_target = ((classes - 1) * smoothing.off) * probability - smoothing.on * row.target_complement
    if z is not None:
        of_target = of_target + 2.0 * (z_loss * (row.log_z * probability))
    tangent = factor * along.exponentials + of_target * along.target
    if smoothing is not None and along.others is not None:
        tangent = tangent - smoothing.off * along.others
    return tangent


def slope_by_label_smoothing(form: Form, smoothing: Smoothing, row: SoftmaxRow, classes: int) -> Array:
    """dloss/de of each token, in the extended reals: lse cancels from the first two terms of GRAD-4."""
    if row.other_gaps is None:  # [STATE-6] one class
        return jnp.zeros_like(row.peak)
    half_mean_of_others = row.other_gaps * (0.5 / (gap_scale(classes) * (classes - 1)))
    moved = 2.0 * ((classes - 1) / receivers(form, classes))  # of the halves that follow
    spread = moved * (half_mean_of_others - row.half_target_gap)
    # Where a -inf logit gains or loses its mass, the loss jumps to or from inf: that outweighs dH/de.
    slope = entropy_slope(smoothing.label_smoothing, form, classes)
    return jnp.where(jnp.isinf(spread), spread, spread - jnp.where(jnp.isinf(spread), 0.0, slope))
