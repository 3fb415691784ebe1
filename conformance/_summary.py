"""The verdict on a run, and its summary for a terminal."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lossproof.conformance._clauses import CLAUSES, GROUPS
from lossproof.conformance._result import FAIL, INTERNAL, NOT_APPLICABLE, PASS, UNSUPPORTED, VOID, Result
from lossproof.conformance._runner import Request

# Exit codes.
CONFORMS, DOES_NOT_CONFORM, USAGE, INTERNAL_ERROR = 0, 1, 2, 3
INTERRUPTED = 130  # as shells have it for SIGINT

_TELLING = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class Summary:
    """What a run says.

    Attributes:
      results: of all units.
    """

    results: Sequence[Result]

    def clause_verdicts(self) -> dict[str, str]:
        """Each clause that applies: fail if any unit says so, pass if any passed, unsupported if none could be run."""
        verdicts: dict[str, str] = {}
        order = (INTERNAL, VOID, FAIL, PASS, UNSUPPORTED)
        for clause in CLAUSES:
            found = {result.verdict_on(clause) for result in self.results if clause in result.clauses} - {
                NOT_APPLICABLE
            }
            if found:
                verdicts[clause] = min(found, key=order.index)
        return verdicts

    def exit_code(self) -> int:
        """3 if the suite failed or judged nothing, else 1 if any clause is broken, else 0."""
        verdicts = {result.verdict for result in self.results}
        if not verdicts - {UNSUPPORTED, NOT_APPLICABLE} or verdicts & {INTERNAL, VOID}:
            return INTERNAL_ERROR
        return DOES_NOT_CONFORM if FAIL in verdicts else CONFORMS

    @property
    def cases(self) -> int:
        """The number of judged cases."""
        return sum(result.cases for result in self.results)

    def of(self, verdict: str) -> list[Result]:
        """The results with a verdict."""
        return [result for result in self.results if result.verdict == verdict]


def print_summary(summary: Summary, request: Request, console: Console, seconds: float) -> None:
    """Prints one line per clause group, then what failed, what was unsupported and the verdict."""
    console.print(_table(summary))
    for result in [*_one_per_message(summary), *_one_per_check(summary.results)]:
        console.print(
            f"[bold red]{result.verdict}[/] {escape(result.unit)}  {_titled(result.broken or result.clauses)}",
            soft_wrap=True,
        )
        console.print(f"     {escape(result.message)}", soft_wrap=True)
        console.print(f"     again: {escape(repeat_command(result, request))}", soft_wrap=True)
    reasons: dict[str, set[str]] = {}
    for clause, verdict in summary.clause_verdicts().items():
        if verdict == UNSUPPORTED:
            reason = next(r.message for r in summary.of(UNSUPPORTED) if clause in r.clauses)
            reasons.setdefault(reason, set()).add(clause)
    for reason, clauses in reasons.items():
        console.print(f"[yellow]unsupported[/] {', '.join(sorted(clauses))}: {escape(reason)}", soft_wrap=True)
    console.print(_verdict(summary, request, seconds), soft_wrap=True)


def repeat_command(result: Result, request: Request) -> str:
    """The one line that repeats a unit."""
    words = [
        "lossproof",
        "check",
        request.target,
        "--level",
        request.level,
        "--seed",
        str(request.seed),
        "--only",
        result.unit,
    ]
    return shlex.join(words + (["--convention", request.convention] if request.convention else []))


def _table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("clauses", "", "pass", "fail", "unsupported", "cases", "values", "gradients"):
        table.add_column(heading, justify="left" if heading in ("clauses", "") else "right", no_wrap=True)
    verdicts = summary.clause_verdicts()
    for group, title in GROUPS.items():
        clauses = [clause for clause in verdicts if clause.startswith(f"{group}-")]
        if not clauses:
            continue
        counts = {
            verdict: sum(verdicts[clause] == verdict for clause in clauses) for verdict in (PASS, FAIL, UNSUPPORTED)
        }
        results = [r for r in summary.results if any(c in clauses for c in r.clauses)]
        largest = [max((getattr(r, quantity) for r in results), default=0.0) for quantity in ("values", "gradients")]
        failed = f"[bold red]{counts[FAIL]}[/]" if counts[FAIL] else "0"
        table.add_row(
            group,
            title,
            str(counts[PASS]),
            failed,
            str(counts[UNSUPPORTED]),
            str(sum(r.cases for r in results)),
            *(f"{share:.2f}" if share else "-" for share in largest),
        )
    return table


def _one_per_message(summary: Summary) -> list[Result]:
    """What the suite itself failed in: the first unit of each message, with the number of the others."""
    grouped: dict[str, list[Result]] = {}
    for result in [*summary.of(INTERNAL), *summary.of(VOID)]:
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


def _titled(clauses: Sequence[str]) -> str:
    return ", ".join(f"{clause} ({CLAUSES.get(clause, 'unknown clause')})" for clause in clauses)


def _verdict(summary: Summary, request: Request, seconds: float) -> str:
    code = summary.exit_code()
    verdicts = list(summary.clause_verdicts().values())
    counts = (
        f"{verdicts.count(PASS)} clauses pass, {verdicts.count(FAIL)} fail, {verdicts.count(UNSUPPORTED)} unsupported"
    )
    scope = f"{counts}; {summary.cases} cases in {len(summary.results)} units, {seconds:.0f} s"
    words = {
        CONFORMS: "[bold green]conforms[/]",
        DOES_NOT_CONFORM: "[bold red]does not conform[/]",
        INTERNAL_ERROR: "[bold red]no verdict[/]: the suite failed or judged nothing",
    }
    partial = " in what it supports" if code == CONFORMS and UNSUPPORTED in verdicts else ""
    limits = " Level smoke is no conformance result." if request.level == "smoke" else ""
    limits += " Only part of the suite was run." if request.only else ""
    return f"{escape(request.target)} {words[code]}{partial}: {scope}.{limits}"
