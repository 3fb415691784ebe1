"""The softmax of each token's row as its derivatives need it: a few numbers beside the logits themselves."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._class_sums import exponential_gaps
from lossproof.impl._elementary import exp, log1p
from lossproof.impl._form import Form
from lossproof.impl._row_sums import Gaps, capped, element, gap_scale, row_sums
from lossproof.impl._softcap import through_cap
from lossproof.impl._softmax import carried_type, class_index


class SoftmaxRow(NamedTuple):
    """What a token's logits are reduced to, all [...] in the carried type; x are the logits after the cap.

    Attributes:
        largest: the largest logit before the cap.
        peak: m = max x, NaN where the token is undefined; a constant to every derivative, because the softmax does not
            change with the number that is subtracted.
        rest: the sum of exp(x_j - m) over all classes but one that has the peak.
        log_total: log s, with small relative error (ACC-1); lse is m + log s.
        target_probability: p_t.
        target_complement: 1 - p_t, with small relative error (ACC-3).
        half_target_gap: (m - x_t) / 2: the gap itself can be twice the largest float (STATE-4).
        other_gaps: `gap_scale` times the sum of m - x_j over the other classes; 0 where it was not asked for.
        mean_gap: the sum of p_j (m - x_j); 0 where the entropy was not asked for.
    """

    largest: Array
    peak: Array
    rest: Array
    log_total: Array
    target_probability: Array
    target_complement: Array
    half_target_gap: Array
    other_gaps: Array
    mean_gap: Array

    @property
    def total(self) -> Array:
        """s, the sum of exp(x_j - m)."""
        return 1 + self.rest

    @property
    def log_z(self) -> Array:
        """lse (VALUE-8)."""
        return self.peak + self.log_total

    @property
    def entropy(self) -> Array:
        """- sum_j p_j log p_j, as a sum of two numbers that are not negative."""
        return self.log_total + self.mean_gap


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def softmax_row(form: Form, logits: Array, targets: Array) -> SoftmaxRow:
    """Reduces each row.

    Args:
        form: what is asked for.
        logits: [..., V], in their own type.
        targets: int32 [...]; what comes of one outside [0, V) is of no use.
    """
    carried = carried_type(logits)
    target = jnp.maximum(targets, 0)
    sums = row_sums(logits, target, carried, form.gaps, form.softcap)
    before_cap = element(logits, target, carried)
    of_target = capped(before_cap, form.softcap)
    # Before the cap: two programs may round tanh differently.
    at_peak = before_cap == sums.largest
    total = 1 + sums.rest
    probability = exp(of_target - sums.peak) / total
    mean_gap = exponential_gaps(logits, sums.peak, form.softcap) / total if "entropy" in form.also else 0 * total
    return SoftmaxRow(
        sums.largest,
        sums.peak,
        sums.rest,
        log1p(sums.rest),
        probability,
        # Below the peak p_t <= 1/2, so that 1 - p_t does not cancel; at one, the rest is what is left.
        jnp.where(at_peak, sums.rest / total, 1 - probability),
        jnp.where(at_peak & ~jnp.isnan(sums.peak), 0, 0.5 * sums.peak - 0.5 * of_target),
        sums.other_gaps,
        mean_gap,
    )


@softmax_row.defjvp
def _softmax_row_jvp(
    form: Form, primals: tuple[Array, Array], tangents: tuple[Array, Any]
) -> tuple[SoftmaxRow, SoftmaxRow]:
    (logits, targets), (dlogits, _) = primals, tangents
    row = softmax_row(form, logits, targets)

    @jax.checkpoint
    def tangent(logits: Array, row: SoftmaxRow, dlogits: Array) -> SoftmaxRow:
        # An undefined row has finite tangents here, which are multiplied by NaN, or by the 0 of an excluded token.
        undefined = jnp.isnan(row.peak)
        known = SoftmaxRow(*(jnp.where(undefined, 1, value) for value in row))
        y = jnp.where(undefined[..., None], 1, logits.astype(row.peak.dtype))
        dx = through_cap(y, dlogits.astype(y.dtype), form.softcap)
        below = capped(y, form.softcap) - known.peak[..., None]
        exponential = exp(below)
        along = jnp.sum(exponential * dx, axis=-1)
        mean = along / known.total
        is_target = class_index(y) == targets[..., None]
        of_target = jnp.sum(jnp.where(is_target, dx, 0), axis=-1)
        dprobability = known.target_probability * (of_target - mean)
        zero = jnp.zeros_like(mean)
        of_others = jnp.sum(jnp.where(is_target, 0, dx), axis=-1) if form.gaps is not Gaps.NOTHING else zero
        dmean_gap = zero
        if "entropy" in form.also:
            slope = finite_gaps(below) - (1 + known.mean_gap)[..., None]
            dmean_gap = jnp.sum((exponential * slope) * dx, axis=-1) / known.total
        return SoftmaxRow(
            largest=zero,
            peak=zero,
            rest=along,
            log_total=mean,
            target_probability=dprobability,
            target_complement=-dprobability,
            half_target_gap=-0.5 * of_target,
            other_gaps=-gap_scale(y.shape[-1]) * of_others,
            mean_gap=dmean_gap,
        )

    return row, tangent(logits, row, dlogits)


def finite_gaps(below: Array) -> Array:
    """m - x_j from x_j - m, the largest float for inf: it meets a probability of 0."""
    return jnp.minimum(-below, float(jnp.finfo(below.dtype).max))
