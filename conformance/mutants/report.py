"""The matrix of mutants, for a terminal and as plain data."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from lossproof.conformance.mutants.matrix import Outcome


def table(outcomes: Sequence[Outcome]) -> Table:
    """One line for each mutant: its verdict, and for each clause that it breaks the check that noticed it."""
    lines = Table("mutant", "verdict", "by", "citing", box=None, pad_edge=False)
    for outcome in outcomes:
        colour = "" if outcome.is_right else "[bold red]"
        by = {} if outcome.alarm is None else {outcome.alarm.unit: list(outcome.alarm.broken or outcome.alarm.clauses)}
        for clause, result in outcome.kills.items():
            by.setdefault(result.unit, []).append(clause)
        if outcome.unnoticed:
            by["no check"] = outcome.unnoticed
        names = [outcome.edit.name, f"{colour}{word(outcome)}"]
        for unit, clauses in by.items() or [("", [])]:
            lines.add_row(*names, escape(unit), " ".join(clauses))
            names = ["", ""]
    return lines


def line(outcome: Outcome) -> str:
    """One mutant, told when it is done."""
    result = outcome.result
    by = "" if result is None else f", {escape(result.unit)}"
    missing = f", not noticed: {' '.join(outcome.unnoticed)}" if outcome.unnoticed else ""
    return f"{word(outcome)}: {outcome.edit.name} ({outcome.seconds:.0f} s{by}{missing})"


def word(outcome: Outcome) -> str:
    """The verdict on a mutant."""
    if outcome.edit.clauses:
        return "killed" if outcome.is_right else "survived"
    return "passes" if outcome.is_right else "false alarm"


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many were killed, and how many good losses passed."""
    broken, good = ([o for o in outcomes if bool(o.edit.clauses) is kind] for kind in (True, False))
    killing = {clause for outcome in outcomes for clause in outcome.kills}
    return (
        f"{sum(o.is_right for o in broken)} of {len(broken)} mutants killed, by {len(killing)} clauses; "
        f"{sum(o.is_right for o in good)} of {len(good)} good losses pass"
    )


def to_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The matrix as plain data."""
    return [
        {
            "name": outcome.edit.name,
            "what": outcome.edit.what,
            "clauses": list(outcome.edit.clauses),
            "verdict": word(outcome),
            "killed_by": {clause: result.unit for clause, result in outcome.kills.items()},
            "unnoticed": outcome.unnoticed,
            "false_alarm": None if outcome.alarm is None else outcome.alarm.to_json(),
            "units": outcome.units,
            "seconds": round(outcome.seconds, 1),
        }
        for outcome in outcomes
    ]
