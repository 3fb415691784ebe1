"""What rows of logits are reduced to, in cache-sized tiles; docs/oracle-proof.md, section 5."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossproof.reference.oracle import _exp
from lossproof.reference.oracle._double_double import AnyArray, Array, U, add_same_sign, two_sum

TILE = 2**14  # numbers in a tile: fewer cost calls, more cost cache misses; measured by benchmarks/oracle.py


class RowSums(NamedTuple):
    """The reductions of some rows; arrays over these rows.

    Attributes:
      undefined: whether all logits are -inf, or one is +inf or nan (STATE-3); the other members are then void.
      peak: m, the largest logit.
      top: the first class that has it.
      rest: r, the sum of exp(x_j - m) over the other classes; a double-double, stacked.
      omitted: how many finite logits lie more than 620 below m; r lacks their terms.
      masked: how many logits are -inf, the target's not counted.
      gaps: the sum of m - x_j over the finite logits but the target's; a double-double, stacked. Not finite where it
        overflowed.
      target_exp: exp(x_t - m), as at the other classes of `exps`, but 1 at the top; a double-double, stacked.
    """

    undefined: NDArray[np.bool_]
    peak: Array
    top: NDArray[np.int64]
    rest: Array
    omitted: NDArray[np.int64]
    masked: NDArray[np.int64]
    gaps: Array
    target_exp: Array


def sum_error(classes: int) -> float:
    """The relative error of a sum of exact double-doubles of one sign over the classes (section 5.2)."""
    width = min(classes, TILE)
    additions = -(-classes // width) + (width - 1).bit_length()
    return float(4 * additions * U**2)


def rest_error(classes: int) -> float:
    """The relative error of `RowSums.rest`, omitted terms apart (section 5.2)."""
    return _exp.ERROR + sum_error(classes)


class _Group:
    """A few rows on their way to their sums.

    Args:
      logits, targets, with_gaps, exps: as in `row_sums`.
      buffers: [8 + BUFFERS, at least rows, at least min(classes, TILE)].
    """

    def __init__(
        self, logits: AnyArray, targets: NDArray[np.int64], with_gaps: bool, exps: Array | None, buffers: Array
    ) -> None:
        self.x = logits.astype(np.float64)
        rows, self.classes = self.x.shape
        self.targets, self.with_gaps, self.exps = targets, with_gaps, exps
        self.each = np.arange(rows)
        self.top = self.x.argmax(axis=1)
        self.peak = self.x[self.each, self.top]
        self.undefined = ~np.isfinite(self.peak)  # argmax finds a nan before any number
        self.x[self.undefined], self.peak[self.undefined] = 0, 0
        self.omitted, self.masked = np.zeros((2, rows), np.int64)
        self.target_exp = np.zeros((2, rows))
        self.buffers = buffers[:, :rows]
        self.rest, self.gaps = self.buffers[:2], self.buffers[2:4]
        self.rest[...], self.gaps[...] = 0, 0

    def at(self, classes: NDArray[np.int64], start: int, stop: int) -> tuple[AnyArray, AnyArray]:
        """The index of one class per row in a tile, for the rows whose class is there."""
        here = (classes >= start) & (classes < stop)
        return self.each[here], classes[here] - start

    def add(self, start: int, stop: int) -> None:
        """Adds the classes from start to stop."""
        rest, gaps, shifted, term = self.buffers[:8, :, : stop - start].reshape(4, 2, len(self.x), -1)
        spare = self.buffers[8:, :, : stop - start]
        x, target, top = self.x[:, start:stop], self.at(self.targets, start, stop), self.at(self.top, start, stop)
        with np.errstate(over="ignore", invalid="ignore"):  # gaps that overflow are below LOWEST, too
            two_sum(x, -self.peak[:, None], (*shifted, spare[0]))
        below = shifted[0] < _exp.LOWEST
        any_below = bool(below.any())
        if any_below:
            masked = np.isneginf(x)
            self.omitted += (below & ~masked).sum(axis=1)
            shifted[:, masked] = 0
            masked[target] = False
            self.masked += masked.sum(axis=1)
        if self.with_gaps:
            np.negative(shifted, out=term)
            term[:, *target] = 0
            with np.errstate(over="ignore", invalid="ignore"):
                add_same_sign(gaps, term, (*gaps, *spare[:3]))
        if any_below:
            shifted[:, below] = 0
        _exp.exp(shifted, term, spare)
        if any_below:
            term[:, below] = 0
        self.target_exp[:, target[0]] = term[:, *target]
        term[:, *top] = 0
        add_same_sign(rest, term, (*rest, *spare[:3]))
        if self.exps is not None:
            self.exps[:, :, start:stop] = term

    def sums(self) -> RowSums:
        """The sums over all classes."""
        width = min(self.classes, TILE)
        for start in range(0, self.classes, width):
            self.add(start, min(start + width, self.classes))
        rest, gaps = (_folded(buffer[:, :, :width]) for buffer in (self.rest, self.gaps))
        return RowSums(self.undefined, self.peak, self.top, rest, self.omitted, self.masked, gaps, self.target_exp)


def row_sums(logits: AnyArray, targets: NDArray[np.int64], *, with_gaps: bool, exps: Array | None = None) -> RowSums:
    """Reduces rows of logits.

    Args:
      logits: [rows, V] of any float type.
      targets: [rows], in [0, V).
      with_gaps: whether `gaps` is wanted.
      exps: [2, rows, V], to which exp(x_j - m) is written as a double-double: 0 at the top, and below -620.

    Returns:
      The reductions.
    """
    rows, classes = logits.shape
    step = max(1, TILE // classes)
    buffers = np.empty((8 + _exp.BUFFERS, min(step, rows), min(classes, TILE)))
    groups = [slice(start, start + step) for start in range(0, rows, step)]
    parts = [
        _Group(logits[g], targets[g], with_gaps, None if exps is None else exps[:, g], buffers).sums() for g in groups
    ]
    return RowSums(*(np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)))


def _folded(terms: Array) -> Array:
    """Sums a stacked double-double [2, rows, classes] of one sign over the classes, by halving."""
    while (width := terms.shape[2]) > 1:
        left, right = terms[:, :, : width // 2], terms[:, :, width // 2 : width // 2 * 2]
        with np.errstate(over="ignore", invalid="ignore"):
            halves = np.stack(add_same_sign(left, right))
        terms = np.concatenate([halves, terms[:, :, width // 2 * 2 :]], axis=2)
    return terms[:, :, 0].copy()
