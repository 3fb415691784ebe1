"""Classes that are split over devices: what each device knows of its own, and what all know together.

Inside `shard_map` over the axes of `form.axis_name`, device i of n has the classes from i V / n to (i + 1) V / n of
every row.
"""

import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._elementary import exp
from lossproof.impl._form import Form
from lossproof.impl._xla_rows import FARTHEST, RowSums, finite_peak, told_apart


def number_of_classes(form: Form, logits: Array) -> int:
    """V, over all devices (SPLIT-2)."""
    return int(logits.shape[-1]) * (lax.axis_size(form.axis_name) if form.axis_name else 1)


def own_targets(form: Form, logits: Array, targets: Array) -> Array:
    """The targets as numbers of this device's classes, -1 where they are another's (SPLIT-2)."""
    if not form.axis_name:
        return targets
    own = targets - lax.axis_index(form.axis_name) * logits.shape[-1]
    return jnp.where((own >= 0) & (own < logits.shape[-1]), own, -1)


def over_devices(form: Form, sums: Array) -> Array:
    """The sum of every device's sum over its own classes (SPLIT-3)."""
    return lax.psum(sums, form.axis_name) if form.axis_name else sums


def first_of_devices(form: Form, logits: Array, own_first: Array) -> Array:
    """The first largest class of all from the first largest of each device's own."""
    if not form.axis_name:
        return own_first
    largest = jnp.max(logits, axis=-1).astype(jnp.float32 if logits.dtype.itemsize < 4 else logits.dtype)
    number = own_first + lax.axis_index(form.axis_name) * logits.shape[-1]
    beyond = jnp.full_like(number, jnp.iinfo(number.dtype).max)
    return lax.pmin(jnp.where(largest == lax.pmax(largest, form.axis_name), number, beyond), form.axis_name)


def merged(form: Form, scale: float, logits: Array, own: Array, sums: RowSums) -> RowSums:
    """The reductions of whole rows from those of each device's classes, by one collective (SPLIT-1).

    A sum of exponentials is multiplied by exp(m_i - m), from a device's own peak m_i to that of all; a gap to m_i is
    m - m_i short.
    """
    if not form.axis_name:
        return sums
    others = (own < 0).astype(sums.rest.dtype) + (logits.shape[-1] - 1)  # how many classes here are not the target
    known = [sums.largest, sums.rest, sums.target, others]
    known += [each for each in (sums.other_gaps, sums.exponential_gaps) if each is not None]
    parts = lax.all_gather(jnp.stack(known), form.axis_name, to="invarying")
    largests, rests, targets, counts, *gaps = (parts[:, i] for i in range(len(known)))
    largest = jnp.max(largests, axis=0)
    peak, peaks = finite_peak(largest, form.softcap)[None], finite_peak(largests, form.softcap)
    # [SPLIT-4] A device may have masked classes alone.
    factors = jnp.where(largests == -jnp.inf, 0, exp(peaks - peak))
    # [ACC-1] Of one device that has the peak, the peak itself is left out.
    owner = lax.broadcasted_iota(jnp.int32, largests.shape, 0) == jnp.argmax(largests, axis=0, keepdims=True)
    rest = jnp.sum(jnp.where(owner, rests, factors * (1 + rests)), axis=0)
    other_gaps = exponential_gaps = None
    if sums.other_gaps is not None:
        other_gaps = jnp.sum(gaps.pop(0) + counts * (scale * peak - scale * peaks), axis=0)
    if sums.exponential_gaps is not None:
        shift = jnp.minimum(told_apart(peak - peaks, largest, largests, form.softcap), FARTHEST)
        exponential_gaps = jnp.sum(factors * (gaps.pop(0) + shift * (1 + rests)), axis=0)
    # A NaN that a maximum has overlooked is in the rest.
    return RowSums(largest, rest, jnp.sum(targets, axis=0), other_gaps, exponential_gaps)
