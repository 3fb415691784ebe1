"""What the pages say about a result: its words, and its rows in the order they are shown."""

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lossproof.conformance._clauses import CLAUSES as CLAUSES, GROUPS
from lossproof.conformance._result import (
    ERROR,
    EXPECTED_FAIL,
    FAIL,
    INTERNAL,
    NOT_APPLICABLE,
    PASS,
    UNEXPECTED_PASS,
    UNSUPPORTED,
    VOID,
)
from lossproof.conformance.report._schema import Document
from lossproof.conformance.report._text import counted

# A symbol beside each verdict: colour alone says nothing.
SYMBOLS = {
    PASS: "✓",
    FAIL: "✗",
    ERROR: "✗",
    UNEXPECTED_PASS: "!",
    EXPECTED_FAIL: "≈",
    UNSUPPORTED: "–",
    NOT_APPLICABLE: "·",
    VOID: "?",
    INTERNAL: "?",
}
BREACHES = (FAIL, ERROR, UNEXPECTED_PASS)
OWN_FAILURES = (VOID, INTERNAL)
QUANTITIES = ("values", "gradients")
DTYPES = ("float64", "float32", "bfloat16", "float16")
# The dtype that a reader is shown first.
TELLING = ("float32", "float64", "bfloat16", "float16")

# A message ends so where an array is out of its bounds: the function, and its arguments as exact bits.
_CALL = re.compile(r"; (\w+\(\w+=.*\))\Z", re.DOTALL)

CONFORMS, DOES_NOT_CONFORM, NO_VERDICT = "conforms", "does not conform", "no verdict"


@dataclass(frozen=True)
class Finding:
    """One failure of a check and function, of the most telling dtype.

    Attributes:
      unit: the unit's id.
      verdict: of the unit.
      clauses: those that are broken.
      message: what happened.
      given: the input that it happened on, or else the one with the largest error; "" if there is neither.
      blamed: whether it is the one that it happened on.
      command: repeats it.
      scope: which dtypes fail and which pass.
    """

    unit: str
    verdict: str
    clauses: tuple[str, ...]
    message: str
    given: str
    blamed: bool
    command: str
    scope: str

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return "unit-" + re.sub(r"\W+", "-", self.unit).strip("-")


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
    tested = len(document["clauses"]) - unsupported
    if word == NO_VERDICT:
        return f"{name}: no verdict"
    if broken:
        return f"{name} {word}: {broken} of {counted(tested, 'tested clause')} broken"
    if word == DOES_NOT_CONFORM:
        return f"{name} {word}"
    if expected:
        return f"{name} breaks {expected} of {counted(tested, 'tested clause')}, as expected"
    if unsupported:
        return f"{name} conforms in what it supports: {counted(tested, 'clause')} pass, {unsupported} unsupported"
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
    if settings["level"] == "smoke":
        said.append("Level smoke is a quick look, no conformance result.")
    if settings["only"]:
        said.append(f"Only part of the suite was run: {', '.join(settings['only'])}.")
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
    """One failure of each check and function, in the order of the units."""
    order = {verdict: index for index, verdict in enumerate(verdicts)}
    commands = {case["unit"]: case["command"] for case in document["worst"]}
    grouped: dict[str, list[dict[str, Any]]] = {}
    for unit in document["units"]:
        grouped.setdefault(unit["id"].rpartition("-")[0] or unit["id"], []).append(unit)
    found = []
    for same in grouped.values():
        failing = sorted((u for u in same if u["verdict"] in order), key=lambda u: (order[u["verdict"]], _rank(u)))
        if not failing:
            continue
        unit = failing[0]
        message, given = _apart(unit["message"])
        scope = [f"fails in {_dtypes(failing)}"] if unit["verdict"] in {FAIL, ERROR} else []
        passing = [u for u in same if u["verdict"] == PASS]
        scope += [f"passes in {_dtypes(passing)}"] if scope and passing else []
        command = commands.get(unit["id"]) or repeat_command(document, unit["id"])
        clauses = tuple(unit["broken"] or unit["clauses"])
        said = ", ".join(scope) if len(same) > 1 else ""
        given, blamed = given or unit["worst"], bool(given)
        found.append(Finding(unit["id"], unit["verdict"], clauses, message, given, blamed, command, said))
    return found


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
    while "--only" in words:
        del words[words.index("--only") : words.index("--only") + 2]
    return shlex.join([*words, "--only", unit])


def dtype_of(unit: str) -> str:
    """The last part of a unit's id."""
    return unit.rpartition("-")[2].rstrip("]")


def _rank(unit: dict[str, Any]) -> int:
    dtype = dtype_of(unit["id"])
    return TELLING.index(dtype) if dtype in TELLING else len(TELLING)


def _dtypes(units: Iterable[dict[str, Any]]) -> str:
    return ", ".join(dtype_of(unit["id"]) for unit in sorted(units, key=_rank))


def _apart(message: str) -> tuple[str, str]:
    """What happened, and the call at the message's end that it happened on; "" if there is none."""
    call = _CALL.search(message)
    return (message[: call.start()], call[1]) if call else (message, "")
