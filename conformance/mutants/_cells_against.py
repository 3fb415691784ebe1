"""Units that go through the cells of the model, asked of a mutant: no further than the first cell that is wrong.

Such a unit takes a minute or more, most of which is compilation. That one of its cells is wrong is enough to know that
it fails; the plainest cell that is as wrong says which clauses are broken.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from lossproof.conformance._cells import Deviation, look
from lossproof.conformance._judge import Violation
from lossproof.conformance._run import Run
from lossproof.conformance._speaking import broken, charged
from lossproof.conformance._units import Unit
from lossproof.conformance.checks import calls
from lossproof.conformance.coverage._model import Cell
from lossproof.conformance.coverage._stored import stored
from lossproof.conformance.mutants._killers import Killer
from lossproof.conformance.targets import Unsupported


def has_cells(unit: Unit) -> bool:
    """Whether a unit goes through cells."""
    return unit.check.id == "calls.pairs"


def on_cell(unit: Unit, killer: Killer) -> Unit:
    """The unit on the cell that killed a mutant: it fails if that is wrong still, and says nothing if not."""
    return replace(unit, check=replace(unit.check, body=partial(_wrong_still, killer)))


def up_to_first(unit: Unit, found: list[Killer]) -> Unit:
    """The unit up to the first cell that is wrong, which is noted in `found`."""
    return replace(unit, check=replace(unit.check, body=partial(_first_wrong, unit.id, found)))


def _wrong_still(killer: Killer, run: Run) -> None:
    if killer.cell not in stored(run.level):
        raise Unsupported("the level has no such cell any more")
    run.tally.cases += 1
    deviation = _deviation(run, killer.cell) and _deviation(run, killer.simplest)
    if deviation is None:
        return
    clauses = broken(killer.simplest, deviation.subject, is_small=deviation.is_small)
    raise Violation(deviation.message, [deviation.subject], clauses=clauses)


def _first_wrong(unit: str, found: list[Killer], run: Run) -> None:
    for cell in calls._cells(run):  # noqa: SLF001  the unit's own
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
