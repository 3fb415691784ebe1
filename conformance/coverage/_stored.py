"""The covering arrays of rows.json, and how it is made anew: python -m lossproof.conformance.coverage."""

import functools
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from lossproof.conformance._command import replace_file
from lossproof.conformance.coverage import _batches
from lossproof.conformance.coverage._arrays import Model, covering_array
from lossproof.conformance.coverage._model import AXES, BEGUN, CORE, RULES, Cell, Rule, tokens

ROWS = "rows.json"

# Two values, each as (axis, value).
Pair: TypeAlias = tuple[tuple[str, str], tuple[str, str]]


@functools.cache
def stored(level: str) -> tuple[Cell, ...]:
    """The cells of a level.

    Raises:
      ValueError: rows.json is of another model: make it anew.
    """
    content = json.loads(resources.files(__package__).joinpath(ROWS).read_text("utf-8"))
    if content["axes"] != {name: list(values) for name, values in AXES.items()}:
        raise ValueError(f"{ROWS} is of another model: run python -m {__package__}")
    names = list(AXES)
    return tuple({name: AXES[name][index] for name, index in zip(names, row, strict=True)} for row in content[level])


def triples(function: str) -> Iterator[Cell]:
    """Cells of a function with every triple of values that is possible: thousands, made as they are asked for.

    Args:
      function: a value of the axis.
    """
    model = Model({**AXES, "function": (function,)})
    rng = random.Random(0)  # noqa: S311  no secret
    axes = list(itertools.combinations([[model.number(n, v) for v in model.axes[n]] for n in model.names], 3))
    rng.shuffle(axes)
    seen: set[tuple[int, ...]] = set()
    for values in axes:
        for combination in itertools.product(*values):
            if combination in seen:
                continue
            order = list(range(len(model.names)))
            rng.shuffle(order)
            row = model.completed(model.partial(combination), order)
            if row is not None:
                cell = model.cell(row)
                together = itertools.combinations(model.numbers(row), 3)
                batch = model.number("batch", cell["batch"])
                seen.update(together if tokens(cell["batch"]) else (c for c in together if batch in c))
                yield cell


@functools.cache
def stored_batches() -> tuple[Cell, ...]:
    """The cells of the normalising factors.

    Raises:
      ValueError: rows.json is of another model: make it anew.
    """
    content = json.loads(resources.files(__package__).joinpath(ROWS).read_text("utf-8"))["batches"]
    if content["axes"] != {name: list(values) for name, values in _batches.AXES.items()}:
        raise ValueError(f"{ROWS} is of another model: run python -m {__package__}")
    return tuple(
        {name: values[index] for (name, values), index in zip(_batches.AXES.items(), row, strict=True)}
        for row in content["rows"]
    )


def pairs(cells: Iterable[Cell]) -> set[Pair]:
    """The pairs of values that cells tell of; without tokens, those with that batch."""
    return {
        pair
        for cell in cells
        for pair in _together([cell])
        if tokens(cell["batch"]) or ("batch", cell["batch"]) in pair
    }


def _together(cells: Iterable[Cell]) -> set[Pair]:
    """The pairs of values that cells have."""
    return {pair for cell in cells for pair in itertools.combinations(((name, cell[name]) for name in AXES), 2)}


def written(path: Path) -> None:
    """Makes the arrays and writes them."""
    names = list(AXES)
    content: dict[str, object] = {"axes": {name: list(values) for name, values in AXES.items()}}
    for level, axes, begun in (("smoke", CORE, ()), ("standard", AXES, BEGUN)):
        cells: list[Cell] = [*_with_all_pairs(axes, RULES, begun)]
        first, cells = cells[: len(begun)], [*cells, *_with_tokens(axes, cells)]
        cells = [*first, *(cell for cell in _needed(cells) if cell not in first)]
        content[level] = [[AXES[name].index(cell[name]) for name in names] for cell in cells]
    batches = _with_all_pairs(_batches.AXES, _batches.RULES)
    indices = [[values.index(cell[name]) for name, values in _batches.AXES.items()] for cell in batches]
    content["batches"] = {"axes": {name: list(values) for name, values in _batches.AXES.items()}, "rows": indices}
    lines = [f"{json.dumps(key)}: {_laid_out(value)}" for key, value in content.items()]
    replace_file(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _with_all_pairs(
    axes: Mapping[str, Sequence[str]], rules: Sequence[Rule], begun: Sequence[Cell] = ()
) -> list[dict[str, str]]:
    model = Model(axes, rules)
    return covering_array(model, model.possible(2), begun)


def _with_tokens(axes: Mapping[str, Sequence[str]], cells: Sequence[Cell]) -> list[dict[str, str]]:
    """More cells, for the pairs that these have in empty batches alone."""
    model = Model({**axes, "batch": [batch for batch in axes["batch"] if tokens(batch)]})
    untold = _together(cells) - pairs(cells)
    missing = sorted(tuple(sorted(model.number(*value) for value in pair)) for pair in untold)
    order = range(len(model.names))
    return covering_array(model, [pair for pair in missing if model.completed(model.partial(pair), order)])


def _needed(cells: Sequence[Cell]) -> list[Cell]:
    """The cells without those whose pairs all have others, too: they tell of fewer than was thought."""
    counts = Counter(pair for cell in cells for pair in pairs([cell]))
    needless = []
    for cell in sorted(cells, key=lambda cell: len(pairs([cell]))):
        if all(counts[pair] > 1 for pair in pairs([cell])):
            counts.subtract(pairs([cell]))
            needless.append(cell)
    return [cell for cell in cells if cell not in needless]


def _laid_out(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in value) + "\n]"
