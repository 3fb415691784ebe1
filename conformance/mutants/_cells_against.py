"""Units that go through the cells of the model, asked of a mutant: no further than the first cell that is wrong.

Such a unit takes a minute or more, most of which is compilation. That one of its cells is wrong is enough to know that
it fails; the plainest cell that is as wrong says which clauses are broken.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from lossproof.conformance.coverage.cases import FUNCTIONS
from lossproof.conformance.coverage.model import AXES, Cell
from lossproof.conformance.coverage.stored import stored
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.mutants.killers import Killer
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.pairs import calls as calls
from lossproof.conformance.suite.pairs.cells import Deviation, look
from lossproof.conformance.suite.pairs.speaking import broken, charged
from lossproof.conformance.suite.registry import Unit
from lossproof.conformance.targets import Unsupported


def has_cells(unit: Unit) -> bool:
    """Whether a unit goes through cells."""
    return unit.check.id == "calls.pairs"


def on_cell(unit: Unit, killer: Killer) -> Unit:
    """The unit on the cell that killed a mutant: it fails if that is wrong still, and says nothing if not."""
    return replace(unit, check=replace(unit.check, body=partial(_wrong_still, killer)))


def up_to_first(unit: Unit, found: list[Killer], hints: Sequence[Cell] = ()) -> Unit:
    """The unit up to the first cell that is wrong, which is noted in `found`; cells that are like a hint come first."""
    return replace(unit, check=replace(unit.check, body=partial(_first_wrong, unit.id, found, hints)))


def is_hinted(unit: Unit, hints: Sequence[Cell]) -> bool:
    """Whether a unit has a cell with all that is not plain about one of the hints."""
    return has_cells(unit) and any(
        (FUNCTIONS[cell["function"]], cell["logits"]) == (unit.function, unit.dtype) and not _unlike(cell, hints)
        for cell in (stored("standard") if hints else ())
    )


def _unlike(cell: Cell, hints: Sequence[Cell]) -> int:
    """How many values that are not plain in a hint a cell does not have, at best."""
    wanted = ([(axis, value) for axis, value in hint.items() if value != AXES[axis][0]] for hint in hints)
    return min((sum(cell[axis] != value for axis, value in values) for values in wanted), default=0)


def _wrong_still(killer: Killer, run: Run) -> None:
    if killer.cell not in stored(run.level):
        raise Unsupported("the level has no such cell any more")
    run.tally.cases += 1
    deviation = _deviation(run, killer.cell) and _deviation(run, killer.simplest)
    if deviation is None:
        return
    clauses = broken(killer.simplest, deviation.subject, is_small=deviation.is_small)
    raise Violation(deviation.message, [deviation.subject], clauses=clauses)


def _first_wrong(unit: str, found: list[Killer], hints: Sequence[Cell], run: Run) -> None:
    for cell in sorted(calls._cells(run), key=partial(_unlike, hints=hints)):  # noqa: SLF001  the unit's own
        deviation = _deviation(run, cell)
        if deviation is not None:
            simplest, deviation = calls._simplest(run, cell, deviation)  # noqa: SLF001  likewise
            found.append(Killer(unit, cell, simplest))
            clauses = broken(simplest, deviation.subject, is_small=deviation.is_small)
            raise Violation(deviation.message, [deviation.subject], clauses=clauses)


def _deviation(run: Run, cell: Cell) -> Deviation | None:
    """What is wrong in a cell first, if anything is."""
    try:
        seen = look(run, cell, run.seed)
    except Unsupported:
        return None
    run.tally.cases += 1
    deviations: Sequence[Deviation] = seen.deviations
    for clause, subjects in () if deviations else charged(cell, seen.compared).items():
        for subject, count in subjects.items():
            run.tally.charge((clause,), subject, count)
    return deviations[0] if deviations else None
