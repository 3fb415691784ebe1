"""The registry of checks, and the units of work they are cut into: check x function x dtype, with stable ids."""

import functools
import gc
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lossproof.conformance._calls import Calls
from lossproof.conformance._case import DENSE, DTYPES, FACTOR, TOKEN, WEIGHTED
from lossproof.conformance._charges import broken as broken_by
from lossproof.conformance._control import controlled
from lossproof.conformance._judge import Violation, VoidCaseError
from lossproof.conformance._lacking import lacking, refused
from lossproof.conformance._question import question
from lossproof.conformance._result import ERROR, FAIL, INTERNAL, NOT_APPLICABLE, PASS, UNSUPPORTED, VOID, Result
from lossproof.conformance._run import Run
from lossproof.conformance.targets import NotApplicable, Target, Unsupported
from lossproof.conformance.targets._program import ProgramError
from lossproof.reference.bounds import JAX_CPU, Profile

SHORT = {TOKEN: "token", WEIGHTED: "weighted", DENSE: "dense", FACTOR: "factor"}
LOSSES = (TOKEN, WEIGHTED, DENSE)

# Most checks leave float16 to those of values, gradients and types: it is carried in float32 like bfloat16.
THREE = ("bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Check:
    """A check and the clauses it tests."""

    id: str
    clauses: tuple[str, ...]
    functions: tuple[str, ...]
    dtypes: tuple[str, ...]
    body: Callable[[Run], None]
    is_quick: bool = True


@dataclass(frozen=True)
class Unit:
    """A check applied to one function and one dtype."""

    check: Check
    function: str
    dtype: str

    @property
    def id(self) -> str:
        """Stable: it does not change when checks are added."""
        return f"{self.check.id}[{SHORT[self.function]}-{self.dtype}]"

    @property
    def is_quick(self) -> bool:
        """Whether level smoke has it."""
        return self.dtype == "float32" and self.check.is_quick


_checks: dict[str, Check] = {}


def check(
    id: str,  # noqa: A002  the field's word
    *clauses: str,
    functions: Sequence[str] = LOSSES,
    dtypes: Sequence[str] = THREE,
    is_quick: bool = True,
) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Registers a function as a check of the clauses; level smoke leaves out those that are not quick."""

    def register(body: Callable[[Run], None]) -> Callable[[Run], None]:
        if id in _checks:
            raise ValueError(f"two checks are called {id!r}")
        _checks[id] = Check(id, clauses, tuple(functions), tuple(dtypes), body, is_quick)
        return body

    return register


@functools.cache
def all_units() -> tuple[Unit, ...]:
    """Every unit, those of one function and dtype together, so that compiled programs are shared.

    Raises:
      GoldenError: the golden set is broken.
    """
    from lossproof.conformance.checks import golden  # importing a module of checks registers them

    checks = [*_checks.values(), *golden.golden_checks()]
    units = [Unit(c, f, d) for c in checks for f in c.functions for d in c.dtypes]
    return tuple(sorted(units, key=lambda unit: (list(SHORT).index(unit.function), list(DTYPES).index(unit.dtype))))


def run_unit(
    unit: Unit, target: Target, level: str, seed: int, profile: Profile = JAX_CPU, calls: Calls | None = None
) -> Result:
    """Runs a unit, noting calls in `calls`; never raises."""
    clauses = unit.check.clauses
    run = Run(target, unit.function, unit.dtype, level, seed, profile, calls, clauses)
    run.calls.begin_unit(unit.id)
    started = time.perf_counter()
    broken: tuple[str, ...] = ()
    kept: Sequence[dict[str, Any]] = ()
    try:
        run.require_dtype()
        unit.check.body(run)
        verdict, message = _of_silence(run)
    except NotApplicable as reason:
        verdict, message = NOT_APPLICABLE, str(reason)
    except Unsupported as reason:
        verdict, message = UNSUPPORTED, str(reason)
    except Violation as violation:
        verdict, message = FAIL, str(violation)
        kept = run.calls.to_json()
        if violation.clauses:
            broken = violation.clauses
        else:
            broken = broken_by(clauses, violation.subjects, unit.function, is_small=violation.is_small)
            broken = controlled(run, target, violation, broken)
            run.tally.discharge(broken if violation.is_small else clauses, violation.subjects)
    except ProgramError as failure:
        verdict, message, broken = ERROR, str(failure), clauses
    except VoidCaseError as void:
        verdict, message = VOID, str(void)
    except Exception:  # noqa: BLE001  whatever the suite trips over becomes a verdict
        verdict, message = INTERNAL, traceback.format_exc()
    return Result(
        unit.id,
        clauses,
        verdict,
        message,
        broken,
        run.tally.cases,
        run.tally.values,
        run.tally.gradients,
        run.tally.worst,
        question(run.tally.call) if run.tally.call else {},
        run.tally.histogram,
        run.tally.survey,
        {"cells": run.tally.cells} if run.tally.cells else {},
        run.tally.compared,
        lacking(run),
        refused(run) if verdict == UNSUPPORTED else (),
        unit.function in target.offers and unit.dtype in target.dtypes,
        run.calls.to_json() if verdict == ERROR else kept,
        time.perf_counter() - started,
    )


def collect_rarely() -> None:
    """For a process that does nothing but run units: tracing makes many objects, which need no early collection, and
    what was imported is there to stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def _of_silence(run: Run) -> tuple[str, str]:
    """The verdict, and its reason, where nothing was found wrong."""
    if run.tally.cases == 0:
        return VOID, "no case was judged"
    if run.tally.compared or not run.clauses:
        return PASS, ""
    reasons = list(lacking(run).values())
    return (UNSUPPORTED, reasons[0]) if reasons else (VOID, "nothing that its clauses speak of was compared")
