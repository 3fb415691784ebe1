"""What a row of logits is reduced to, in passes that read it once and leave no copy behind.

XLA:CPU hands the sum of a row to a library kernel, which takes in arithmetic such as `exp(x - m)`, but not a select: a
select, or a compare, makes it write the whole operand. So rows are cut into blocks, every block is summed whole, and
the block that holds what must be left out is summed once more without it. Where no block length divides the row, a few
rows at a time are copied.
"""

import enum
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

SHORTEST, USUAL, LONGEST = 64, 1024, 2048  # of blocks: shorter ones are many, copies of longer ones large
PARTS = 50  # of a row that a block should be one of: it is copied
SHARDS = 32  # a vocabulary of a multiple of so many blocks can be sharded block by block
BLOCK, COPIED = 512, 2**17  # of rows that are copied: the block, and how many numbers at once


class Gaps(enum.Enum):
    """What is wanted of the gaps m - x_j of the classes besides the target."""

    NOTHING = enum.auto()
    SUM = enum.auto()  # if the target's is finite; a loss that has mass on the target needs no other
    EXACT_SUM = enum.auto()


class RowSums(NamedTuple):
    """Reductions of [..., V] logits, each [...].

    Attributes:
        peak: m, the largest logit, NaN where a token is undefined.
        rest: the sum of exp(x_j - m) over all classes but one that has the peak.
        other_gaps: `gap_scale` times the sum of m - x_j over all classes but the target; 0 if not asked for.
    """

    peak: Array
    rest: Array
    other_gaps: Array


def gap_scale(classes: int) -> float:
    """A power of 2 by which gaps are scaled down, so that their sum stays in range (STATE-4)."""
    return 2.0 ** -(classes.bit_length() + 1)


