"""Runs the suite against each mutant until a check that cites its clause kills it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import resources
from multiprocessing import get_context
from types import ModuleType

from lossproof.conformance._result import FAIL, NOT_APPLICABLE, PASS, UNSUPPORTED, Result
from lossproof.conformance._units import Unit, all_units, run_unit
from lossproof.conformance.mutants._edit import Edit
from lossproof.conformance.mutants._edits import BENIGN, MUTANTS
from lossproof.conformance.targets import module_target

_DTYPES_BY_USE = ("float32", "bfloat16", "float64", "float16")


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant.

    Attributes:
      edit: the mutant.
      result: the verdict that killed it, or that was wrongly raised against a benign variant; None if there was none.
    """

    edit: Edit
    result: Result | None

    @property
    def is_right(self) -> bool:
        """Whether a mutant was killed, and a benign variant was not."""
        return (self.result is not None) == bool(self.edit.clauses)


def mutated_source(edit: Edit) -> str:
    """The base's text after the edit.

    Raises:
      ValueError: the edited text is not in the base exactly once.
    """
    source = resources.files(__package__).joinpath("_base.py").read_text("utf-8")
    if source.count(edit.old) != 1:
        raise ValueError(
            f"mutant {edit.name}: its text must be in _base.py once, but is there {source.count(edit.old)} times"
        )
    return source.replace(edit.old, edit.new)


def load(edit: Edit) -> ModuleType:
    """The mutated base as a module."""
    module = ModuleType(f"lossproof_mutant_{edit.name}")
    exec(compile(mutated_source(edit), f"<mutant {edit.name}>", "exec"), module.__dict__)  # noqa: S102  our own text
    return module


def examine(edit: Edit) -> Outcome:
    """Runs the units that cite the mutant's clauses until one fails; for a benign variant all units."""
    target = module_target(f"mutant {edit.name}", load(edit))
    for level in ("smoke", "standard") if edit.clauses else ("smoke",):
        for unit in _units_against(edit):
            result = run_unit(unit, target, level, seed=0)
            wrong = (
                result.verdict == FAIL if edit.clauses else result.verdict not in (PASS, UNSUPPORTED, NOT_APPLICABLE)
            )
            if wrong:
                return Outcome(edit, result)
    return Outcome(edit, None)


def run_all(edits: Sequence[Edit], workers: int, progress: Callable[[Outcome], None]) -> list[Outcome]:
    """Examines the edits in several processes; the outcomes come in the edits' order."""
    return list(_outcomes(edits, workers, progress))


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


def _outcomes(edits: Sequence[Edit], workers: int, progress: Callable[[Outcome], None]) -> Iterator[Outcome]:
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(examine, edits):
            progress(outcome)
            yield outcome


def _units_against(edit: Edit) -> list[Unit]:
    units = all_units()
    if not edit.clauses:
        return list(units)
    citing = [unit for unit in units if set(unit.check.clauses) & set(edit.clauses)]

    def usefulness(unit: Unit) -> tuple[int, int]:
        first = edit.clauses[0] not in unit.check.clauses
        return int(first), _DTYPES_BY_USE.index(unit.dtype)

    return sorted(citing, key=usefulness)
