"""Sums over the sequences of a batch."""

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._arguments import ArgumentArray


def row_sums(weights: Array) -> Array:
    """The sum over the last axis, repeated at each of its elements."""
    return jnp.broadcast_to(jnp.sum(weights, axis=-1, keepdims=True), weights.shape)


def segment_sums(weights: Array, segment_ids: ArgumentArray, positions: ArgumentArray) -> Array:
    """The sum over each element's own segment of its row, all arrays [..., T] (NORM-7).

    A segment starts at the start of the row, where the id changes, and where the position is 0. Its weights are added
    up by themselves: a difference of running sums would lose a short segment behind a heavy one (DIFF-13).
    """
    if weights.size == 0:
        return weights
    length = weights.shape[-1]
    rows = weights.size // length
    ids = segment_ids.reshape(rows, length)
    first = jnp.ones((rows, 1), bool)
    changes = jnp.concatenate([first, ids[:, 1:] != ids[:, :-1]], axis=1)
    starts = changes | (positions.reshape(rows, length) == 0)
    # The first element of each row starts a segment, so the running number never joins two rows.
    numbers = jnp.cumsum(starts.reshape(-1).astype(jnp.int32)) - 1
    sums = jax.ops.segment_sum(weights.reshape(-1), numbers, num_segments=weights.size, indices_are_sorted=True)
    return sums[numbers].reshape(weights.shape)
