"""Sums over the sequences of a batch, each rounded once however long the sequence is."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lossproof.impl._arguments import ArgumentArray
from lossproof.impl._pairs import add_pairs, as_pair
from lossproof.impl._sums import exact_sums


def numbered(segment_ids: ArgumentArray) -> Array:
    """Segment ids [..., T] whose neighbours differ where those given do, 0 where those are, in a type that jax keeps.

    jax reads integers of 64 bits as 32 without x64: 2^32 would be 0, which is padding.
    """
    if isinstance(segment_ids, Array):
        return segment_ids
    changes = np.diff(segment_ids, axis=-1, prepend=np.zeros_like(segment_ids[..., :1])) != 0
    return jnp.asarray(np.where(segment_ids == 0, 0, 1 + np.cumsum(changes, axis=-1)).astype(np.int32))


def row_sums(weights: Array) -> Array:
    """The sum over the last axis, repeated at each of its elements."""
    (sums,) = exact_sums(weights, axis=-1)
    return jnp.broadcast_to(sums[..., None], weights.shape)


class _Running(NamedTuple):
    """What is known at each element, [..., T], after it has looked `reach` elements back and ahead.

    Attributes:
        started: whether its segment starts within reach.
        high, low: the sum of its segment's elements up to its own, as far back as it looks.
        end: where its segment ends, -1 if that is out of reach.
    """

    started: Array
    high: Array
    low: Array
    end: Array


def segment_sums(weights: Array, segment_ids: Array, restarts: Array) -> Array:
    """The sum over each element's own segment of its row, all arrays [..., T] (NORM-7).

    A segment starts at the start of the row, where the id changes, and where restarts is True. Its weights are added up
    by themselves: a difference of running sums would lose a short segment behind a heavy one (DIFF-13). The reach
    doubles at each of log2 T steps of a loop (Hillis and Steele, 1986): lax.associative_scan, whose work is linear, is
    no faster below 2^18 tokens on XLA:CPU, and takes ten times as long to compile.
    """
    axis, length = weights.ndim - 1, weights.shape[-1]
    edge = jnp.ones((*weights.shape[:-1], 1), bool)
    changes = jnp.concatenate([edge, segment_ids[..., 1:] != segment_ids[..., :-1]], axis=axis)
    starts = changes | restarts
    ends = jnp.concatenate([starts[..., 1:], edge], axis=axis)
    index = lax.broadcasted_iota(jnp.int32, weights.shape, axis)

    def step(k: Array, known: _Running) -> _Running:
        # What roll carries round the edge of the row is not looked at: there, start and end are within reach.
        reach = jnp.left_shift(1, k)
        back = _Running(*(jnp.roll(value, reach, axis) for value in known))
        high, low = add_pairs((back.high, back.low), (known.high, known.low))
        return _Running(
            known.started | back.started,
            jnp.where(known.started, known.high, high),
            jnp.where(known.started, known.low, low),
            jnp.where(known.end < 0, jnp.roll(known.end, -reach, axis), known.end),
        )

    known = _Running(starts, *as_pair(weights), jnp.where(ends, index, -1))
    # Of a symbolic length, 31 steps: those that reach beyond the row change nothing.
    steps = (length - 1).bit_length() if isinstance(length, int) else 31
    known = lax.fori_loop(0, steps, step, known)
    return jnp.take_along_axis(known.high, known.end, axis=axis)
