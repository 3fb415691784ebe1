"""The covering arrays of rows.json, and how it is made anew: python -m lossproof.conformance.coverage."""

import functools
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from lossproof.conformance.coverage import _batches
from lossproof.conformance.coverage._arrays import Model, covering_array
from lossproof.conformance.coverage._model import AXES, CORE, Cell

ROWS = "rows.json"

# What each level has all combinations of: so many values at a time, of these axes.
ARRAYS: Mapping[str, tuple[Mapping[str, Sequence[str]], int]] = {"smoke": (CORE, 2), "standard": (AXES, 2)}


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
    return tuple(
        {name: AXES[name][index] for name, index in zip(names, row, strict=True)} for row in content[level]
    )


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


def pairs(cells: Iterable[Cell]) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    """The pairs of values that cells have, each value as (axis, value)."""
    return {pair for cell in cells for pair in itertools.combinations(((name, cell[name]) for name in AXES), 2)}


def written(path: Path) -> None:
    """Makes the arrays and writes them."""
    names = list(AXES)
    content: dict[str, object] = {"axes": {name: list(values) for name, values in AXES.items()}}
    for level, (axes, strength) in ARRAYS.items():
        cells = covering_array(Model(axes), strength)
        content[level] = [[AXES[name].index(cell[name]) for name in names] for cell in cells]
    batches = covering_array(Model(_batches.AXES, _batches.RULES), 2)
    indices = [[values.index(cell[name]) for name, values in _batches.AXES.items()] for cell in batches]
    content["batches"] = {"axes": {name: list(values) for name, values in _batches.AXES.items()}, "rows": indices}
    lines = [f"{json.dumps(key)}: {_laid_out(value)}" for key, value in content.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def _laid_out(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in value) + "\n]"
