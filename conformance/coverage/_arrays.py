"""Covering arrays: few cells that have every pair of values that the rules allow; `triples.py` has those of triples.

Greedy, one cell at a time (AETG: Cohen et al., "The AETG system", IEEE TSE 23(7), 1997): a cell starts from a
pair that is still missing and takes for each further axis the value with which it completes the most missing
ones. Two published generators were tried and do not do: one drops what constraints make hard to reach, the other takes
minutes for each array.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from lossproof.conformance.coverage.model import RULES, Cell, Rule

_CANDIDATES = 12  # cells that are tried for each that is taken


class Model:
    """Axes, with the rules that speak of them.

    Args:
      axes: values by axis; a subset of the model's, in its order.
      rules: what a cell must satisfy.
    """

    def __init__(self, axes: Mapping[str, Sequence[str]], rules: Sequence[Rule] = RULES) -> None:
        self._rule: Sequence[Rule] = rules
        self.axes: dict[str, tuple[str, ...]] = {name: tuple(values) for name, values in axes.items()}
        self.names: list[str] = list(self.axes)
        self._values = [(axis, value) for axis, name in enumerate(self.names) for value in self.axes[name]]
        self._number = {(self.names[axis], value): number for number, (axis, value) in enumerate(self._values)}
        self._rules: list[list[tuple[tuple[int, ...], int]]] = [[] for _ in self.names]
        for number, rule in enumerate(rules):
            if all(name in self.axes for name in rule.axes):
                places = tuple(self.names.index(name) for name in rule.axes)
                for place in set(places):
                    self._rules[place].append((places, number))
        self._verdicts: dict[tuple[int, tuple[str | None, ...]], bool] = {}

    def is_allowed(self, row: Sequence[str | None], axis: int) -> bool:
        """Whether no rule forbids the value of an axis beside those that are chosen (not None)."""
        for places, number in self._rules[axis]:
            given = tuple(row[place] for place in places)
            if None in given:
                continue
            key = (number, given)
            if key not in self._verdicts:
                self._verdicts[key] = bool(self._rule[number].holds(*given))
            if not self._verdicts[key]:
                return False
        return True

    def completed(
        self, row: Sequence[str | None], order: Sequence[int], rank: "Rank | None" = None
    ) -> list[str] | None:
        """A cell with these values, the other axes filled in this order; None if there is none."""
        left = [axis for axis in order if row[axis] is None]
        chosen = list(row)
        if not all(self.is_allowed(chosen, axis) for axis, value in enumerate(chosen) if value is not None):
            return None
        tries = [10_000]
        return self._fill(chosen, left, rank, tries)

    def _fill(self, row: list[str | None], left: list[int], rank: "Rank | None", tries: list[int]) -> list[str] | None:
        if not left:
            return [value for value in row if value is not None]
        axis, rest = self._tightest(row, left)
        values = [value for value in self.axes[self.names[axis]] if self._would_do(row, axis, value)]
        for value in rank.sorted(row, axis, values) if rank else values:
            tries[0] -= 1
            if tries[0] < 0:
                return None
            row[axis] = value
            found = self._fill(row, rest, rank, tries)
            if found:
                return found
            row[axis] = None
        return None

    def _tightest(self, row: list[str | None], left: list[int]) -> tuple[int, list[int]]:
        """An axis that has one possible value or none goes first."""
        for axis in left:
            if self._rules[axis]:
                possible = 0
                for value in self.axes[self.names[axis]]:
                    possible += self._would_do(row, axis, value)
                    if possible > 1:
                        break
                if possible < 2:
                    return axis, [other for other in left if other != axis]
        return left[0], left[1:]

    def _would_do(self, row: list[str | None], axis: int, value: str) -> bool:
        row[axis] = value
        allowed = self.is_allowed(row, axis)
        row[axis] = None
        return allowed

    def number(self, name: str, value: str) -> int:
        """Of a value, among all values of all axes."""
        return self._number[name, value]

    @cached_property
    def size(self) -> int:
        """How many values all axes have together."""
        return len(self._values)

    def pairs(self) -> Iterator[tuple[int, ...]]:
        """The numbers of two values of different axes, in ascending order."""
        spans = [[self.number(name, value) for value in self.axes[name]] for name in self.names]
        for chosen in itertools.combinations(spans, 2):
            yield from itertools.product(*chosen)

    def partial(self, combination: Sequence[int]) -> list[str | None]:
        """The row that has these values alone."""
        row: list[str | None] = [None] * len(self.names)
        for number in combination:
            axis, value = self._values[number]
            row[axis] = value
        return row

    def possible(self) -> list[tuple[int, ...]]:
        """The pairs that some cell has."""
        order = range(len(self.names))
        known: set[tuple[int, ...]] = set()
        found = []
        for pair in self.pairs():
            if pair not in known:
                cell = self.completed(self.partial(pair), order)
                if cell is None:
                    continue
                known.update(itertools.combinations(self.numbers(cell), 2))
            found.append(pair)
        return found

    def numbers(self, row: Sequence[str]) -> list[int]:
        """The numbers of a row's values."""
        return [self.number(name, value) for name, value in zip(self.names, row, strict=True)]

    def cell(self, row: Sequence[str]) -> dict[str, str]:
        """A row by axis."""
        return dict(zip(self.names, row, strict=True))


