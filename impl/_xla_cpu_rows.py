"""What a row of logits is reduced to on XLA:CPU, in passes that read it once and leave no copy behind.

XLA:CPU hands the sum of a row to a library kernel, which takes in arithmetic such as `exp(x - m)`, but not a select: a
select, or a compare, makes it write the whole operand. So rows are cut into blocks, every block is summed whole, and
the block that holds what must be left out is summed once more without it. Where no block length divides the row, a few
rows at a time are copied. For other compilers all of this is poison: `_xla_rows.py` is for them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._common import carried_type, class_index, known_size
from lossproof.impl._elementary import exp
from lossproof.impl._form import Form, Gaps
from lossproof.impl._softcap import capped
from lossproof.impl._xla_cpu_blocks import block_length
from lossproof.impl._xla_cpu_sums import exponential_gaps
from lossproof.impl._xla_rows import RowSums, finite_peak

GROUPS = 8  # of rows, from each of which some are copied at once: so many shards of the rows copy their own
BLOCK, COPIED, PARTS = 256, 2**20, 64  # of rows that are copied: the block; the numbers at once, and their share


class _Blocks(NamedTuple):
    """Rows in blocks of b classes, the last of them maybe shorter.

    Attributes:
        exponentials: [..., G], the sum over each block of exp(x_j - m).
        gaps: [..., G], the scale times the sum over each block of m - x_j; None if not asked for.
        block: the entries [..., b] of the blocks of these numbers [...]; the second argument where there is none.
    """

    exponentials: Array
    gaps: Array | None
    block: Callable[[Array, Array], Array]


def row_sums(form: Form, scale: float, logits: Array, target: Array) -> RowSums:
    """Reduces rows of logits; arguments and result are those of `_xla_rows.row_sums`."""
    carried, classes, size = carried_type(logits), logits.shape[-1], known_size(logits.shape)
    # XLA:CPU writes the float32 that float16 is upcast to, and every tanh.
    written = logits.dtype == jnp.float16 or form.softcap is not None
    length = block_length(classes) or (classes if size is None else None)
    if length is None or (written and size is not None and size > COPIED):
        length = length or BLOCK
        largest = jnp.max(lax.optimization_barrier(logits), axis=-1).astype(carried)
        blocks = _copied(form, scale, logits, finite_peak(largest, form.softcap), length)
    else:
        cut = lax.optimization_barrier(logits.reshape(*target.shape, classes // length, length))
        largest = jnp.max(cut, axis=(-2, -1)).astype(carried)
        cut, largest = lax.optimization_barrier((cut, largest))
        blocks = _in_place(form, scale, cut, finite_peak(largest, form.softcap))
    is_here = (target >= 0) & (target < classes)
    index = jnp.where(is_here, target, 0)
    return RowSums(
        largest,
        _rest(form, blocks, largest),
        jnp.where(is_here, element(logits, index, carried), 0),
        None
        if blocks.gaps is None
        else _other_gaps(form, scale, blocks, blocks.gaps, logits, largest, index, is_here, length),
        exponential_gaps(logits, largest, finite_peak(largest, form.softcap), form.softcap)
        if "entropy" in form.also
        else None,
    )


def _in_place(form: Form, scale: float, cut: Array, peak: Array) -> _Blocks:
    """Blocks of [..., G, b]. Barriers keep the passes apart, and stand before the upcast: 16 bits are read as such."""
    carried = peak.dtype
    m = peak[..., None, None]

    def block(which: Array, _: Array) -> Array:
        return _gathered(cut, which[..., None, None], -2, carried).squeeze(-2)

    # Without the barrier the sum of these sums would be a pass of its own, and what it shares with this one be written.
    exponentials = lax.optimization_barrier(jnp.sum(exp(capped(cut.astype(carried), form.softcap) - m), axis=-1))
    if form.gaps is Gaps.NOTHING:
        return _Blocks(exponentials, None, block)
    cut, peak, exponentials = lax.optimization_barrier((cut, peak, exponentials))
    m = peak[..., None, None]

    def of_huge(cut: Array) -> Array:
        return jnp.sum(scale * m - scale * capped(cut.astype(carried), form.softcap), axis=-1)

    sums = lax.optimization_barrier(jnp.sum(m - capped(cut.astype(carried), form.softcap), axis=-1))
    # [STATE-4] To scale every gap before the sum would cost a third of it.
    sums = lax.cond(jnp.max(sums, initial=0) == jnp.inf, of_huge, lambda _: scale * sums, cut)
    return _Blocks(exponentials, sums, block)


def _copied(form: Form, scale: float, logits: Array, peak: Array, length: int) -> _Blocks:
    """Blocks of [..., V], a few rows at a time; copies that fit into the cache cost little."""
    carried, classes = peak.dtype, logits.shape[-1]
    whole = classes // length * length
    count = math.prod(logits.shape[:-1])
    small = count * classes <= COPIED  # one copy for all
    groups = 1 if small else min(count & -count, GROUPS)
    size = count // groups
    rows = size if small else max(1, min(count // PARTS, COPIED // classes) // groups)
    grouped, peaks = logits.reshape(groups, size, classes), peak.reshape(groups, size)
    # [STATE-4] In float16 no sum of gaps overflows; to scale each before it costs a third.
    in_range = logits.dtype == jnp.float16 and form.softcap is None

    def sums(x: Array, m: Array) -> tuple[Array, ...]:
        m = m[..., None, None]
        exponentials = jnp.sum(exp(x - m), axis=-1)
        if form.gaps is Gaps.NOTHING:
            return (exponentials,)
        x, m, exponentials = lax.optimization_barrier((x, m, exponentials))
        if in_range:
            return exponentials, scale * jnp.sum(m - x, axis=-1)
        return exponentials, jnp.sum(scale * m - scale * x, axis=-1)

    def of_rows(some: Array, m: Array) -> tuple[Array, ...]:
        some = lax.optimization_barrier(capped(some.astype(carried), form.softcap))
        cuts = (some[..., :whole].reshape(groups, rows, whole // length, length), some[..., None, whole:])
        each = zip(*(sums(x, m) for x in cuts if x.shape[-2] and x.shape[-1]), strict=True)
        return tuple(jnp.concatenate(of_cuts, axis=-1) for of_cuts in each)

    def step(i: Array, parts: tuple[Array, ...]) -> tuple[Array, ...]:
        start = jnp.minimum(i * rows, size - rows)  # the last step overlaps the one before it rather than the end
        # Without the barrier all of a 16-bit array would be upcast before the loop.
        some = lax.dynamic_slice_in_dim(lax.optimization_barrier((grouped, start))[0], start, rows, 1)
        joined = of_rows(some, lax.dynamic_slice_in_dim(peaks, start, rows, 1))
        return tuple(lax.dynamic_update_slice_in_dim(a, part, start, 1) for a, part in zip(parts, joined, strict=True))

    if small:
        parts = of_rows(grouped, peaks)
    else:
        # Made from the data: inside shard_map, a loop carries what varies over the same axes before and after a step.
        empty = jnp.broadcast_to(
            jnp.zeros_like(peaks)[..., None] + 0 * peaks[..., None], (groups, size, -(-classes // length))
        )
        parts = lax.fori_loop(0, -(-size // rows), step, (empty,) if form.gaps is Gaps.NOTHING else (empty, empty))
    exponentials, *gap_sums = (part.reshape(*peak.shape, part.shape[-1]) for part in parts)

    def block(which: Array, otherwise: Array) -> Array:
        index = length * which[..., None] + lax.broadcasted_iota(jnp.int32, (*which.shape, length), which.ndim)
        entries = _gathered(logits, jnp.minimum(index, classes - 1), -1, carried)
        return jnp.where(index < classes, entries, otherwise[..., None])

    return _Blocks(exponentials, gap_sums[0] if gap_sums else None, block)


def _rest(form: Form, blocks: _Blocks, largest: Array) -> Array:
    """The sum of all exponentials but one that has the peak."""
    sums, peak = blocks.exponentials, finite_peak(largest, form.softcap)
    # Most often the block with the largest sum has the peak, and is summed without it. Otherwise the sum over the other
    # blocks has it, and is 1 at least: nothing cancels where that 1 is exchanged for the term left out here.
    which = lax.argmax(sums, sums.ndim - 1, jnp.int32)
    block = lax.optimization_barrier(blocks.block(which, jnp.full_like(largest, -jnp.inf)))
    top = jnp.max(block, axis=-1)
    block, top = lax.optimization_barrier((block, top))
    # [ACC-1] The block's largest entries are left out, then counted; a select would be written.
    count = block.shape[-1] - jnp.sum(_is_below(block, top), axis=-1)
    block, top = lax.optimization_barrier((block, top))
    exponentials = exp(capped(block, form.softcap) - peak[..., None])
    left_out = exp(capped(top, form.softcap) - peak)
    rest_of_block = jnp.sum(exponentials * _is_below(block, top), axis=-1) + (count - 1) * left_out
    return (_sum_without(sums, which) - jnp.where(top == largest, 0, 1 - left_out)) + rest_of_block


def _other_gaps(
    form: Form,
    scale: float,
    blocks: _Blocks,
    gaps: Array,
    logits: Array,
    largest: Array,
    index: Array,
    is_here: Array,
    length: int,
) -> Array:
    peak = finite_peak(largest, form.softcap)
    if form.gaps is Gaps.SUM:
        # The gap of the target is part of the sum, whose error is relative to all of it anyway.
        of_target = scale * peak - scale * capped(element(logits, index, peak.dtype), form.softcap)
        return jnp.sum(gaps, axis=-1) - jnp.where(is_here & ~jnp.isinf(of_target), of_target, 0)
    which = index // length
    block = blocks.block(which, largest)
    in_block = scale * peak[..., None] - scale * capped(block, form.softcap)
    return _sum_without(gaps, which) + _sum_without(in_block, jnp.where(is_here, index % length, -1))


def _is_below(x: Array, top: Array) -> Array:
    """1 where [..., n] is less than [...], 0 where it is not, and between the two where the difference is tiny."""
    # A constant would be written, once for each entry.
    most = jnp.where(jnp.isnan(top), top, 1)
    top = jnp.where(top == -jnp.inf, 0, top)  # of -inf alone, all is below, and no inf - inf is formed
    return jnp.minimum((top[..., None] - x) * (most * 2.0**100)[..., None], most[..., None])


def first_largest(logits: Array) -> Array:
    """The index of the first largest logit, int32 [...]; any number where a logit is NaN."""
    length = block_length(logits.shape[-1])  # short: where V is sharded, all devices are sent the block
    if length is None:
        return lax.argmax(logits, logits.ndim - 1, jnp.int32)  # not vectorised
    cut = lax.optimization_barrier(logits.reshape(*logits.shape[:-1], logits.shape[-1] // length, length))
    of_blocks = jnp.max(cut, axis=-1)
    which = lax.argmax(of_blocks, of_blocks.ndim - 1, jnp.int32)
    block = jnp.squeeze(jnp.take_along_axis(cut, which[..., None, None], axis=-2), -2)
    return cut.shape[-1] * which + lax.argmax(block, block.ndim - 1, jnp.int32)


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
    return jnp.sum(jnp.where(class_index(terms) == index[..., None], 0, terms), axis=-1)
