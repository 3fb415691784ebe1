"""The softmax of each token's row as its derivatives need it: a few numbers beside the logits themselves."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._row_sums import Gaps, element, gap_scale, row_sums
from lossproof.impl._softmax import carried_type, class_index


class SoftmaxRow(NamedTuple):
    """What a token's logits are reduced to, all [...] in the carried type.

    Attributes:
        peak: m, the largest logit, NaN where the token is undefined; a constant to every derivative, because the
            softmax does not change with the number that is subtracted.
        total: s, the sum of exp(x_j - m).
        log_total: log s, with small relative error (ACC-1); lse is m + log s.
        target_probability: p_t.
        target_complement: 1 - p_t, with small relative error (ACC-3).
        half_target_gap: (m - x_t) / 2: the gap itself can be twice the largest float (STATE-4).
        other_gaps: `gap_scale` times the sum of m - x_j over the other classes; 0 where it was not asked for.
    """

    peak: Array
    total: Array
    log_total: Array
    target_probability: Array
    target_complement: Array
    half_target_gap: Array
    other_gaps: Array

    @property
    def log_z(self) -> Array:
        """lse (VALUE-8)."""
        return self.peak + self.log_total


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def softmax_row(gaps: Gaps, logits: Array, targets: Array) -> SoftmaxRow:
    """Reduces each row.

    Args:
        gaps: what is asked for as other_gaps.
        logits: [..., V], in their own type.
        targets: int32 [...]; what comes of one outside [0, V) is of no use.
    """
    carried = carried_type(logits)
    target = jnp.maximum(targets, 0)
    sums = row_sums(logits, target, carried, gaps)
    of_target = element(logits, target, carried)
    total = 1 + sums.rest
    probability = jnp.exp(of_target - sums.peak) / total
    # Below the peak p_t <= 1/2, so that 1 - p_t does not cancel; at one, the rest is what is left.
    complement = jnp.where(of_target == sums.peak, sums.rest / total, 1 - probability)
    return SoftmaxRow(
        sums.peak,
        total,
        jnp.log1p(sums.rest),
        probability,
        complement,
        0.5 * sums.peak - 0.5 * of_target,
        sums.other_gaps,
    )


@softmax_row.defjvp
def _softmax_row_jvp(
    gaps: Gaps, primals: tuple[Array, Array], tangents: tuple[Array, Any]
) -> tuple[SoftmaxRow, SoftmaxRow]:
    (logits, targets), (dlogits, _) = primals, tangents
    row = softmax_row(gaps, logits, targets)

    @jax.checkpoint
    def tangent(logits: Array, row: SoftmaxRow, dlogits: Array) -> SoftmaxRow:
        # An undefined row has finite tangents here, which are multiplied by NaN, or by the 0 of an excluded token.
        undefined = jnp.isnan(row.peak)
        known = SoftmaxRow(*(jnp.where(undefined, 1, value) for value in row))
        x = jnp.where(undefined[..., None], 1, logits.astype(row.peak.dtype))
        dx = dlogits.astype(x.dtype)
        along = jnp.sum(jnp.exp(x - known.peak[..., None]) * dx, axis=-1)
        mean = along / known.total
        is_target = class_index(x) == targets[..., None]
        of_target = jnp.sum(jnp.where(is_target, dx, 0), axis=-1)
        dprobability = known.target_probability * (of_target - mean)
        of_others = jnp.sum(jnp.where(is_target, 0, dx), axis=-1) if gaps is not Gaps.NOTHING else jnp.zeros_like(mean)
        return SoftmaxRow(
            jnp.zeros_like(mean),
            along,
            mean,
            dprobability,
            -dprobability,
            -0.5 * of_target,
            -gap_scale(x.shape[-1]) * of_others,
        )

    return row, tangent(logits, row, dlogits)
