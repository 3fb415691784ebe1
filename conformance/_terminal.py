"""The summary of a run for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lossproof.conformance._clauses import CLAUSES, GROUPS
from lossproof.conformance._result import (
    ERROR,
    EXPECTED_FAIL,
    FAIL,
    INTERNAL,
    PASS,
    UNEXPECTED_PASS,
    UNSUPPORTED,
    VOID,
    Result,
)
from lossproof.conformance._runner import Request
from lossproof.conformance._summary import BREACHES, CONFORMS, DOES_NOT_CONFORM, Summary

_TELLING = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class Notes:
    """What is printed besides the results.

    Attributes:
      grades: as in the JSON result.
      hint: about a convention that fits better than the declared one.
      expectations: sentences about how the target is judged: by its limits, and by the expectations file.
    """

    grades: Sequence[Mapping[str, Any]] = ()
    hint: str = ""
    expectations: Sequence[str] = ()


def print_summary(
    summary: Summary, request: Request, console: Console, seconds: float, notes: Notes | None = None
) -> None:
    """Prints one line per clause group, the grades, what failed, what was unsupported, and the verdict."""
    notes = notes or Notes()
    console.print(_table(summary))
    if notes.grades:
        console.print(_grades(notes.grades))
    for result in [*_one_per_message(summary), *_one_per_check(summary.results)]:
        _print_line(console, f"[bold red]{result.verdict}[/]", f"{result.unit}  {_titled(result)}")
        _print_line(console, "    ", result.message)
        _print_line(console, "     again:", request.command(only=(result.unit,)))
    for sentence in [*([notes.hint] if notes.hint else []), *notes.expectations]:
        _print_line(console, "[bold yellow]note[/]", sentence)
    reasons: dict[str, set[str]] = {}
    for clause, verdict in summary.clause_verdicts().items():
        if verdict == UNSUPPORTED:
            reason = next(r.message for r in summary.of(UNSUPPORTED) if clause in r.clauses)
            reasons.setdefault(reason, set()).add(clause)
    for reason, clauses in reasons.items():
        _print_line(console, "[yellow]unsupported[/]", f"{', '.join(sorted(clauses))}: {reason}")
    console.print(_verdict(summary, request, seconds), soft_wrap=True)


def _print_line(console: Console, marked: str, text: str) -> None:
    console.print(f"{marked} {escape(text)}", soft_wrap=True)


def _table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("clauses", "", "pass", "fail", "unsupported", "cases", "values", "gradients"):
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


def _one_per_message(summary: Summary) -> list[Result]:
    """What has one reason in many units: the first unit of each message, with the number of the others."""
    grouped: dict[str, list[Result]] = {}
    for result in [r for verdict in (INTERNAL, VOID, ERROR, UNEXPECTED_PASS) for r in summary.of(verdict)]:
        grouped.setdefault(result.message, []).append(result)
    return [
        replace(first, message=f"{first.message}\n     and so {len(others)} other units") if others else first
        for first, *others in grouped.values()
    ]


def _one_per_check(results: Sequence[Result]) -> list[Result]:
    """One failure of each check and function, of the most telling dtype; its message says which dtypes fail and
    which pass.
    """
    grouped: dict[str, list[Result]] = {}
    for result in results:
        grouped.setdefault(result.unit.rpartition("-")[0], []).append(result)
    shown = []
    for same in grouped.values():
        failures = sorted((r for r in same if r.verdict == FAIL), key=lambda r: _TELLING.index(_dtype(r)))
        if failures:
            failing, passing = (", ".join(_dtype(r) for r in same if r.verdict == v) for v in (FAIL, PASS))
            scope = f"fails in {failing}" + (f", passes in {passing}" if passing else "")
            shown.append(
                replace(
                    failures[0],
                    message=f"{failures[0].message}\n     {scope}" if len(same) > 1 else failures[0].message,
                )
            )
    return shown


def _dtype(result: Result) -> str:
    return result.unit.rpartition("-")[2].rstrip("]")


def _titled(result: Result) -> str:
    clauses = result.broken or result.clauses
    return ", ".join(f"{clause} ({CLAUSES.get(clause, 'unknown clause')})" for clause in clauses)


def _verdict(summary: Summary, request: Request, seconds: float) -> str:
    code = summary.exit_code()
    verdicts = list(summary.clause_verdicts().values())
    broken = sum(verdict in BREACHES for verdict in verdicts)
    counts = f"{verdicts.count(PASS)} clauses pass, {broken} fail, {verdicts.count(UNSUPPORTED)} unsupported"
    if EXPECTED_FAIL in verdicts:
        counts += f", {verdicts.count(EXPECTED_FAIL)} fail as expected"
    scope = f"{counts}; {summary.cases} cases in {len(summary.results)} units, {seconds:.0f} s"
    colour = "green" if code == CONFORMS else "red"
    words = f"[bold {colour}]{summary.word}[/]"
    if code not in {CONFORMS, DOES_NOT_CONFORM}:
        words += f", because {' and '.join(summary.reasons())}"
    partial = " in what it supports" if code == CONFORMS and UNSUPPORTED in verdicts else ""
    limits = " Level smoke is no conformance result." if request.level == "smoke" else ""
    limits += " Only part of the suite was run." if request.only else ""
    return f"{escape(request.target)} {words}{partial}: {scope}.{limits}"
