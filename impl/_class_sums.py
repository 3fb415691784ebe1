"""Sums over the classes of each token that only some losses ask for, in passes that leave no copy of the logits.

Like the reductions in `_row_sums.py`, they are arithmetic instead of selects, which XLA:CPU would write. It would also
write what two passes have in common, a tanh or a number in the shape of the logits.
"""

import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._elementary import exp
from lossproof.impl._row_sums import block_length, capped

USUAL, LONGEST = 1024, 4096  # of blocks: the library's sum of a longer formula is slow in shorter ones


def exponential_gaps(logits: Array, peak: Array, softcap: float | None) -> Array:
    """sum_j exp(x_j - m) (m - x_j), [...], with 0 * inf = 0."""
    x = _capped_again(_cut(logits).astype(peak.dtype), softcap)
    below = x - _beside(peak, x)
    return _summed(exp(below) * jnp.minimum(-below, 1000.0), peak.ndim)  # from 746 on, exp is 0 in any type


def half_dense_loss(logits: Array, targets: Array, peak: Array, log_total: Array, softcap: float | None) -> Array:
    """sum_j q_j (m - x_j + log s) / 2, [...], with 0 * inf = 0 (VALUE-7, STATE-1, STATE-2).

    A quarter of a gap is finite unless x_j is -inf. Where it is not, q_j is multiplied by a large number, twice, which
    is too much for any q_j but 0. The last product has to be infinite before it is added: it may be part of an FMA,
    where inf and a finite number too large to be rounded add up to inf.
    """
    x, q = _capped_again(_cut(logits).astype(peak.dtype), softcap), _cut(targets)
    largest = float(jnp.finfo(x.dtype).max)
    quarter = jnp.minimum(_beside(0.25 * peak, x) - 0.25 * x, largest)
    more = jnp.maximum(quarter - 0.5 * largest, 1.0)
    return 2.0 * _summed(((q * more) * more) * (quarter + _beside(0.25 * log_total, x)), peak.ndim)


def mass(targets: Array) -> Array:
    """Q, [...]."""
    return _summed(_cut(targets), targets.ndim - 1)


def all_finite(targets: Array) -> Array:
    """Whether each of q_j is finite, bool [...]."""
    return _summed(0.0 * _cut(targets), targets.ndim - 1) == 0.0


def first_largest(logits: Array) -> Array:
    """The index of the first largest logit, int32 [...]."""
    length = block_length(logits.shape[-1])  # short: where V is sharded, all devices are sent the block
    if length is None:
        return lax.argmax(logits, logits.ndim - 1, jnp.int32)  # not vectorised
    cut = lax.optimization_barrier(logits.reshape(*logits.shape[:-1], -1, length))
    of_blocks = jnp.max(cut, axis=-1)
    which = lax.argmax(of_blocks, of_blocks.ndim - 1, jnp.int32)
    block = jnp.squeeze(jnp.take_along_axis(cut, which[..., None, None], axis=-2), -2)
    return cut.shape[-1] * which + lax.argmax(block, block.ndim - 1, jnp.int32)


def _cut(rows: Array) -> Array:
    """Rows in blocks, [..., G, b], or as they are; the barrier keeps passes apart, and stands before an upcast."""
    classes = rows.shape[-1]
    length = block_length(classes, USUAL, LONGEST) or classes
    return lax.optimization_barrier(rows if length == classes else rows.reshape(*rows.shape[:-1], -1, length))


def _capped_again(x: Array, softcap: float | None) -> Array:
    """The cap by other arithmetic than in the sum of the exponentials, which would share its tanh."""
    return capped(x, None if softcap is None else -softcap)


def _beside(value: Array, cut: Array) -> Array:
    return value.reshape(*value.shape, *(1,) * (cut.ndim - value.ndim))


def _summed(cut: Array, axes: int) -> Array:
    """The sum over all axes but the first ones."""
    while cut.ndim > axes:  # without the barrier the sums would be merged, and their operand written
        cut = lax.optimization_barrier(jnp.sum(cut, axis=-1))
    return cut
