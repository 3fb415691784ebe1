"""What killed each mutant when somebody last wrote it down: the order in which a run asks, never its answer."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from lossproof._files import replace_file
from lossproof.conformance.coverage.model import AXES, Cell

FILE = "killers.json"


@dataclass(frozen=True)
class Killer:
    """A unit that killed a mutant.

    Attributes:
      unit: its id.
      cell: of a unit that goes through cells, the one that was wrong; empty for others.
      simplest: the plainest cell that is as wrong.
    """

    unit: str
    cell: Cell
    simplest: Cell


@cache
def known_killers() -> Mapping[str, Sequence[Killer]]:
    """By mutant, the best first."""
    content = json.loads(resources.files(__package__).joinpath(FILE).read_text("utf-8"))
    return {name: tuple(_read(entry) for entry in entries) for name, entries in content.items()}


def write_killers(found: Mapping[str, Sequence[Killer]]) -> None:
    """Replaces what is known of these mutants, and leaves the others as they are."""
    every = {**known_killers(), **found}
    lines = [f"{json.dumps(name)}: {json.dumps([_written(k) for k in every[name]])}" for name in sorted(every)]
    replace_file(Path(__file__).with_name(FILE), "{\n" + ",\n".join(lines) + "\n}\n")
    known_killers.cache_clear()


def rank(name: str, unit: str) -> int:
    """The place of a unit among those that killed a mutant; the number of these if it did not."""
    units = [killer.unit for killer in known_killers().get(name, ())]
    return units.index(unit) if unit in units else len(units)


def cells_of(name: str, unit: str) -> Iterable[Killer]:
    """What is known of the cells by which a unit killed a mutant."""
    return (killer for killer in known_killers().get(name, ()) if killer.unit == unit and killer.cell)


def simplest_of(name: str) -> list[Cell]:
    """The plainest cells by which a mutant was killed, also those that a level has no more."""
    return [killer.simplest for killer in known_killers().get(name, ()) if killer.cell]


def _read(entry: Any) -> Killer:
    if isinstance(entry, str):
        return Killer(entry, {}, {})
    return Killer(entry["unit"], _whole(entry["cell"]), _whole(entry["simplest"]))


def _written(killer: Killer) -> Any:
    if not killer.cell:
        return killer.unit
    return {"unit": killer.unit, "cell": _short(killer.cell), "simplest": _short(killer.simplest)}


def _whole(short: Mapping[str, str]) -> Cell:
    return {axis: short.get(axis, values[0]) for axis, values in AXES.items()}


def _short(cell: Cell) -> dict[str, str]:
    """What is not plain about a cell."""
    return {axis: value for axis, value in cell.items() if value != AXES[axis][0]}
