"""What a row of logits is reduced to, in plain passes that any XLA compiler fuses.

The logits keep their shape: a TPU tiles arrays 8 x 128, and a reshape of the class axis, a barrier or a gather there is
a copy of them. What has to be left out is left out under a mask made from an iota. So the logits are read twice, for
the maximum and for all sums, and a third time for the gradient.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._common import carried_type, class_index
from lossproof.impl._elementary import exp
from lossproof.impl._form import Form, Gaps
from lossproof.impl._softcap import capped

FARTHEST = 1000.0  # of gaps whose exponential counts: from 746 on, it is 0 in any type


class RowSums(NamedTuple):
    """Reductions of [..., V] logits, each [...] in the carried type; x are the logits after the cap.

    Attributes:
        largest: the largest logit before the cap.
        rest: the sum of exp(x_j - m) over all classes but one that has the peak m; not finite if a logit is NaN.
        target: the target's logit before the cap, 0 where there is none.
        other_gaps: a given scale times the sum of m - x_j over all classes but the target; None if not asked for.
        exponential_gaps: the sum of exp(x_j - m) (m - x_j), 0 * inf = 0; None if not asked for.
    """

    largest: Array
    rest: Array
    target: Array
    other_gaps: Array | None
    exponential_gaps: Array | None


def row_sums(form: Form, scale: float, logits: Array, target: Array) -> RowSums:
    """Reduces rows of logits.

    Args:
        form: what is asked for.
        scale: a power of 2 that keeps sums of gaps in range.
        logits: [..., V], in their own type.
        target: int32 [...], outside [0, V) where the target is not among these classes.
    """
    largest = jnp.max(logits, axis=-1)
    top = largest.astype(carried_type(logits))
    peak = finite_peak(top, form.softcap)[..., None]
    is_peak, is_target = logits == largest[..., None], class_index(logits) == target[..., None]
    y = logits.astype(peak.dtype)
    x = capped(y, form.softcap)
    exponential = exp(x - peak)
    gaps = jnp.where(is_target, 0, scale * peak - scale * x) if form.gaps is not Gaps.NOTHING else None
    return RowSums(
        largest=top,
        # [ACC-1] The peak itself never enters the rest; its copies are counted.
        rest=jnp.sum(jnp.where(is_peak, 0, exponential), axis=-1) + (jnp.sum(is_peak, axis=-1, dtype=peak.dtype) - 1),
        # A sum like the others: where the classes are sharded, one collective serves them all.
        target=jnp.sum(jnp.where(is_target, y, 0), axis=-1),
        other_gaps=None if gaps is None else jnp.sum(gaps, axis=-1),
        exponential_gaps=jnp.sum(
            exponential * jnp.minimum(told_apart(peak - x, top[..., None], y, form.softcap), FARTHEST), axis=-1
        )
        if "entropy" in form.also
        else None,
    )


def first_largest(logits: Array) -> Array:
    """The index of the first largest logit, int32 [...]; V where there is none, because a logit is NaN."""
    is_largest = logits == jnp.max(logits, axis=-1, keepdims=True)
    return jnp.min(jnp.where(is_largest, class_index(logits), logits.shape[-1]), axis=-1)


def finite_peak(largest: Array, softcap: float | None) -> Array:
    """The peak m after the cap, 0 where it is not finite: nothing is defined there, and no inf - inf is formed."""
    return capped(jnp.where(jnp.isfinite(largest), largest, 0), softcap)


def is_below(largest: Array, y: Array) -> Array:
    """1 where y is less than the largest, 0 where it is that, and between the two where the difference is tiny; a
    constant to every derivative.

    Arithmetic, instead of a select, a compare or a maximum, which XLA:CPU would write.
    """
    finite = jnp.where(jnp.isfinite(largest), largest, 0.0)  # of -inf alone, no inf - inf is formed
    return lax.stop_gradient(jnp.minimum((finite - y) * 2.0**100, 1.0))


def told_apart(gap: Array, largest: Array, y: Array, softcap: float | None) -> Array:
    """A gap m - x_j, in any unit, but 0 where y_j is the largest: behind a cap, two programs may round the tanh of the
    same number differently (ACC-1).

    Args:
        gap: of the logits after the cap.
        largest: of the row, before the cap.
        y: the logits before the cap.
        softcap: the cap.
    """
    if softcap is None:
        return gap
    return gap * is_below(largest, y)