class Rank:
    """Which values complete the most missing pairs.

    Args:
      model: of the cells.
      missing: [M, M], whether a pair of values is missing, symmetric.
      rng: breaks ties.
    """

    def __init__(self, model: Model, missing: np.ndarray, rng: random.Random) -> None:
        self._model, self._missing, self._rng = model, missing, rng

    def sorted(self, row: Sequence[str | None], axis: int, values: Sequence[str]) -> list[str]:
        """The values of an axis, the most useful beside the chosen ones first."""
        names = self._model.names
        chosen = [
            self._model.number(names[other], value)
            for other, value in enumerate(row)
            if value is not None and other != axis
        ]

        def gain(value: str) -> tuple[int, float]:
            return int(self._missing[self._model.number(names[axis], value), chosen].sum()), self._rng.random()

        return sorted(values, key=gain, reverse=True)


def covering_array(
    model: Model,
    wanted: Sequence[tuple[int, ...]],
    begun: Sequence[Mapping[str, str]] = (),
    seed: int = 0,
    candidates: int = _CANDIDATES,
) -> list[dict[str, str]]:
    """Cells that have every wanted pair.

    Args:
      model: of the cells.
      wanted: pairs of values, by their numbers, all of them possible.
      begun: values that the first cells are to have.
      seed: equal ones give equal arrays.
      candidates: cells that are tried for each that is taken.
    """
    rng = random.Random(seed)  # noqa: S311  no secret
    left = dict.fromkeys(wanted)
    missing = np.zeros((model.size, model.size), bool)
    for first, second in left:
        missing[first, second] = missing[second, first] = True
    rank = Rank(model, missing, rng)
    rows: list[list[str]] = []
    waiting = [[model.number(*value) for value in values.items()] for values in reversed(begun)]
    while left or waiting:
        starts: list[Sequence[int]] = [*itertools.islice(left, 1)]
        starts += rng.sample(list(left), min(candidates - 1, len(left)))
        found = []
        for start in [waiting.pop()] * candidates if waiting else starts:
            plain = list(range(len(model.names)))
            order = rng.sample(plain, len(plain))
            # In the plain order it is known to be possible; others may end nowhere.
            tries = ((order, rank), (order, None), (plain, None))
            row = next(filter(None, (model.completed(model.partial(start), *each) for each in tries)), None)
            if row is not None:
                new = [pair for pair in itertools.combinations(model.numbers(row), 2) if pair in left]
                found.append((len(new), row, new))
        if not found:
            raise AssertionError("a possible pair has no cell")
        _, best, new = max(found, key=lambda each: each[0])
        rows.append(best)
        for first, second in new:
            del left[first, second]
            missing[first, second] = missing[second, first] = False
    return [model.cell(row) for row in rows]


def met(model: Model, cells: Sequence[Cell]) -> set[tuple[int, ...]]:
    """The pairs that cells have."""
    found: set[tuple[int, ...]] = set()
    for cell in cells:
        found.update(itertools.combinations([model.number(name, cell[name]) for name in model.names], 2))
    return found
