"""The softmax of each token's row as its derivatives need it: a few numbers beside the logits themselves."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl import _xla_cpu_rows, _xla_rows
from lossproof.impl._along_classes import along_classes
from lossproof.impl._class_axis import merged, number_of_classes, own_targets
from lossproof.impl._elementary import exp, log1p
from lossproof.impl._form import Form
from lossproof.impl._platform import on_platform
from lossproof.impl._softcap import capped
from lossproof.impl._xla_rows import finite_peak


class SoftmaxRow(NamedTuple):
    """What a token's logits are reduced to, all [...] in the carried type; x are the logits after the cap.

    Attributes:
        is_defined: bool, whether the logits are those of a distribution. Where they are not, the rest are numbers of no
            use, but none is NaN.
        largest: the largest logit before the cap.
        peak: m = max x; a constant to every derivative, because the softmax does not change with the number that is
            subtracted.
        rest: the sum of exp(x_j - m) over all classes but one that has the peak.
        log_total: log s, with small relative error (ACC-1); lse is m + log s.
        target_exponential: exp(x_t - m).
        target_complement: 1 - p_t, with small relative error (ACC-3).
        half_target_gap: (m - x_t) / 2: the gap itself can be twice the largest float (STATE-4).
        other_gaps: `gap_scale` times the sum of m - x_j over the other classes; None where it was not asked for.
        mean_gap: the sum of p_j (m - x_j); None where the entropy was not asked for.
    """

    is_defined: Array
    largest: Array
    peak: Array
    rest: Array
    log_total: Array
    target_exponential: Array
    target_complement: Array
    half_target_gap: Array
    other_gaps: Array | None
    mean_gap: Array | None

    @property
    def total(self) -> Array:
        """s, the sum of exp(x_j - m)."""
        return 1 + self.rest

    @property
    def log_z(self) -> Array:
        """lse (VALUE-8)."""
        return self.peak + self.log_total


def gap_scale(classes: int) -> float:
    """A power of 2 by which gaps are scaled down, so that their sum stays in range (STATE-4)."""
    return 2.0 ** -(classes.bit_length() + 1)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def softmax_row(form: Form, logits: Array, targets: Array) -> SoftmaxRow:
    """Reduces each row.

    Args:
        form: what is asked for.
        logits: [..., V], in their own type.
        targets: int32 [...]; what comes of one that is -1 is of no use.
    """
    own, scale = own_targets(form, logits, targets), gap_scale(number_of_classes(form, logits))
    ways = (partial(each.row_sums, form, scale) for each in (_xla_cpu_rows, _xla_rows))
    sums = merged(
        form, scale, logits, own, on_platform(form.implementation, logits, own, cpu=next(ways), default=next(ways))
    )
    # [STATE-3] XLA:CPU's maximum of float32 overlooks a NaN in any row longer than 64; the sum does not.
    is_defined = jnp.isfinite(sums.largest) & jnp.isfinite(sums.rest)

    def where_defined(value: Array) -> Array:
        return jnp.where(is_defined, value, 0)

    largest, rest = where_defined(sums.largest), where_defined(sums.rest)
    before_cap = jnp.where(is_defined & (targets >= 0), sums.target, largest)
    of_target, peak = capped(before_cap, form.softcap), finite_peak(largest, form.softcap)
    # Before the cap: two programs may round tanh differently.
    at_peak = before_cap == largest
    exponential, total = exp(of_target - peak), 1 + rest
    return SoftmaxRow(
        is_defined,
        largest,
        peak,
        rest,
        log1p(rest),
        exponential,
        # Below the peak p_t <= 1/2, so that 1 - p_t does not cancel; at one, the rest is what is left.
        jnp.where(at_peak, rest / total, 1 - exponential / total),
        jnp.where(at_peak, 0, 0.5 * peak - 0.5 * of_target),
        None if sums.other_gaps is None else where_defined(sums.other_gaps),
        None if sums.exponential_gaps is None else where_defined(sums.exponential_gaps) / total,
    )


@softmax_row.defjvp
def _softmax_row_jvp(
    form: Form, primals: tuple[Array, Array], tangents: tuple[Array, Any]
) -> tuple[SoftmaxRow, SoftmaxRow]:
    (logits, targets), (dlogits, _) = primals, tangents
    row = softmax_row(form, logits, targets)
    # An undefined row has finite tangents here, which are multiplied by NaN, or by the 0 of an excluded token.
    own = own_targets(form, logits, targets)
    largest = jnp.where(row.is_defined, row.largest, 1.0)
    along = along_classes(form, logits, own, largest, row.peak, ~row.is_defined, dlogits)
    drest = along.exponentials + row.target_exponential * along.target
    mean = drest / row.total
    dprobability = (row.target_exponential / row.total) * (along.target - mean)
    dmean_gap = None
    if along.gaps is not None and row.mean_gap is not None:
        of_target = jnp.minimum(2 * row.half_target_gap, float(jnp.finfo(row.peak.dtype).max))
        gaps = along.gaps + (row.target_exponential * of_target) * along.target
        dmean_gap = (gaps - (1 + row.mean_gap) * drest) / row.total
    zero = jnp.zeros_like(mean)
    return row, SoftmaxRow(
        is_defined=jax.custom_derivatives.zero_from_primal(row.is_defined),
        largest=zero,
        peak=zero,
        rest=drest,
        log_total=mean,
        target_exponential=row.target_exponential * along.target,
        target_complement=-dprobability,
        half_target_gap=-0.5 * along.target,
        other_gaps=None if along.others is None else -gap_scale(number_of_classes(form, logits)) * along.others,
        mean_gap=dmean_gap,
    )
