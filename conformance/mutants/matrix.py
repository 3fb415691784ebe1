"""Runs the suite against each mutant until every clause that it breaks has been noticed by a check that cites it."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context

import jax

from lossproof.conformance.judging.result import FAIL, NOT_APPLICABLE, PASS, UNSUPPORTED, Result
from lossproof.conformance.mutants._cells_against import has_cells, is_hinted, on_cell, up_to_first
from lossproof.conformance.mutants._edit import Edit
from lossproof.conformance.mutants.edits import MUTANTS
from lossproof.conformance.mutants.killers import Killer, cells_of, rank, simplest_of
from lossproof.conformance.mutants.load import load
from lossproof.conformance.mutants.losses import BENIGN
from lossproof.conformance.mutants.meetings.meetings import MEETINGS
from lossproof.conformance.suite.registry import Unit
from lossproof.conformance.suite.units import all_units, collect_rarely, run_unit
from lossproof.spec import CLAUSES

LEVEL = "standard"
PART, WHOLE = "part", "whole"


_DTYPES_BY_USE = ("float32", "bfloat16", "float64", "float16")
_NUMBERS = ("accuracy.", "gradients.", "values.", "factors.")
_QUIET = {PASS, UNSUPPORTED, NOT_APPLICABLE}


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant.

    Attributes:
      edit: the mutant.
      kills: for each clause that it breaks, the failure of a check that cites it, if there was one.
      alarm: the verdict wrongly raised against a benign variant, if there was one.
      units: how many were run.
      seconds: how long that took.
      killers: what to begin with the next time.
    """

    edit: Edit
    kills: Mapping[str, Result] = field(default_factory=dict)
    alarm: Result | None = None
    units: int = 0
    seconds: float = field(default=0.0, compare=False)
    killers: tuple[Killer, ...] = field(default=(), compare=False)

    @property
    def unnoticed(self) -> list[str]:
        """The clauses that the mutant breaks and no check noticed."""
        return [clause for clause in self.edit.clauses if clause not in self.kills]

    @property
    def is_right(self) -> bool:
        """Whether all that a mutant breaks was noticed, and nothing held against a benign variant."""
        return not self.unnoticed and self.alarm is None

    @property
    def result(self) -> Result | None:
        """The first failure of a mutant, or the false alarm."""
        return self.alarm or next(iter(self.kills.values()), None)


def examine(edit: Edit, good_losses: str = PART) -> Outcome:
    """Runs the units of level standard that cite the mutant's clauses until each clause has failed; for a good loss all
    of them, or a part.
    """
    outcome = _unnoticed_until(edit) if edit.clauses else _passing(edit, good_losses)
    jax.clear_caches()  # of its programs, which nobody asks for again
    gc.collect()
    return outcome


def _unnoticed_until(edit: Edit) -> Outcome:
    started = time.perf_counter()
    target, count = load(edit), 0
    kills: dict[str, Result] = {}
    killers: dict[str, Killer] = {}
    for unit, asked, known in _units_against(edit):
        waiting = {clause for clause in edit.clauses if clause not in kills}
        if not waiting & set(unit.check.clauses):
            continue
        result, count = run_unit(asked, target, LEVEL, seed=0), count + 1
        noticed = {clause: result for clause in sorted(waiting) if breaks(result, clause)}
        if noticed:
            killers[unit.id] = known[-1] if known else Killer(unit.id, {}, {})
            kills |= noticed
    ordered = {clause: kills[clause] for clause in edit.clauses if clause in kills}
    return Outcome(edit, ordered, None, count, time.perf_counter() - started, tuple(killers.values()))


def _passing(edit: Edit, good_losses: str) -> Outcome:
    started = time.perf_counter()
    target, count = load(edit), 0
    for unit, level in _units_for(edit, good_losses):
        result, count = run_unit(unit, target, level, seed=0), count + 1
        if result.verdict not in _QUIET:
            return Outcome(edit, {}, result, count, time.perf_counter() - started)
    return Outcome(edit, {}, None, count, time.perf_counter() - started)


