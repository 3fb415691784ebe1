"""The heat map: share of grade A's bound over dtype and number of classes, a table with coloured cells."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lossproof.conformance.report.page.text import number
from lossproof.conformance.report.page.view import DTYPES, QUANTITIES

# Upper ends of the steps, coolest first; what is above the last, or not finite, has a step of its own.
STEPS = (0.25, 0.5, 1.0, 10.0, 1000.0)


@dataclass(frozen=True)
class Cell:
    """One square: what is written in it, and which step of `STEPS` it falls into."""

    share: str
    ulp: str
    step: int


@dataclass(frozen=True)
class Heat:
    """A table: a row for each dtype, a column for each number of classes; None where nothing was measured."""

    quantity: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


def heat_maps(rows: Iterable[dict[str, Any]]) -> tuple[Heat, ...]:
    """One table for values and one for gradients, as far as a survey has rows by classes."""
    measured = [row for row in rows if row["by"] == "classes"]
    return tuple(
        _heat(quantity, chosen)
        for quantity in QUANTITIES
        if (chosen := [row for row in measured if row["quantity"] == quantity])
    )


def step_of(share: float | None) -> int:
    """The step of a share of the bound."""
    return len(STEPS) if share is None else sum(share > end for end in STEPS)


def _heat(quantity: str, rows: list[dict[str, Any]]) -> Heat:
    found = {
        (row["dtype"], row["at"]): Cell(number(row["utilisation"]), number(row["ulp"]), step_of(row["utilisation"]))
        for row in rows
    }
    classes = sorted({at for _, at in found})
    dtypes = [dtype for dtype in DTYPES if any(dtype == name for name, _ in found)]
    lines = tuple((dtype, tuple(found.get((dtype, at)) for at in classes)) for dtype in dtypes)
    return Heat(quantity, tuple(f"{at:g}" for at in classes), lines)
