"""Which units to run."""

from collections.abc import Sequence

from lossproof.conformance._units import Unit, all_units

LEVELS = ("smoke", "standard", "exhaustive")


class SelectionError(Exception):
    """Nothing fits what was asked for."""


def selected_units(only: Sequence[str], level: str = "standard") -> list[Unit]:
    """The units named by any of `only`, by unit id, check id, group of checks, clause or group of clauses; of none,
    those of the level: smoke has part of them, standard and exhaustive have all.

    Raises:
      SelectionError: a name fits no unit, or there is no such level.
    """
    if level not in LEVELS:
        raise SelectionError(f"there is no level {level!r}: choose from {', '.join(LEVELS)}")
    units = all_units()
    if not only:
        return [unit for unit in units if level != "smoke" or unit.is_quick]
    chosen: set[str] = set()
    for name in only:
        fitting = {unit.id for unit in units if name in _names(unit)}
        if not fitting:
            raise SelectionError(f"{name!r} names no unit, check, group or clause: `lossproof units` lists them")
        chosen |= fitting
    return [unit for unit in units if unit.id in chosen]


def _names(unit: Unit) -> set[str]:
    clauses = set(unit.check.clauses)
    parts = unit.check.id.split(".")
    return {
        unit.id,
        *clauses,
        *(clause.split("-")[0] for clause in clauses),
        *(".".join(parts[:n]) for n in range(1, len(parts) + 1)),
    }
