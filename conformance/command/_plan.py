"""A run from its request to its verdict: what can be wrong with it is found out first."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lossproof.conformance.command._output import Output, OutputError
from lossproof.conformance.command.console import USAGE, wide_console
from lossproof.conformance.command.expectations.expectations import Expectations, apply, idle, load_expectations
from lossproof.conformance.diagnosis.cause import Cause, cause as find_cause
from lossproof.conformance.judging.result import BREACHES, Result
from lossproof.conformance.report import record
from lossproof.conformance.report.hints import types_hint
from lossproof.conformance.report.terminal import Notes, print_summary
from lossproof.conformance.running.request import Request
from lossproof.conformance.running.selection import SelectionError, selected_units
from lossproof.conformance.running.summary import CONFORMS, FLOORS, INTERNAL_ERROR, Summary
from lossproof.conformance.targets import identity as _identity, remarks
from lossproof.reference.bounds import profile as profile_named


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
        units = {u.id: u.check.clauses for u in selected_units(request.only, request.level, request.dtypes)}
        try:
            profile_named(request.profile)
        except ValueError as error:
            raise SelectionError(str(error)) from error
        expectations = load_expectations(expect) if expect else None
        identity = _identity.identity(request.target, request.convention)
        compared = ("target", "level", "seed", "only", "dtypes", "convention", "profile")
        same = {name: getattr(request, name) for name in compared}
        suite = {"versions": _identity.versions(), "suite": _identity.suite()}
        output = Output(report, {"request": same, "identity": identity, **suite}, units)
        return cls(request, units, identity, expectations, output, started, clock)

    def stop(self, result: Result) -> bool:
        """Whether a result ends the run: with --fail-fast, a failure that is not expected."""
        if not self.request.fail_fast or not result.clauses or result.verdict not in BREACHES:
            return False
        if self.expectations is None:
            return True
        ((judged,), *_) = apply(self.expectations, [result], partial=True)
        return judged.verdict in BREACHES

    def concluded(self, results: list[Result], output: Output) -> int:
        """Prints the summary, writes the files, and returns the exit code."""
        entries: list[dict[str, Any]] = []
        sentences: list[str] = []
        unmatched: list[str] = []
        if self.expectations is not None:
            unmatched = idle(self.expectations, results)
            results, entries, sentences = apply(
                self.expectations, results, partial=self.request.is_partial or self.request.level == "smoke"
            )
        summary = Summary(results, 0.0 if self.request.only else FLOORS[self.request.level])
        seconds = time.perf_counter() - self.clock
        cause = find_cause(summary, self.request) if self.request.cause and summary.is_broken else Cause()
        hints = [hint for hint in (self._convention_hint(results), types_hint(results)) if hint]
        notes = Notes(record.grades(results), hints, [*remarks(self.identity["target"]), *sentences], cause.to_json())
        print_summary(summary, self.request, wide_console(), seconds, notes)
        document = record.document(
            summary,
            self.request,
            self.identity,
            started=self.started,
            seconds=seconds,
            expectations=entries,
            cause=cause,
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

    def _convention_hint(self, results: list[Result]) -> str:
        smoothed = any("label_smoothing" in r.unit or "CONV-1" in r.broken for r in results if r.verdict in BREACHES)
        return _identity.convention_hint(self.request.target, self.request.convention) if smoothed else ""
