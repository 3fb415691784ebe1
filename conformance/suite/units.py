"""All units, and what comes of one."""

import functools
import gc
import time
import traceback
from collections.abc import Sequence
from typing import Any

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.judging.charges import broken as broken_by
from lossproof.conformance.judging.judge import Violation, VoidCaseError
from lossproof.conformance.judging.result import ERROR, FAIL, INTERNAL, NOT_APPLICABLE, PASS, UNSUPPORTED, VOID, Result
from lossproof.conformance.suite._control import controlled
from lossproof.conformance.suite._lacking import lacking, refused
from lossproof.conformance.suite._question import question
from lossproof.conformance.suite.asking.calls import Calls
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.checks.golden import golden_checks  # and this package registers all others
from lossproof.conformance.suite.registry import SHORT, Unit, registered
from lossproof.conformance.targets import NotApplicable, Target, Unsupported
from lossproof.conformance.targets.programs.program import ProgramError
from lossproof.reference import UndecidedError
from lossproof.reference.bounds import JAX_CPU, Profile


@functools.cache
def all_units() -> tuple[Unit, ...]:
    """Every unit, those of one function and dtype together, so that compiled programs are shared.

    Raises:
      GoldenError: the golden set is broken.
    """
    by_group = sorted(registered.values(), key=lambda check: check.id.partition(".")[0])
    checks = [*by_group, *golden_checks()]
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
    except (VoidCaseError, UndecidedError) as void:
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