def breaks(result: Result, clause: str) -> bool:
    """Whether the result says that the clause is broken."""
    return clause in result.clauses and result.verdict_on(clause) == FAIL


def run_all(
    edits: Sequence[Edit], workers: int, progress: Callable[[Outcome], None], good_losses: str = PART
) -> list[Outcome]:
    """Examines the edits in several processes, the long ones first; the outcomes come in the edits' order."""
    found: dict[str, Outcome] = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=collect_rarely) as pool:
        # From the end of the list, where the good losses are and what only large shapes show.
        tasks = [pool.submit(examine, edit, good_losses) for edit in reversed(edits)]
        for task in as_completed(tasks):
            outcome = task.result()
            found[outcome.edit.name] = outcome
            progress(outcome)
    return [found[edit.name] for edit in edits]


def selected(names: Sequence[str]) -> list[Edit]:
    """The mutants and benign variants of these names; all of none.

    Raises:
      ValueError: an unknown name.
    """
    known = {edit.name: edit for edit in (*MUTANTS, *BENIGN)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown mutant {unknown[0]!r}: choose from {', '.join(known)}")
    return [known[name] for name in names] if names else list(known.values())


def idle_clauses(outcomes: Sequence[Outcome]) -> list[str]:
    """The clauses of SPEC.md by which no mutant was killed."""
    killing = {clause for outcome in outcomes for clause in outcome.kills}
    return [clause for clause in CLAUSES if clause not in killing]


def _units_against(edit: Edit) -> Iterator[tuple[Unit, Unit, list[Killer]]]:
    """Those that cite a clause of the mutant, what to ask of each, and where the asking notes which cell is wrong:
    first what killed the mutant before, then the most useful.
    """
    hints = [*simplest_of(edit.name), *(meeting.cell for meeting in MEETINGS if meeting.edit.name == edit.name)]

    def usefulness(unit: Unit) -> tuple[int, bool, bool, bool, bool, int]:
        # Checks that draw their cases share compiled programs, and golden vectors are many; cells take the longest.
        first, drawn = edit.clauses[0] in unit.check.clauses, not unit.check.id.startswith("golden.")
        before = rank(edit.name, unit.id)
        hinted = is_hinted(unit, hints)
        return before, not hinted, has_cells(unit), not first, not drawn, _DTYPES_BY_USE.index(unit.dtype)

    citing = [unit for unit in all_units() if set(unit.check.clauses) & set(edit.clauses)]
    for unit in sorted(citing, key=usefulness):
        for killer in cells_of(edit.name, unit.id):
            yield unit, on_cell(unit, killer), [killer]
        found: list[Killer] = []
        yield unit, up_to_first(unit, found, hints) if has_cells(unit) else unit, found


def _units_for(edit: Edit, good_losses: str) -> Iterator[tuple[Unit, str]]:
    """What a good loss must pass, and at which level.

    Whole, that is all units of standard. In part, those of smoke about values, gradients and accuracy that it can make
    a difference to; for another whole loss all of smoke, and whatever changes an order, a shape or devices.
    """
    if good_losses == WHOLE:
        yield from ((unit, LEVEL) for unit in all_units())
        return
    for unit in all_units():
        if edit.functions and not (_can_change(edit, unit) and unit.check.id.startswith(_NUMBERS)):
            continue
        if not has_cells(unit) and (unit.is_quick or _reorders(unit)):
            yield unit, "smoke"


def _reorders(unit: Unit) -> bool:
    """Whether a unit changes an order or a shape, or devices, where rows are put together in another way, or has rows
    that are longer than others'.
    """
    return unit.dtype == "float32" and unit.check.id.startswith(
        ("invariances.", "split.", "production.", "states.nan_anywhere")
    )


def _can_change(edit: Edit, unit: Unit) -> bool:
    """Whether a unit judges numbers that come from logits and weights, rather than errors, types and conventions."""
    numeric = any(clause.startswith(("VALUE-", "GRAD-", "STATE-", "NORM-", "ACC-")) for clause in unit.check.clauses)
    return numeric and unit.function in edit.functions
