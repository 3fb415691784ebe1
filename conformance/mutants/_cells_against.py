"""Units that go through the cells of the model, asked in another order: first, or only, the cells that are said to matter.

Such a unit takes a minute, most of which is compilation. That one of its cells is wrong is enough to know that it fails,
and the plainest cell that is as wrong says which clauses are broken.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from lossproof.conformance._cells import look
from lossproof.conformance._judge import Violation
from lossproof.conformance._result import Result
from lossproof.conformance._run import Run
from lossproof.conformance._units import Unit
from lossproof.conformance.coverage._model import Cell
from lossproof.conformance.mutants._killers import Killer
from lossproof.conformance.targets import Unsupported

_ID = "calls.pairs"


def has_cells(unit: Unit) -> bool:
    """Whether a unit goes through cells."""
    return unit.check.id == _ID


def on_cell(unit: Unit, killer: Killer) -> Unit:
    """The unit on the cell that killed a mutant: it fails if that is wrong still, and is for nothing if not."""
    return replace(unit, check=replace(unit.check, body=partial(_wrong_still, killer)))


def on_share(unit: Unit, number: int, of: int) -> Unit:
    """The unit on a share of its cells: the shares together are all of them."""
    return replace(unit, check=replace(unit.check, body=partial(_right_on_share, number, of)))


def killer_of(result: Result, unit: Unit, run: Run) -> Killer:
    """What to write down of a unit that killed: of one with cells also where it was wrong, and the plainest such cell."""
    from lossproof.conformance.checks.calls import _simplest as simplest

    wrong = [entry["cell"] for entry in result.cells if entry["verdict"] == "fail"]
    if not has_cells(unit) or not wrong:
        return Killer(unit.id, {}, {})
    cell = wrong[0]
    return Killer(unit.id, cell, simplest(run, cell, look(run, cell, run.seed).deviations[0])[0])


def _wrong_still(killer: Killer, run: Run) -> None:
    from lossproof.conformance._speaking import broken
    from lossproof.conformance.coverage._stored import stored

    if killer.cell not in stored(run.level):
        raise Unsupported("the level has no such cell any more")
    for cell in (killer.cell, killer.simplest):
        deviations = look(run, cell, run.seed).deviations
        run.tally.cases += 1
        if not deviations:
            return
    clauses = [broken(killer.simplest, each.subject, is_small=each.is_small) for each in deviations[:1]]
    raise Violation(deviations[0].message, tuple(dict.fromkeys(clause for each in clauses for clause in each)))


def _right_on_share(number: int, of: int, run: Run) -> None:
    from lossproof.conformance._speaking import clauses_about
    from lossproof.conformance.checks.calls import _cells as cells_of_unit

    for cell in _share(tuple(cells_of_unit(run)), number, of):
        try:
            seen = look(run, cell, run.seed)
        except Unsupported:
            continue
        run.tally.cases += 1
        if seen.deviations:
            raise Violation(f"{seen.deviations[0].message}, in the cell {cell}", clauses_about(cell))
    run.tally.cases += 1


def _share(cells: Sequence[Cell], number: int, of: int) -> Sequence[Cell]:
    return cells[number % of :: of]
