"""What a row of logits is reduced to, in passes that read it once and leave no copy behind.

XLA:CPU hands the sum of a row to a library kernel, which takes in arithmetic such as `exp(x - m)`, but not a select: a
select, or a compare, makes it write the whole operand. So rows are cut into blocks, every block is summed whole, and
the block that holds what must be left out is summed once more without it. Where no block length divides the row, a few
rows at a time are copied.
"""

import enum
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lossproof.impl._elementary import exp, tanh

SHORTEST, USUAL, LONGEST = 64, 256, 2048  # of blocks: shorter ones are many, copies of longer ones large
SHARDS = 32  # a vocabulary of a multiple of so many blocks can be sharded block by block
GROUPS = 8  # of rows, from each of which some are copied at once: so many shards of the rows copy their own
BLOCK, COPIED, PARTS = 256, 2**20, 64  # of rows that are copied: the block; the numbers at once, and their share


class Gaps(enum.Enum):
    """What is wanted of the gaps m - x_j of the classes besides the target."""

    NOTHING = enum.auto()
    SUM = enum.auto()  # if the target's is finite; a loss that has mass on the target needs no other
    EXACT_SUM = enum.auto()


class RowSums(NamedTuple):
    """Reductions of [..., V] logits, each [...].

    Attributes:
        largest: the largest logit before the cap, any number where a token is undefined.
        peak: m, the largest logit, NaN where a token is undefined.
        rest: the sum of exp(x_j - m) over all classes but one that has the peak.
        other_gaps: `gap_scale` times the sum of m - x_j over all classes but the target; 0 if not asked for.
    """

    largest: Array
    peak: Array
    rest: Array
    other_gaps: Array


def gap_scale(classes: int) -> float:
    """A power of 2 by which gaps are scaled down, so that their sum stays in range (STATE-4)."""
    return 2.0 ** -(classes.bit_length() + 1)


