"""Every triple of values in few cells: cells are filled many at a time, as rows of an array.

Greedy as in `_arrays.py`, which is too slow for so many. Rows are filled axis by axis; a rule looks ahead: it forbids
a value beside which nothing is left for the axes that are still open. What cannot be filled so is searched for exactly.
"""

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lossproof.conformance.coverage._arrays import Model
from lossproof.conformance.coverage.model import AXES, RULES, Cell, Rule, cells_of, tokens

_ROWS = 64  # that are filled at a time
_ATTEMPTS = 8  # to fill a row by chance before it is searched for
_OPEN = -1  # an axis that has no value yet

Rows: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]


@functools.cache
def triples(function: str) -> tuple[Cell, ...]:
    """Cells of a function that have every triple of values that is possible: thousands, made in a minute or two.

    Args:
      function: a value of the axis.
    """
    return covering({**AXES, "function": (function,)})


def covering(axes: Mapping[str, Sequence[str]], rules: Sequence[Rule] = RULES, seed: int = 0) -> tuple[Cell, ...]:
    """Cells that have every triple of values that the rules allow; of batches without tokens those with the batch.

    Args:
      axes: values by axis; all axes of the model, or axes without a batch.
      rules: what a cell must satisfy.
      seed: equal ones give equal cells.
    """
    return cells_of(axes, (row.tolist() for row in _Search(axes, rules, seed).cells()))


def told(cells: Iterable[Cell], number: Mapping[tuple[str, str], int]) -> Flags:
    """Which triples of values cells tell of, [M, M, M], symmetric; without tokens, those with that batch.

    Args:
      cells: of any axes.
      number: of each value, (axis, value), among M.
    """
    found = np.zeros((len(number),) * 3, bool)
    for cell in cells:
        numbers = np.array([number[item] for item in cell.items()])
        batch = None if tokens(cell["batch"]) else number["batch", cell["batch"]]
        _mark(found, numbers, batch, value=True)
    places = np.arange(len(number))
    found[places, places] = found[places, :, places] = found[:, places, places] = False
    return found


def _mark(table: Flags, numbers: Rows, only: int | None, *, value: bool) -> None:
    """Notes the triples of a row: all, or those that have one number."""
    if only is None:
        table[np.ix_(numbers, numbers, numbers)] = value
    else:
        for place in range(3):
            table[np.ix_(*([only] if axis == place else numbers for axis in range(3)))] = value


class _Rule:
    """A rule as a table of what it allows."""

    def __init__(self, rule: Rule, axes: Mapping[str, Sequence[str]]) -> None:
        names = list(axes)
        self.places = [names.index(name) for name in rule.axes]
        shape = [len(axes[name]) for name in rule.axes]
        allowed = [bool(rule.holds(*values)) for values in itertools.product(*(axes[name] for name in rule.axes))]
        self._allowed = np.array(allowed).reshape(shape)
        self._ahead: dict[tuple[int, tuple[int, ...]], Flags] = {}

    def allows(self, rows: Rows, given: Flags, axis: int) -> Flags:
        """For each row and each value of an axis, whether something is left for the axes that are not given."""
        known = tuple(place for place, name in enumerate(self.places) if given[name] and name != axis)
        last = self.places.index(axis)
        if (last, known) not in self._ahead:
            open_places = tuple(p for p in range(len(self.places)) if p not in known and p != last)
            table = np.asarray(self._allowed.any(axis=open_places, keepdims=True))
            self._ahead[last, known] = np.moveaxis(table, last, -1)
        table = self._ahead[last, known]
        others = [place for place in range(len(self.places)) if place != last]
        index = tuple(rows[:, self.places[p]] if p in known else np.zeros(len(rows), np.int64) for p in others)
        return np.asarray(table[index])


