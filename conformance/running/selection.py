"""Which units to run."""

import functools
from collections.abc import Mapping, Sequence

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.suite.registry import Unit
from lossproof.conformance.suite.units import all_units
from lossproof.spec import FACTOR

LEVELS = ("smoke", "standard", "exhaustive")


class SelectionError(Exception):
    """Nothing fits what was asked for."""


def selected_units(only: Sequence[str], level: str = "standard", dtypes: Sequence[str] = ()) -> list[Unit]:
    """The units of a run, in their own order.

    Args:
      only: names of units, checks, groups of checks, clauses or groups of clauses; units that any of them names. Of
        none, all units.
      level: standard and exhaustive have all of these, smoke the quick ones. Where a name has no quick unit, smoke has
        its units of float32; and a unit that is named by its id.
      dtypes: the types of logits; all of none. Normalising factors have no logits, and always come along. Smoke takes
        them in place of float32.

    Raises:
      SelectionError: a name fits no unit, or there is no such level or type.
    """
    if level not in LEVELS:
        raise SelectionError(f"there is no level {level!r}: choose from {', '.join(LEVELS)}")
    unknown = [dtype for dtype in dtypes if dtype not in DTYPES]
    if unknown:
        raise SelectionError(f"there are no logits of type {unknown[0]!r}: choose from {', '.join(DTYPES)}")
    if not only:
        return [unit for unit in all_units() if _has(unit, dtypes) and (level != "smoke" or _is_quick(unit, dtypes))]
    chosen: set[str] = set()
    for name in only:
        named = _units_by_name().get(name, ())
        fitting = [unit for unit in named if _has(unit, dtypes)]
        if not named:
            raise SelectionError(f"{name!r} names no unit, check, group or clause: `lossproof units` lists them")
        if not fitting:
            raise SelectionError(f"{name!r} has no unit with logits of type {', '.join(dtypes)}")
        if level == "smoke":
            quick = [unit for unit in fitting if _is_quick(unit, dtypes)]
            fitting = quick or [unit for unit in fitting if unit.dtype == "float32"] or fitting
        chosen |= {unit.id for unit in fitting}
    return [unit for unit in all_units() if unit.id in chosen]


def parse_dtypes(text: str) -> tuple[str, ...]:
    """The types in a list such as "float32,bfloat16"."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _has(unit: Unit, dtypes: Sequence[str]) -> bool:
    return not dtypes or unit.dtype in dtypes or unit.function == FACTOR


def _is_quick(unit: Unit, dtypes: Sequence[str]) -> bool:
    """Whether level smoke has it; it has one type of logits, float32 unless others are asked for."""
    return unit.check.is_quick and (unit.dtype == "float32" or unit.dtype in dtypes)


@functools.cache
def _units_by_name() -> Mapping[str, Sequence[Unit]]:
    found: dict[str, list[Unit]] = {}
    for unit in all_units():
        for name in _names(unit):
            found.setdefault(name, []).append(unit)
    return found


def _names(unit: Unit) -> set[str]:
    clauses = set(unit.check.clauses)
    parts = unit.check.id.split(".")
    return {
        unit.id,
        *clauses,
        *(clause.split("-")[0] for clause in clauses),
        *(".".join(parts[:n]) for n in range(1, len(parts) + 1)),
    }