def block_length(classes: int, usual: int = USUAL, longest: int = LONGEST) -> int | None:
    """The length of the blocks that a row is cut into, a divisor of V; None where only copies of rows can be cut.

    Of the divisors from SHORTEST to `longest` one that leaves a count of blocks that is divisible by the highest power
    of 2 (up to SHARDS); among these the one nearest to `usual`.
    """
    if classes <= SHORTEST:
        return classes

    def preference(b: int) -> tuple[int, float]:
        count = classes // b
        return -min(count & -count, SHARDS), max(b / usual, usual / b)

    fitting = (b for b in range(SHORTEST, min(longest, classes // 2) + 1) if classes % b == 0)
    return min(fitting, key=preference, default=None)


class _Blocks(NamedTuple):
    """Rows in blocks of b classes, the last of them maybe shorter.

    Attributes:
        exponentials: [..., G], the sum over each block of exp(x_j - m).
        gaps: [..., G], `gap_scale` times the sum over each block of m - x_j; None if not asked for.
        block: the entries [..., b] of the blocks of these numbers [...]; where there is none, what is given for it.
    """

    exponentials: Array
    gaps: Array | None
    block: Callable[[Array, Array], Array]


def row_sums(logits: Array, target: Array, carried: jnp.dtype, gaps: Gaps, softcap: float | None) -> RowSums:
    """Reduces rows of logits.

    Args:
        logits: [..., V], in their own type.
        target: int32 [...], in [0, V).
        carried: the type of the results.
        gaps: what is asked for as other_gaps.
        softcap: the cap of the logits; all results are of the capped ones.
    """
    classes = logits.shape[-1]
    length = block_length(classes)

    def of_blocks(logits: Array, target: Array) -> RowSums:
        each = length or classes
        cut = lax.optimization_barrier(logits.reshape(*target.shape, classes // each, each))
        largest = jnp.max(cut, axis=(-2, -1)).astype(carried)
        cut, largest = lax.optimization_barrier((cut, largest))
        blocks = _in_place(cut, capped(largest, softcap), gaps, softcap)
        return _of_blocks(blocks, logits, largest, target, each, gaps, softcap)

    def of_copies(logits: Array, target: Array) -> RowSums:
        each = length or BLOCK
        largest = jnp.max(lax.optimization_barrier(logits), axis=-1).astype(carried)
        blocks = _copied(logits, capped(largest, softcap), each, gaps, softcap)
        return _of_blocks(blocks, logits, largest, target, each, gaps, softcap)

    # XLA:CPU writes the float32 that float16 is upcast to, and every tanh.
    written = logits.dtype == jnp.float16 or softcap is not None
    copied = (length is None or written) and logits.size > COPIED
    if not copied:
        return of_blocks(logits, target)
    return lax.platform_dependent(logits, target, cpu=of_copies, default=of_blocks)


def _in_place(cut: Array, highest: Array, gaps: Gaps, softcap: float | None) -> _Blocks:
    """Blocks of [..., G, b]. Barriers keep the passes apart, and stand before the upcast: 16 bits are read as such."""
    carried = highest.dtype
    scale = gap_scale(cut.shape[-1] * cut.shape[-2])
    m = highest[..., None, None]

    def block(which: Array, _: Array) -> Array:
        return _gathered(cut, which[..., None, None], -2, carried).squeeze(-2)

    # Without the barrier the sum of these sums would be a pass of its own, and what it shares with this one be written.
    exponentials = lax.optimization_barrier(jnp.sum(exp(capped(cut.astype(carried), softcap) - m), axis=-1))
    if gaps is Gaps.NOTHING:
        return _Blocks(exponentials, None, block)
    cut, highest, exponentials = lax.optimization_barrier((cut, highest, exponentials))
    m = highest[..., None, None]

    def of_huge(cut: Array) -> Array:
        return jnp.sum(scale * m - scale * capped(cut.astype(carried), softcap), axis=-1)

    sums = lax.optimization_barrier(jnp.sum(m - capped(cut.astype(carried), softcap), axis=-1))
    # [STATE-4] To scale every gap before the sum would cost a third of it.
    sums = lax.cond(jnp.any(jnp.isinf(sums)), of_huge, lambda _: scale * sums, cut)
    return _Blocks(exponentials, sums, block)


def _copied(logits: Array, highest: Array, length: int, gaps: Gaps, softcap: float | None) -> _Blocks:
    """Blocks of [..., V], a few rows at a time; copies that fit into the cache cost little."""
    carried, classes, scale = highest.dtype, logits.shape[-1], gap_scale(logits.shape[-1])
    whole = classes // length * length
    count = int(np.prod(logits.shape[:-1]))
    groups = min(count & -count, GROUPS)
    size = count // groups
    rows = max(1, min(count // PARTS, COPIED // classes) // groups)
    grouped, peaks = logits.reshape(groups, size, classes), highest.reshape(groups, size)
    in_range = logits.dtype == jnp.float16 and softcap is None  # their sum is, too; to scale each costs a third

    def sums(x: Array, m: Array) -> tuple[Array, ...]:
        m = m[..., None, None]
        exponentials = jnp.sum(exp(x - m), axis=-1)
        if gaps is Gaps.NOTHING:
            return (exponentials,)
        x, m, exponentials = lax.optimization_barrier((x, m, exponentials))
        if in_range:
            return exponentials, scale * jnp.sum(m - x, axis=-1)
        return exponentials, jnp.sum(scale * m - scale * x, axis=-1)

    def step(i: Array, parts: tuple[Array, ...]) -> tuple[Array, ...]:
        start = jnp.minimum(i * rows, size - rows)  # the last step overlaps the one before it rather than the end
        # Without the barrier all of a 16-bit array would be upcast before the loop.
        some = lax.dynamic_slice_in_dim(lax.optimization_barrier((grouped, start))[0], start, rows, 1)
        some = lax.optimization_barrier(capped(some.astype(carried), softcap))
        m = lax.dynamic_slice_in_dim(peaks, start, rows, 1)
        cuts = (some[..., :whole].reshape(groups, rows, -1, length), some[..., None, whole:])
        each = zip(*(sums(x, m) for x in cuts if x.size), strict=True)
        joined = (jnp.concatenate(of_cuts, axis=-1) for of_cuts in each)
        return tuple(lax.dynamic_update_slice_in_dim(a, part, start, 1) for a, part in zip(parts, joined, strict=True))

    empty = jnp.zeros((groups, size, -(-classes // length)), carried)
    parts = lax.fori_loop(0, -(-size // rows), step, (empty,) if gaps is Gaps.NOTHING else (empty, empty))
    exponentials, *gap_sums = (part.reshape(*highest.shape, -1) for part in parts)

    def block(which: Array, otherwise: Array) -> Array:
        index = length * which[..., None] + lax.broadcasted_iota(jnp.int32, (*which.shape, length), which.ndim)
        entries = _gathered(logits, jnp.minimum(index, classes - 1), -1, carried)
        return jnp.where(index < classes, entries, otherwise[..., None])

    return _Blocks(exponentials, gap_sums[0] if gap_sums else None, block)


def _of_blocks(
    blocks: _Blocks, logits: Array, largest: Array, target: Array, length: int, gaps: Gaps, softcap: float | None
) -> RowSums:
    """What the blocks add up to, and what is left out of them."""
    carried, scale, highest = largest.dtype, gap_scale(logits.shape[-1]), capped(largest, softcap)
    sums = blocks.exponentials
    # [STATE-3] XLA:CPU's maximum of float32 overlooks a NaN in any row longer than 64; the sum does not.
    peak = jnp.where(jnp.isfinite(largest) & jnp.isfinite(jnp.sum(sums, axis=-1)), highest, jnp.nan)
    # Most often the block with the largest sum has the peak, and is summed without it. Otherwise the sum over the other
    # blocks has it, and is 1 at least: nothing cancels where that 1 is exchanged for the term left out here.
    which = lax.argmax(sums, sums.ndim - 1, jnp.int32)
    block = lax.optimization_barrier(blocks.block(which, jnp.full_like(largest, -jnp.inf)))
    top = jnp.max(block, axis=-1)
    block, top = lax.optimization_barrier((block, top))
    # [ACC-1] The block's largest entries are left out, then counted; a select would be written.
    count = block.shape[-1] - jnp.sum(_is_below(block, top), axis=-1)
    block, top = lax.optimization_barrier((block, top))
    exponentials = exp(capped(block, softcap) - peak[..., None])
    left_out = exp(capped(top, softcap) - peak)
    rest_of_block = jnp.sum(exponentials * _is_below(block, top), axis=-1) + (count - 1) * left_out
    rest = (_sum_without(sums, which) - jnp.where(top == largest, 0, 1 - left_out)) + rest_of_block
    if blocks.gaps is None:
        return RowSums(largest, peak, rest, jnp.zeros_like(rest))
    if gaps is Gaps.SUM:
        # The gap of the target is part of the sum, whose error is relative to all of it anyway.
        of_target = scale * peak - scale * capped(element(logits, target, carried), softcap)
        others = jnp.sum(blocks.gaps, axis=-1) - jnp.where(jnp.isinf(of_target), 0, of_target)
        return RowSums(largest, peak, rest, others)
    which = target // length
    block = blocks.block(which, largest)
    in_block = scale * peak[..., None] - scale * capped(block, softcap)
    return RowSums(largest, peak, rest, _sum_without(blocks.gaps, which) + _sum_without(in_block, target % length))


def _is_below(x: Array, top: Array) -> Array:
    """1 where [..., n] is less than [...], 0 where it is not, and between the two where the difference is tiny."""
    # A constant would be written, once for each entry.
    most = jnp.where(jnp.isnan(top), top, 1)
    return jnp.minimum((top[..., None] - x) * (most * 2.0**100)[..., None], most[..., None])


def capped(x: Array, softcap: float | None) -> Array:
    """softcap * tanh(x / softcap), but a -inf stays one; x itself without a cap."""
    if softcap is None:
        return x
    # A minimum instead of a select, which would be written: x + the largest float is negative only at -inf.
    return jnp.minimum(softcap * tanh(x / softcap), x + jnp.finfo(x.dtype).max)


def element(x: Array, index: Array, carried: jnp.dtype) -> Array:
    """The element of the last axis at that index, [...]."""
    return _gathered(x, index[..., None], -1, carried).squeeze(-1)


def _gathered(x: Array, index: Array, axis: int, carried: jnp.dtype) -> Array:
    """What `index` picks along an axis."""
    # The gather of a 16-bit array itself would be moved behind the upcast that the sums need, and that be written.
    return lax.bitcast_convert_type(jnp.take_along_axis(_bits(x), index, axis=axis), x.dtype).astype(carried)


def _bits(x: Array) -> Array:
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype.itemsize == 2 else x


def _sum_without(terms: Array, index: Array) -> Array:
    """The sum of [..., n] over the last axis but for one element."""
    places = lax.broadcasted_iota(jnp.int32, terms.shape, terms.ndim - 1)
    return jnp.sum(jnp.where(places == index[..., None], 0, terms), axis=-1)
