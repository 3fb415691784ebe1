"""The covering arrays of rows.json, and how it is made anew: python -m lossproof.conformance.coverage."""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

from lossproof._files import replace_file
from lossproof.conformance.coverage._arrays import Model, covering_array, met
from lossproof.conformance.coverage.batches import AXES as BATCH_AXES, RULES as BATCH_RULES
from lossproof.conformance.coverage.model import AXES, BEGUN, CORE, Cell, broken_rule, cells_of, tokens

ROWS = "rows.json"

# Two values, each as (axis, value).
Pair: TypeAlias = tuple[tuple[str, str], tuple[str, str]]


@functools.cache
def stored(level: str) -> tuple[Cell, ...]:
    """The cells of a level.

    Raises:
      ValueError: rows.json is of another model: make it anew.
    """
    content = _content()
    _refuse_other(content["axes"], AXES)
    return cells_of(AXES, content[level])


@functools.cache
def stored_batches() -> tuple[Cell, ...]:
    """The cells of the normalising factors.

    Raises:
      ValueError: rows.json is of another model: make it anew.
    """
    content = _content()["batches"]
    _refuse_other(content["axes"], BATCH_AXES)
    return cells_of(BATCH_AXES, content["rows"])


def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resources.files(__package__).joinpath(ROWS).read_text("utf-8"))
    return content


def _refuse_other(axes: Mapping[str, Sequence[str]], model: Mapping[str, Sequence[str]]) -> None:
    if axes != {name: list(values) for name, values in model.items()}:
        raise ValueError(f"{ROWS} is of another model: run python -m {__package__}")


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
    """Makes the arrays and writes them: cells that are stored stay, as far as the model has them still, and others are
    added for the pairs that these lack, so that a cell that something tells of is not lost.
    """
    names = list(AXES)
    content: dict[str, object] = {"axes": {name: list(values) for name, values in AXES.items()}}
    for level, axes, begun in (("smoke", CORE, ()), ("standard", AXES, BEGUN)):
        kept = _kept(level)
        model = Model(axes)
        known = met(model, kept)
        missing = [pair for pair in model.possible() if pair not in known]
        begin = [values for values in begun if not any(values.items() <= cell.items() for cell in kept)]
        more = covering_array(model, missing, begin)
        first, more = more[: len(begin)], more[len(begin) :]
        more += _with_tokens(axes, [*kept, *first, *more])
        cells = [*kept, *first, *_needed(more, [*kept, *first])]
        content[level] = [[AXES[name].index(cell[name]) for name in names] for cell in cells]
    model = Model(BATCH_AXES, BATCH_RULES)
    batches = covering_array(model, model.possible())
    indices = [[values.index(cell[name]) for name, values in BATCH_AXES.items()] for cell in batches]
    content["batches"] = {"axes": {name: list(values) for name, values in BATCH_AXES.items()}, "rows": indices}
    lines = [f"{json.dumps(key)}: {_laid_out(value)}" for key, value in content.items()]
    replace_file(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _kept(level: str) -> list[Cell]:
    """The stored cells that are cells of the model."""
    content = _content()
    cells = cells_of(content["axes"], content[level])
    plain = {name: values[0] for name, values in AXES.items()}
    whole = [{name: cell.get(name, plain[name]) for name in AXES} for cell in cells]
    return [cell for cell in whole if all(cell[n] in AXES[n] for n in AXES) and broken_rule(cell) is None]


def _with_tokens(axes: Mapping[str, Sequence[str]], cells: Sequence[Cell]) -> list[dict[str, str]]:
    """More cells, for the pairs that these have in empty batches alone."""
    model = Model({**axes, "batch": [batch for batch in axes["batch"] if tokens(batch)]})
    untold = _together(cells) - pairs(cells)
    missing = sorted(tuple(sorted(model.number(*value) for value in pair)) for pair in untold)
    order = range(len(model.names))
    return covering_array(model, [pair for pair in missing if model.completed(model.partial(pair), order)])


def _needed(cells: Sequence[Cell], kept: Sequence[Cell]) -> list[Cell]:
    """The cells without those whose pairs all have others, too, or kept ones: they tell of fewer than was thought."""
    counts = Counter(pair for cell in (*cells, *kept) for pair in pairs([cell]))
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