def block_length(classes: int) -> int | None:
    """The length of the blocks that a row is cut into, a divisor of V; None where only copies of rows can be cut.

    Of the divisors from SHORTEST to LONGEST one that leaves a count of blocks that is divisible by the highest power of
    2 (up to SHARDS); among these the one nearest to USUAL, or to a small part of the row.
    """
    if classes <= SHORTEST:
        return classes
    usual = max(SHORTEST, min(USUAL, classes // PARTS))

    def preference(b: int) -> tuple[int, float]:
        count = classes // b
        return -min(count & -count, SHARDS), max(b / usual, usual / b)

    fitting = (b for b in range(SHORTEST, min(LONGEST, classes // 2) + 1) if classes % b == 0)
    return min(fitting, key=preference, default=None)


def row_sums(logits: Array, target: Array, carried: jnp.dtype, gaps: Gaps) -> RowSums:
    """Reduces rows of logits.

    Args:
        logits: [..., V], in their own type.
        target: int32 [...], in [0, V).
        carried: the type of the results.
        gaps: what is asked for as other_gaps.
    """
    classes = logits.shape[-1]
    length = block_length(classes)

    def of_blocks(logits: Array, target: Array) -> RowSums:
        each = length or classes
        cut = logits.reshape(*target.shape, classes // each, each)
        return _of_blocks(lax.optimization_barrier(cut), target, carried, gaps)

    def of_copies(logits: Array, target: Array) -> RowSums:
        return _of_copies(logits, target, carried, gaps)

    # XLA:CPU writes the float32 that float16 is upcast to.
    copied = (length is None or logits.dtype == jnp.float16) and logits.size > COPIED
    if not copied:
        return of_blocks(logits, target)
    return lax.platform_dependent(logits, target, cpu=of_copies, default=of_blocks)


def _of_blocks(cut: Array, target: Array, carried: jnp.dtype, gaps: Gaps) -> RowSums:
    """Of [..., G, b]. Barriers keep the passes apart, and stand before the upcast: a 16-bit array is read as it is."""
    # Without these barriers the maximum of the maxima, and the sum of the sums, would become passes of their own, and
    # what they share with the first would be written.
    block_peak = lax.optimization_barrier(jnp.max(cut, axis=-1)).astype(carried)
    highest = jnp.max(block_peak, axis=-1)
    cut, highest = lax.optimization_barrier((cut, highest))
    sums = lax.optimization_barrier(jnp.sum(jnp.exp(cut.astype(carried) - highest[..., None, None]), axis=-1))
    # [STATE-3] XLA:CPU's maximum overlooks a NaN among 1009 numbers; their sum does not.
    peak = jnp.where(jnp.isfinite(jnp.sum(sums, axis=-1)), highest, jnp.nan)
    which = lax.argmax(block_peak, block_peak.ndim - 1, jnp.int32)
    block = jnp.exp(_block(cut, which, carried) - peak[..., None])
    rest = _sum_without(sums, which) + _sum_without(block, lax.argmax(block, block.ndim - 1, jnp.int32))
    if gaps is Gaps.NOTHING:
        return RowSums(peak, rest, jnp.zeros_like(rest))
    classes = cut.shape[-1] * cut.shape[-2]
    scale = gap_scale(classes)
    cut, peak, rest = lax.optimization_barrier((cut, peak, rest))
    gap_sums = jnp.sum(scale * peak[..., None, None] - scale * cut.astype(carried), axis=-1)
    which, place = target // cut.shape[-1], target % cut.shape[-1]
    if gaps is Gaps.SUM:
        # The gap of the target is part of the sum, whose error is relative to all of it anyway.
        of_target = scale * peak - scale * element(cut.reshape(*target.shape, classes), target, carried)
        others = jnp.sum(gap_sums, axis=-1) - jnp.where(jnp.isinf(of_target), 0, of_target)
        return RowSums(peak, rest, others)
    block = scale * peak[..., None] - scale * _block(cut, which, carried)
    return RowSums(peak, rest, _sum_without(gap_sums, which) + _sum_without(block, place))


def _of_copies(logits: Array, target: Array, carried: jnp.dtype, gaps: Gaps) -> RowSums:
    """A few rows at a time, copied with a length that blocks divide; copies that fit into the cache cost little."""
    classes, scale = logits.shape[-1], gap_scale(logits.shape[-1])
    count = int(np.prod(logits.shape[:-1]))
    rows = max(1, min(count, COPIED // classes))
    # Bits: in the loop, a bfloat16 array would be converted whole, at every step.
    bits = _bits(logits) if logits.dtype == jnp.bfloat16 else logits
    flat, targets = bits.reshape(count, classes), target.reshape(count)
    padding = ((0, 0, 0), (0, -classes % BLOCK, 0))

    def reduced(start: Array) -> tuple[Array, Array, Array]:
        some = lax.bitcast_convert_type(lax.dynamic_slice_in_dim(flat, start, rows), logits.dtype).astype(carried)
        of_target = lax.dynamic_slice_in_dim(targets, start, rows)
        cut = lax.pad(some, jnp.asarray(-jnp.inf, carried), padding).reshape(rows, -1, BLOCK)
        place = BLOCK * lax.broadcasted_iota(jnp.int32, cut.shape, 1) + lax.broadcasted_iota(jnp.int32, cut.shape, 2)
        peak, rest, _ = _of_blocks(cut, of_target, carried, Gaps.NOTHING)
        if gaps is Gaps.NOTHING:
            return peak, rest, jnp.zeros_like(rest)
        left_out = (place == of_target[:, None, None]) | (place >= classes)
        return peak, rest, jnp.sum(jnp.where(left_out, 0, scale * peak[:, None, None] - scale * cut), axis=(-2, -1))

    def step(i: Array, sums: tuple[Array, ...]) -> tuple[Array, ...]:
        start = jnp.minimum(i * rows, count - rows)  # the last step overlaps the one before it rather than the end
        parts = reduced(start)
        return tuple(lax.dynamic_update_slice_in_dim(a, part, start, 0) for a, part in zip(sums, parts, strict=True))

    empty = jnp.zeros(count, carried)
    sums = lax.fori_loop(0, -(-count // rows), step, (empty, empty, empty))
    return RowSums(*(part.reshape(target.shape) for part in sums))


def _block(cut: Array, which: Array, carried: jnp.dtype) -> Array:
    """The block of that number, [..., b]."""
    return _gathered(cut, which[..., None, None], -2, carried)


def element(x: Array, index: Array, carried: jnp.dtype) -> Array:
    """The element of the last axis at that index, [...]."""
    return _gathered(x, index[..., None], -1, carried)


def _gathered(x: Array, index: Array, axis: int, carried: jnp.dtype) -> Array:
    """What `index` picks along an axis, without that axis."""
    # The gather of a 16-bit array itself would be moved behind the upcast that the sums need, and that be written.
    picked = jnp.squeeze(jnp.take_along_axis(_bits(x), index, axis=axis), axis)
    return lax.bitcast_convert_type(picked, x.dtype).astype(carried)


def _bits(x: Array) -> Array:
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype.itemsize == 2 else x


def _sum_without(terms: Array, index: Array) -> Array:
    """The sum of [..., n] over the last axis but for one element."""
    places = lax.broadcasted_iota(jnp.int32, terms.shape, terms.ndim - 1)
    return jnp.sum(jnp.where(places == index[..., None], 0, terms), axis=-1)
