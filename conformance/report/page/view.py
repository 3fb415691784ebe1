"""What the pages say about a result: its words, and its rows in the order they are shown."""

import itertools
import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from lossproof.conformance.judging.result import (
    BREACHES as BREACHES,
    ERROR,
    EXPECTED_FAIL,
    FAIL,
    INTERNAL,
    NOT_APPLICABLE,
    NOT_RUN,
    PART,
    PASS,
    UNEXPECTED_PASS,
    UNSUPPORTED,
    VOID,
)
from lossproof.conformance.report._causes import by_unit, sentences as sentences, simplest as simplest
from lossproof.conformance.report._findings import Finding as Finding, findings as causes
from lossproof.conformance.report._schema import Document
from lossproof.conformance.report.page.text import counted
from lossproof.spec import CLAUSES as CLAUSES, GROUPS

# A symbol beside each verdict: colour alone says nothing.
SYMBOLS = {
    PASS: "✓",
    FAIL: "✗",
    ERROR: "✗",
    UNEXPECTED_PASS: "!",
    EXPECTED_FAIL: "≈",
    PART: "◐",
    UNSUPPORTED: "–",
    NOT_APPLICABLE: "·",
    NOT_RUN: "○",
    VOID: "?",
    INTERNAL: "?",
}
OWN_FAILURES = (VOID, INTERNAL)
QUANTITIES = ("values", "gradients")
DTYPES = ("float64", "float32", "bfloat16", "float16")

# Options that choose among units, with the number of words that they take.
_NARROWING = {"--only": 2, "--dtypes": 2, "--fail-fast": 1}

CONFORMS, DOES_NOT_CONFORM, NO_VERDICT = "conforms", "does not conform", "no verdict"


def clauses_with(document: Document, *verdicts: str) -> list[dict[str, Any]]:
    """The clauses with one of the verdicts."""
    return [clause for clause in document["clauses"] if clause["verdict"] in verdicts]


def titles(document: Document) -> dict[str, str]:
    """What each clause is about."""
    return {clause["id"]: clause["title"] for clause in document["clauses"]}


def headline(document: Document) -> str:
    """The verdict, as one line."""
    name, word = document["target"]["name"], document["verdict"]["word"]
    broken, unsupported = len(clauses_with(document, *BREACHES)), len(clauses_with(document, UNSUPPORTED))
    expected = len(clauses_with(document, EXPECTED_FAIL))
    tested = len(document["clauses"]) - unsupported - len(clauses_with(document, NOT_RUN))
    if word == NO_VERDICT:
        return f"{name}: no verdict"
    if broken:
        return f"{name} {word}: {broken} of {counted(tested, 'tested clause')} broken"
    if word == DOES_NOT_CONFORM:
        return f"{name} {word}"
    if expected:
        return f"{name} breaks {expected} of {counted(tested, 'tested clause')}, as expected"
    part = len(clauses_with(document, PART))
    if unsupported or part:
        rest = [f"{part} in part"] * bool(part) + [f"{unsupported} unsupported"] * bool(unsupported)
        return f"{name} conforms in what it supports: {counted(tested - part, 'clause')} pass, {', '.join(rest)}"
    return f"{name} conforms: all {counted(tested, 'clause')} pass"


def meaning(document: Document) -> str:
    """What the verdict means, for someone who does not know the suite."""
    name = document["target"]["name"]
    if document["verdict"]["word"] == NO_VERDICT:
        return f"The suite itself failed, or judged too little. Nothing is said about {name}."
    if clauses_with(document, *BREACHES):
        return (
            f"For each broken clause there is an input on which {name} does what the specification rules out or is off "
            "by more than rounding explains. They are shown below, with the commands that repeat them."
        )
    if document["verdict"]["word"] == DOES_NOT_CONFORM:
        return f"No clause of the specification is broken, but the run was not what it should be for {name}."
    if clauses_with(document, EXPECTED_FAIL):
        return "What is broken is listed in the target's expectations file, and nothing else is broken."
    cases = f"{document['counts']['cases']:,}"
    return (
        f"In all of the {cases} cases that were tried, {name} does what the specification asks for, and is off by no "
        "more than the rounding that it allows."
    )


def limits(document: Document) -> list[str]:
    """What narrows the verdict, one sentence each."""
    name, settings = document["target"]["name"], document["settings"]
    unsupported = len(clauses_with(document, UNSUPPORTED))
    said = []
    if unsupported:
        about = f"{unsupported} of {counted(len(document['clauses']), 'clause')}"
        said.append(f"{about} unsupported, neither passed nor failed: {name} does not offer what they are about.")
    part = len(clauses_with(document, PART))
    if part:
        about = f"{part} of {counted(len(document['clauses']), 'clause')}"
        said.append(f"{about} kept in part: right in what was compared, and the rest was not; the table says what.")
    left_out = len(clauses_with(document, NOT_RUN))
    if left_out:
        said.append(f"{counted(left_out, 'clause')} not run, or not in whole, because the run ended before.")
    if settings["level"] == "smoke":
        said.append("Level smoke is a quick look, no conformance result.")
    narrowed = [*settings["only"], *settings["dtypes"]]
    if narrowed:
        said.append(f"Only part of the suite was run: {', '.join(narrowed)}.")
    return said


def groups(document: Document) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Each group's id, its name and its clauses."""
    for group, clauses in itertools.groupby(document["clauses"], key=lambda clause: clause["group"]):
        yield group, GROUPS.get(group, ""), list(clauses)


def graded(document: Document) -> Iterator[tuple[str, str, list[dict[str, Any] | None]]]:
    """Each graded function and dtype, with the grades of its values and gradients."""
    rows = {(row["function"], row["dtype"], row["quantity"]): row for row in document["grades"]}
    functions = dict.fromkeys(function for function, _, _ in rows)
    for function, dtype in itertools.product(functions, DTYPES):
        found = [rows.get((function, dtype, quantity)) for quantity in QUANTITIES]
        if any(found):
            yield function, dtype, found


def findings(document: Document, verdicts: Sequence[str]) -> list[Finding]:
    """The causes of what has one of the verdicts, the simplest first."""
    return causes(document["units"], verdicts, partial(repeat_command, document), by_unit(document["cause"]))


def leading(found: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
    """The findings apart: the first of each clause, and the others."""
    first: list[Finding] = []
    others: list[Finding] = []
    shown: set[str] = set()
    for finding in found:
        (others if shown.issuperset(finding.clauses) else first).append(finding)
        shown.update(finding.clauses)
    return first, others


def by_clause(found: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings that concern each clause."""
    table: dict[str, list[Finding]] = {}
    for finding in found:
        for clause in finding.clauses:
            table.setdefault(clause, []).append(finding)
    return table


def repeat_command(document: Document, unit: str) -> str:
    """The command of the run, narrowed to a unit."""
    try:
        words = shlex.split(document["settings"]["command"])
    except ValueError:  # no shell's line, so nothing can be taken out of it
        words = [document["settings"]["command"]]
    for option, length in _NARROWING.items():
        while option in words:
            del words[words.index(option) : words.index(option) + length]
    return shlex.join([*words, "--only", unit])
