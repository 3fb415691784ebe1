"""`lossproof check`."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lossproof.conformance import _identity, _record
from lossproof.conformance._cluster import ClusterError, run_on_cluster
from lossproof.conformance._command import USAGE, fail_usage, wide_console
from lossproof.conformance._expectations import ExpectationError, Expectations, apply, idle, load_expectations
from lossproof.conformance._output import Output, OutputError
from lossproof.conformance._result import Result
from lossproof.conformance._runner import MEMORY, PROGRAM, TIMEOUTS, Request, run
from lossproof.conformance._selection import LEVELS, SelectionError, selected_units
from lossproof.conformance._summary import BREACHES, CONFORMS, FLOORS, INTERNAL_ERROR, INTERRUPTED, Summary
from lossproof.conformance._terminal import Notes, print_summary
from lossproof.conformance.targets import TargetError, remarks
from lossproof.golden import GoldenError
from lossproof.reference.bounds import profile as profile_named

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.fields[failed]}"),
)
_TIMES = ", ".join(f"{seconds:g} at {level}" for level, seconds in TIMEOUTS.items())


@click.command()
@click.argument("target", default="lossproof")
@click.option("--exec", "program", metavar="CMD", help="The target is a program that speaks docs/exec-protocol.md.")
@click.option("--level", type=click.Choice(LEVELS), default="standard", show_default=True, help="How hard to search.")
@click.option("--only", multiple=True, metavar="WHAT", help="A unit, check, group or clause; may be repeated.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the search; equal seeds give equal cases."
)
@click.option(
    "-n", "--workers", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: the cores]"
)
@click.option(
    "--convention",
    default="",
    metavar="WORDS",
    help="What it computes: others or uniform; entropy or no-entropy; z-loss or no-z-loss; ignore_index=NUMBER.",
)
@click.option("--profile", default="jax-cpu", show_default=True, metavar="NAME", help="The platform that it runs on.")
@click.option("--expect", type=click.Path(path_type=Path), metavar="FILE", help="Failures that are expected, and why.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where to write result.json, junit.xml and report.html; an interrupted run goes on from there.",
)
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help=f"For each unit.  [default: {_TIMES}]"
)
@click.option(
    "--memory",
    type=click.FloatRange(0, min_open=True),
    default=MEMORY,
    show_default=True,
    metavar="GIB",
    help="That a process may hold.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Run on the workers of this Dask scheduler instead.")
@click.option("--resource", multiple=True, metavar="NAME", help="A Dask resource that each unit takes, such as GPU.")
def check(
    target: str,
    program: str | None,
    expect: Path | None,
    report: Path | None,
    scheduler: str | None,
    resource: tuple[str, ...],
    **settings: Any,
) -> None:
    """Checks TARGET against the specification.

    TARGET is lossproof (the default) or another name from `lossproof targets`; or module:function or file.py:function;
    or module: or file.py: for all of the specification's functions that the module has under their own names.

    Exit codes: 0 it conforms, 1 it does not, 2 usage, 3 the suite failed or judged too little.
    """
    if program is not None:
        given = click.get_current_context().get_parameter_source("target")
        if given is not click.core.ParameterSource.DEFAULT:
            fail_usage(f"give a target or --exec, not both: got {target!r} and {program!r}")
        target = f"{PROGRAM}{program}"
    request = Request(target, **settings)
    errors = Console(stderr=True)
    try:
        plan = Plan.made(request, expect, report)
    except (TargetError, SelectionError, ExpectationError, OutputError) as error:
        fail_usage(str(error))
    except GoldenError as error:
        click.echo(f"lossproof: {error}", err=True)
        sys.exit(INTERNAL_ERROR)
    with plan.output as output:
        finished = dict(output.finished)
        left = {unit: clauses for unit, clauses in plan.units.items() if unit not in finished}
        kept = f", {len(finished)} kept from before" if finished else ""
        where = f"on {scheduler}" if scheduler else f"{request.workers} processes"
        errors.print(
            f"checking {target} at level {request.level}: {len(plan.units)} units{kept}, {where}, seed {request.seed}",
            soft_wrap=True,
        )
        try:
            with _progress(errors, len(left)) as advance:

                def keep(result: Result) -> None:
                    output.keep(result)
                    finished[result.unit] = result
                    advance(result)

                if scheduler:
                    run_on_cluster(request, left, keep, scheduler, resource)
                results = run(request, keep, dict(finished))
        except KeyboardInterrupt:
            errors.print(f"lossproof: interrupted, so there is no verdict{output.advice}", soft_wrap=True)
            sys.exit(INTERRUPTED)
        except ClusterError as error:
            click.echo(f"lossproof: {error}{output.advice}", err=True)
            sys.exit(INTERNAL_ERROR)
        sys.exit(plan.concluded(results, output))


@dataclass(frozen=True)
class Plan:
    """Everything that can be wrong with a request, found out before the run.

    Attributes:
      request: what to run.
      units: the ids of the units, with their clauses.
      identity: of the target.
      expectations: from their file, or None.
      output: where results go.
      started: when, in UTC.
      clock: at that moment.
    """

    request: Request
    units: dict[str, tuple[str, ...]]
    identity: dict[str, Any]
    expectations: Expectations | None
    output: Output
    started: str
    clock: float

    @classmethod
    def made(cls, request: Request, expect: Path | None, report: Path | None) -> "Plan":
        """Reads and tries what the request names; raises the errors of those who do it."""
        clock, started = time.perf_counter(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        units = {unit.id: unit.check.clauses for unit in selected_units(request.only, request.level)}
        try:
            profile_named(request.profile)
        except ValueError as error:
            raise SelectionError(str(error)) from error
        expectations = load_expectations(expect) if expect else None
        identity = _identity.identity(request.target, request.convention)
        compared = ("target", "level", "seed", "only", "convention", "profile")
        same = {name: getattr(request, name) for name in compared}
        output = Output(report, {"request": same, "identity": identity, "versions": _identity.versions()}, units)
        return cls(request, units, identity, expectations, output, started, clock)

    def concluded(self, results: list[Result], output: Output) -> int:
        """Prints the summary, writes the files, and returns the exit code."""
        entries: list[dict[str, Any]] = []
        sentences: list[str] = []
        unmatched: list[str] = []
        if self.expectations is not None:
            unmatched = idle(self.expectations, results)
            results, entries, sentences = apply(
                self.expectations, results, partial=bool(self.request.only) or self.request.level == "smoke"
            )
        summary = Summary(results, 0.0 if self.request.only else FLOORS[self.request.level])
        seconds = time.perf_counter() - self.clock
        notes = Notes(_record.grades(results), self._hint(results), [*remarks(self.identity["target"]), *sentences])
        print_summary(summary, self.request, wide_console(), seconds, notes)
        document = _record.document(
            summary,
            self.request,
            self.identity,
            started=self.started,
            seconds=seconds,
            expectations=entries,
        )
        try:
            for path in output.written(document):
                click.echo(f"wrote {path}", err=True)
        except OutputError as error:
            click.echo(f"lossproof: {error}{output.advice}", err=True)
            return INTERNAL_ERROR
        for sentence in unmatched:
            click.echo(f"lossproof: {sentence}", err=True)
        return summary.exit_code() or (USAGE if unmatched else CONFORMS)

    def _hint(self, results: list[Result]) -> str:
        smoothed = any("label_smoothing" in r.unit or "CONV-1" in r.broken for r in results if r.verdict in BREACHES)
        return _identity.convention_hint(self.request.target, self.request.convention) if smoothed else ""


@contextlib.contextmanager
def _progress(console: Console, total: int) -> Iterator[Any]:
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task("units", total=total, failed="")
        failures: list[str] = []

        def advance(result: Result) -> None:
            failures.extend([result.unit] if result.verdict in BREACHES else [])
            progress.update(task, advance=1, failed=f"{len(failures)} failed" if failures else "")

        yield advance