class _Search:
    """The search for cells; `missing` [M, M, M] says which triples have none yet."""

    def __init__(self, axes: Mapping[str, Sequence[str]], rules: Sequence[Rule], seed: int) -> None:
        self.axes = {name: tuple(values) for name, values in axes.items()}
        self._names = list(self.axes)
        self._sizes = np.array([len(values) for values in self.axes.values()])
        self._first = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])  # number of the first value of each axis
        self._axis_of = np.repeat(np.arange(len(self._sizes)), self._sizes)
        self._rng = np.random.default_rng(seed)
        tables = [_Rule(rule, self.axes) for rule in rules if all(name in self.axes for name in rule.axes)]
        self._rules = [[table for table in tables if axis in table.places] for axis in range(len(self._names))]
        self._batch = self._names.index("batch") if "batch" in self.axes else None
        batches = self.axes.get("batch", ())
        self._empty = np.array([not tokens(batch) for batch in batches], bool)
        told_of = {name: [v for v in values if name != "batch" or tokens(v)] for name, values in self.axes.items()}
        self._models = {True: Model(self.axes, rules), False: Model(told_of, rules)}
        self._with_tokens = False
        together = self._pairs()
        self._with_tokens = True  # from here on a row has tokens unless it starts without
        self.missing: Flags = together[:, :, None] & together[:, None] & together[None]

    def cells(self) -> list[Rows]:
        """Rows that have all triples that there are."""
        found = []
        while np.any(self.missing):
            pool, impossible = self._filled(self._starts(), greedy=True)
            for numbers in map(itertools.permutations, impossible):
                self.missing[tuple(zip(*numbers, strict=True))] = False
            gains = self._gains(pool)
            enough = gains.max(initial=0) / 2
            while len(pool) and gains.max() > enough:
                best = pool[np.argmax(gains)]
                found.append(best)
                _mark(self.missing, self._numbers(best[None])[0], self._only(best), value=False)
                gains = self._gains(pool)
        return found

    def _pairs(self) -> Flags:
        """Which two values some row has, with tokens or without, [M, M]."""
        known = np.zeros((self._sizes.sum(),) * 2, bool)
        for first, second in itertools.combinations(range(len(self._names)), 2):
            block = (slice(self._first[first], None), slice(self._first[second], None))
            pairs = np.argwhere(~known[block][: self._sizes[first], : self._sizes[second]])
            starts = np.full((len(pairs), len(self._names)), _OPEN)
            starts[:, [first, second]] = pairs
            for numbers in self._numbers(self._filled(starts, greedy=False)[0]):
                known[np.ix_(numbers, numbers)] = True
        return known & (self._axis_of[:, None] != self._axis_of)

    def _starts(self) -> Rows:
        """Missing triples of the same three axes, each a row with nothing else."""
        flat = np.flatnonzero(self.missing)
        some = np.unravel_index(int(self._rng.choice(flat)), self.missing.shape)
        axes = np.sort(self._axis_of[list(some)])
        spans = [slice(self._first[axis], self._first[axis] + self._sizes[axis]) for axis in axes]
        triples_there = np.argwhere(self.missing[spans[0], spans[1], spans[2]])
        rows = np.full((min(_ROWS, len(triples_there)), len(self._names)), _OPEN)
        rows[:, axes] = self._rng.permutation(triples_there)[: len(rows)]
        return rows

    def _filled(self, starts: Rows, *, greedy: bool) -> tuple[Rows, list[Rows]]:
        """The starts with a value for every axis; and the numbers of those that cannot have one."""
        ready, left = [starts[:0]], starts
        for attempt in range(_ATTEMPTS):
            if len(left):
                rows, is_done = self._once(left, greedy=greedy and attempt == 0)
                ready.append(rows[is_done])
                left = left[~is_done]
        found = [self._searched(start) for start in left]
        ready += [row[None] for row in found if row is not None]
        numbers = self._numbers(left)
        impossible = [numbers[i][left[i] != _OPEN] for i, row in enumerate(found) if row is None]
        return np.concatenate(ready), impossible

    def _once(self, starts: Rows, *, greedy: bool) -> tuple[Rows, Flags]:
        """Rows filled in one order, each value by chance or by what it gains; and whether that came to an end."""
        rows, given = starts.copy(), starts[0] != _OPEN
        is_alive = np.ones(len(rows), bool)
        for axis in np.flatnonzero(given).tolist():
            is_alive &= self._allowed(rows, given, axis)[np.arange(len(rows)), rows[:, axis]]
        for axis in self._rng.permutation(np.flatnonzero(~given)).tolist():
            allowed = self._allowed(rows, given, axis)
            score = self._rng.random(allowed.shape)
            if greedy:
                score += self._useful(rows, given, axis)
            rows[:, axis] = np.argmax(np.where(allowed, score, -1.0), axis=1)
            is_alive &= allowed.any(axis=1)
            given = given | (np.arange(len(given)) == axis)
        return rows, is_alive

    def _allowed(self, rows: Rows, given: Flags, axis: int) -> Flags:
        allowed = np.ones((len(rows), self._sizes[axis]), bool)
        if axis == self._batch and self._with_tokens and not given[axis]:
            allowed &= ~self._empty  # which would tell of itself alone
        for rule in self._rules[axis]:
            allowed &= rule.allows(rows, given, axis)
        return allowed

    def _useful(self, rows: Rows, given: Flags, axis: int) -> npt.NDArray[np.int64]:
        """How many missing triples each value of an axis completes."""
        chosen = (rows + self._first)[:, given][:, None]
        values = (self._first[axis] + np.arange(self._sizes[axis]))[None, :, None, None]
        found: npt.NDArray[np.int64] = self.missing[values, chosen[..., None], chosen[:, :, None]].sum(axis=(2, 3))
        return found

    def _searched(self, start: Rows) -> Rows | None:
        """A row by exact search; None if there is none."""
        model = self._models[not self._with_tokens or (self._batch is not None and start[self._batch] != _OPEN)]
        values = [None if i == _OPEN else self.axes[name][i] for name, i in zip(self._names, start, strict=True)]
        row = model.completed(values, range(len(values)))
        return None if row is None else np.array([self.axes[n].index(v) for n, v in zip(self._names, row, strict=True)])

    def _gains(self, rows: Rows) -> npt.NDArray[np.int64]:
        """How many missing triples each row has, each six times."""
        counts = []
        for row, numbers in zip(rows, self._numbers(rows), strict=True):
            only = self._only(row)
            table = self.missing[np.ix_(numbers, numbers, numbers)] if only is None else self.missing[only]
            counts.append(table.sum() if only is None else 3 * table[np.ix_(numbers, numbers)].sum())
        return np.array(counts, np.int64)

    def _numbers(self, rows: Rows) -> Rows:
        return np.asarray(rows + self._first)

    def _only(self, row: Rows) -> int | None:
        """The number of a batch without tokens, if the row has one."""
        if self._batch is None or not self._empty[row[self._batch]]:
            return None
        return int(self._first[self._batch] + row[self._batch])
