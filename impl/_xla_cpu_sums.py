"""Sums over the classes of each token on XLA:CPU that only some losses ask for, in passes that leave no copy.

Like the reductions in `_xla_cpu_rows.py`, they are arithmetic instead of selects, which XLA:CPU would write. It would
also write what two passes have in common, a tanh or a number in the shape of the logits.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._elementary import exp
from lossproof.impl._softcap import capped
from lossproof.impl._xla_cpu_blocks import block_length
from lossproof.impl._xla_rows import FARTHEST, told_apart

USUAL, LONGEST = 1024, 4096  # of blocks: the library's sum of a longer formula is slow in shorter ones


def exponential_gaps(logits: Array, largest: Array, peak: Array, softcap: float | None) -> Array:
    """sum_j exp(x_j - m) (m - x_j), [...], with 0 * inf = 0; `largest` is that before the cap."""

    def terms(y: Array, top: Array, m: Array) -> Array:
        y = y.astype(peak.dtype)
        # The cap by other arithmetic than in the sum of the exponentials, which would share its tanh.
        below = capped(y, None if softcap is None else -softcap) - m
        return exp(below) * jnp.minimum(told_apart(-below, top, y, softcap), FARTHEST)

    return cut_sum(terms, (logits,), (largest, peak))


def cut_sum(terms: Callable[..., Array], rows: tuple[Array, ...], scalars: tuple[Array, ...]) -> Array:
    """The sum over the classes of what an elementwise function makes of rows [..., V] and scalars [...] beside them."""
    *shape, classes = rows[0].shape
    length = block_length(classes, USUAL, LONGEST)
    if length in {None, classes}:
        sums = jnp.sum(terms(*lax.optimization_barrier(rows), *(scalar[..., None] for scalar in scalars)), axis=-1)
        return lax.optimization_barrier(sums)
    # The barrier keeps passes apart, and stands before an upcast.
    cut = lax.optimization_barrier(tuple(row.reshape(*shape, classes // length, length) for row in rows))
    sums = jnp.sum(terms(*cut, *(scalar[..., None, None] for scalar in scalars)), axis=-1)
    # Without the barrier the two sums would be merged, and their operand written.
    return jnp.sum(lax.optimization_barrier(sums), axis=-1)
