"""The summary of a run for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lossproof.conformance.diagnosis.cause import Cause
from lossproof.conformance.judging.result import (
    ERROR,
    EXPECTED_FAIL,
    FAIL,
    INTERNAL,
    NOT_RUN,
    PART,
    PASS,
    UNEXPECTED_PASS,
    UNSUPPORTED,
    VOID,
)
from lossproof.conformance.report._causes import by_unit, sentences, simplest
from lossproof.conformance.report._findings import Finding, findings
from lossproof.conformance.report.record import unit
from lossproof.conformance.running.covered import covered
from lossproof.conformance.running.request import Request
from lossproof.conformance.running.summary import BREACHES, CONFORMS, DOES_NOT_CONFORM, Summary
from lossproof.spec import CLAUSES, GROUPS

# What is explained one by one; failures come last, nearest to the verdict.
_TOLD = (INTERNAL, VOID, ERROR, UNEXPECTED_PASS, FAIL)


@dataclass(frozen=True)
class Notes:
    """What is printed besides the results.

    Attributes:
      grades: as in the JSON result.
      hints: about what may be declared otherwise: a convention, types of logits.
      expectations: sentences about how the target is judged: by its limits, and by the expectations file.
      cause: of the failures, as in the JSON result.
    """

    grades: Sequence[Mapping[str, Any]] = ()
    hints: Sequence[str] = ()
    expectations: Sequence[str] = ()
    cause: Mapping[str, Any] = field(default_factory=lambda: Cause().to_json())


def print_summary(
    summary: Summary, request: Request, console: Console, seconds: float, notes: Notes | None = None
) -> None:
    """Prints what is known of the cause of failures, one line per clause group, the grades, what failed, what was
    unsupported, and the verdict.
    """
    notes = notes or Notes()
    _print_cause(console, notes.cause, notes.hints)
    console.print(_table(summary))
    if notes.grades:
        console.print(_grades(notes.grades))
    units = [unit(result) for result in summary.results]
    found = findings(units, _TOLD, lambda name: request.command(only=(name,)), by_unit(notes.cause))
    for finding in sorted(found, key=lambda each: _TOLD.index(each.verdict)):
        _print_finding(console, finding)
    for reason, clauses in _reasons(summary, NOT_RUN).items():
        _print_line(console, "[yellow]not run[/]", f"{', '.join(clauses)}: {reason}")
    for sentence in notes.expectations:
        _print_line(console, "[bold yellow]note[/]", sentence)
    for verdict in (PART, UNSUPPORTED):
        for reason, clauses in _reasons(summary, verdict).items():
            _print_line(console, f"[yellow]{verdict}[/]", f"{', '.join(clauses)}: {reason}")
    coverage = covered(summary.results, request.level)
    if coverage:
        for line in _coverage(coverage, request.target):
            console.print(line, soft_wrap=True)
    console.print(_verdict(summary, request, seconds), soft_wrap=True)


def _coverage(coverage: Mapping[str, Any], target: str) -> Iterator[str]:
    """What was looked at: pairs, and at level exhaustive triples."""
    cells = coverage["cells"]
    judged = f"in {cells['pass'] + cells['fail']} cells"
    left = f"in {cells['unsupported']} cells that {target} does not support"
    for kind in ("pairs", "triples"):
        counts = coverage[kind]
        if counts:
            yield (
                f"coverage: {counts['judged']} of {counts['model']} {kind} of values, {judged}; "
                f"{counts['unsupported']} {kind} {left}"
            )


def _print_line(console: Console, marked: str, text: str) -> None:
    console.print(f"{marked} {escape(text)}", soft_wrap=True)


def _print_cause(console: Console, cause: Mapping[str, Any], hints: Iterable[str]) -> None:
    for sentence in sentences(cause):
        _print_line(console, "[bold red]cause[/]", sentence)
    for hint in hints:
        _print_line(console, "[bold yellow]note[/]", hint)
    if cause["simplest"]:
        _print_line(console, "[bold red]shown by[/]", f"{cause['simplest']['unit']}, the smallest of these inputs")
    for line in simplest(cause).splitlines():
        _print_line(console, "    ", line)
    if cause["note"]:
        _print_line(console, "[bold yellow]note[/]", cause["note"])


def _table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("clauses", "", "pass", "fail", "in part", "unsupported", "cases", "values", "gradients"):
        table.add_column(heading, justify="left" if heading in ("clauses", "") else "right", no_wrap=True)
    verdicts = summary.clause_verdicts()
    for group, title in GROUPS.items():
        clauses = [clause for clause in verdicts if clause.startswith(f"{group}-")]
        if not clauses:
            continue
        found = [verdicts[clause] for clause in clauses]
        broken = sum(verdict in BREACHES for verdict in found)
        results = [r for r in summary.results if any(c in clauses for c in r.clauses)]
        largest = [max((getattr(r, quantity) for r in results), default=0.0) for quantity in ("values", "gradients")]
        table.add_row(
            group,
            title,
            str(found.count(PASS)),
            f"[bold red]{broken}[/]" if broken else "0",
            str(found.count(PART)),
            str(found.count(UNSUPPORTED)),
            str(sum(r.cases for r in results)),
            *map(_share, largest),
        )
    return table


def _grades(grades: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("accuracy of", "type", "values", "gradients"):
        table.add_column(heading, no_wrap=True)
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for each in grades:
        roundoff = each["roundoff"]
        computed = f" (as if rounded to {roundoff:.1g})" if roundoff else ""
        row = cells.setdefault((each["function"], each["dtype"]), {})
        row[each["quantity"]] = f"grade {each['grade']}{computed}" if each["grade"] != "none" else f"none{computed}"
    for (function, dtype), row in cells.items():
        table.add_row(function, dtype, row.get("values", "-"), row.get("gradients", "-"))
    return table


def _share(share: float) -> str:
    """A utilisation, on a few columns."""
    return "-" if not share else f"{share:.2f}" if share < 100 else f"{share:.1g}"


def _title(clause: str) -> str:
    return CLAUSES[clause].title if clause in CLAUSES else "unknown clause"


def _print_finding(console: Console, finding: Finding) -> None:
    clauses = ", ".join(f"{clause} ({_title(clause)})" for clause in finding.clauses)
    _print_line(console, f"[bold red]{finding.verdict}[/]", f"{finding.unit}  {clauses}")
    defect = f"known defect {finding.defect}" if finding.defect else ""
    lines = [finding.message, defect, finding.scope, *(finding.given.splitlines() if finding.blamed else [])]
    lines += [f"golden vector {finding.vector}: lossproof golden show {finding.vector}"] if finding.vector else []
    for line in filter(None, lines):
        _print_line(console, "    ", line)
    _print_line(console, "     again:", finding.command)


def _reasons(summary: Summary, verdict: str) -> dict[str, list[str]]:
    """The clauses with a verdict, by its reason."""
    reasons: dict[str, list[str]] = {}
    for clause, entry in summary.clauses.items():
        if entry.verdict == verdict:
            reasons.setdefault(entry.reason, []).append(clause)
    return reasons


def _verdict(summary: Summary, request: Request, seconds: float) -> str:
    code = summary.exit_code()
    verdicts = list(summary.clause_verdicts().values())
    broken = sum(verdict in BREACHES for verdict in verdicts)
    counts = f"{verdicts.count(PASS)} clauses pass, {broken} fail, {verdicts.count(UNSUPPORTED)} unsupported"
    if PART in verdicts:
        counts += f", {verdicts.count(PART)} in part"
    if EXPECTED_FAIL in verdicts:
        counts += f", {verdicts.count(EXPECTED_FAIL)} fail as expected"
    if NOT_RUN in verdicts:
        counts += f", {verdicts.count(NOT_RUN)} not run"
    scope = f"{counts}; {summary.cases} cases in {len(summary.results)} units, {seconds:.0f} s"
    colour = "green" if code == CONFORMS else "red"
    words = f"[bold {colour}]{summary.word}[/]"
    if summary.reasons():
        words += f"{', but' if code == DOES_NOT_CONFORM else ', because'} {' and '.join(summary.reasons())}"
    partial = " in what it supports" if code == CONFORMS and {PART, UNSUPPORTED} & set(verdicts) else ""
    limits = " Level smoke is no conformance result." if request.level == "smoke" else ""
    limits += " Only part of the suite was run." if request.is_partial else ""
    return f"{escape(request.target)} {words}{partial}: {scope}.{limits}"
