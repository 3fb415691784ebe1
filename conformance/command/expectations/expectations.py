"""The results of a run in the light of what its target is expected to break (docs/expectations.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lossproof.conformance.command.expectations._file import (
    Expectation as Expectation,
    ExpectationError as ExpectationError,
    Expectations as Expectations,
    load_expectations as load_expectations,
)
from lossproof.conformance.judging.result import (
    EXPECTED_FAIL,
    FAIL,
    INTERNAL,
    NOT_APPLICABLE,
    NOT_RUN,
    PASS,
    UNEXPECTED_PASS,
    UNSUPPORTED,
    VOID,
    Result,
)
from lossproof.conformance.suite.units import all_units

# What became of an entry: something breaks as it says; nothing does; the target supports nothing that it is about; or
# too little was run to tell.
MET, UNMET, IDLE, UNKNOWN = "met", "unmet", "idle", "unknown"


@dataclass(frozen=True)
class Note:
    """What became of an entry.

    Attributes:
      entry: the entry.
      state: one of the constants above.
      units: how many of those that it is about were run.
      breaking: how many of these are broken as it says.
    """

    entry: Expectation
    state: str
    units: int
    breaking: int

    def __str__(self) -> str:
        units = f"{self.units} unit{'s' if self.units != 1 else ''}"
        end = {
            MET: f", and does in {self.breaking} of {units}: {self.entry}",
            UNMET: f", and does not in {units}: remove the entry ({self.entry})",
            IDLE: f", but the target supports none of its {units}: remove the entry ({self.entry})",
            UNKNOWN: f", and does not in {units}, which is too little to tell",
        }
        breach = "fail" if self.entry.verdict == FAIL else "end in an error"
        return f"{self.entry.name} is expected to {breach}{end[self.state]}"

    def to_json(self) -> dict[str, Any]:
        """As plain data; "met" is None where too little was run to tell."""
        entry = self.entry
        return {
            "clause": entry.name if entry.is_of_clause else None,
            "unit": None if entry.is_of_clause else entry.name,
            "reason": entry.reason,
            "link": entry.link,
            "met": None if self.state == UNKNOWN else self.state == MET,
        }


def apply(
    expectations: Expectations, results: Sequence[Result], *, partial: bool = False
) -> tuple[list[Result], list[dict[str, Any]], list[str]]:
    """The results in the light of what is expected.

    Args:
      expectations: of the target.
      results: of a run.
      partial: whether what passes in it says nothing: some units were left out, or searched as little as level smoke
        does.

    Returns:
      The results, where "fail" and "error" become "expected-fail" if all that they break is expected, and "pass"
      becomes "unexpected-pass" if it is about an entry that nothing meets; what became of each entry, as plain data;
      and the same as sentences.
    """
    notes = [_note(entry, results, partial=partial) for entry in expectations.entries]
    judged = [_excused(result, expectations) for result in results]
    for note in notes:
        if note.state == UNMET:
            judged = _marked(judged, note)
    return judged, [note.to_json() for note in notes], [str(note) for note in notes]


def idle(expectations: Expectations, results: Sequence[Result]) -> list[str]:
    """What to say about the entries that match nothing that ran, which is a usage error.

    Only a run can tell; so say it when its results are safe.

    Args:
      expectations: of the target.
      results: of a run, before or after `apply`.

    Returns:
      A sentence for each such entry.
    """
    notes = [_note(entry, results, partial=False) for entry in expectations.entries]
    return [str(note) for note in notes if note.state == IDLE]


def _note(entry: Expectation, results: Sequence[Result], *, partial: bool) -> Note:
    about = [result for result in results if entry.concerns(result.unit, (*result.clauses, *result.broken))]
    breaking = sum(entry.is_met_by(result) for result in about)
    verdicts = {result.verdict for result in about}
    if breaking:
        state = MET
    elif len(about) < _number_of_units(entry) or verdicts & {INTERNAL, NOT_RUN, VOID}:
        state = UNKNOWN
    elif verdicts <= {UNSUPPORTED, NOT_APPLICABLE}:
        state = IDLE
    else:
        state = UNKNOWN if partial else UNMET
    return Note(entry, state, len(about), breaking)


def _excused(result: Result, expectations: Expectations) -> Result:
    met = [entry for entry in expectations.entries if entry.is_met_by(result)]
    if not met:
        return result
    broken = result.broken or result.clauses  # an error may leave it open which
    expected = {entry.name for entry in met}
    if all(entry.is_of_clause for entry in met) and not expected.issuperset(broken):
        rest = ", ".join(clause for clause in broken if clause not in expected)
        return replace(result, message=f"{result.message}\n     not expected: {rest}")
    reasons = "; ".join(map(str, met))
    return replace(result, verdict=EXPECTED_FAIL, broken=broken, message=f"{result.message}\n     expected: {reasons}")


def _number_of_units(entry: Expectation) -> int:
    return sum(entry.concerns(unit.id, unit.check.clauses) for unit in all_units())


def _marked(results: Sequence[Result], note: Note) -> list[Result]:
    """The results, "unexpected-pass" where they are about the note's entry and nothing else is wrong."""
    about = [result for result in results if note.entry.concerns(result.unit, result.clauses)]
    passing = [result for result in about if result.verdict in (PASS, UNEXPECTED_PASS)]
    # Where none passed, those that fail for another reason, and as expected, must not hide what this entry gets wrong.
    chosen = {result.unit for result in passing or about if result.verdict in (PASS, UNEXPECTED_PASS, EXPECTED_FAIL)}
    return [_contradicting(result, note) if result.unit in chosen else result for result in results]


def _contradicting(result: Result, note: Note) -> Result:
    clauses = (note.entry.name,) if note.entry.is_of_clause else result.clauses
    return replace(
        result,
        verdict=UNEXPECTED_PASS,
        broken=tuple(dict.fromkeys((*result.broken, *clauses))),
        message="\n     ".join(filter(None, (result.message, str(note)))),
    )
