"""The verdict on each clause: what its units found broken, and what they compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lossproof.conformance.judging.charges import SUBJECTS
from lossproof.conformance.judging.result import NOT_APPLICABLE, PART, PASS, UNSUPPORTED, VERDICTS, Result
from lossproof.spec import CLAUSES


@dataclass(frozen=True)
class Entry:
    """What a run says of a clause.

    Attributes:
      verdict: one of `VERDICTS`.
      units: how many were about it.
      cases: that these judged.
      compared: how many comparisons came out right, by subject.
      missing: what it speaks of that was not compared.
      reason: why that is missing, or the clause not passed for another reason than a breach; "" if it is.
    """

    verdict: str
    units: int = 0
    cases: int = 0
    compared: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    reason: str = ""

    @property
    def comparisons(self) -> int:
        """How many came out right."""
        return sum(self.compared.values())


def ledger(results: Sequence[Result]) -> dict[str, Entry]:
    """The clauses that apply, in the order of SPEC.md."""
    return {clause: entry for clause in CLAUSES if (entry := _entry(clause, results)) is not None}


def _entry(clause: str, results: Sequence[Result]) -> Entry | None:
    about = [r for r in results if clause in (*r.clauses, *r.broken) and r.verdict != NOT_APPLICABLE]
    if not about:
        return None
    compared: dict[str, int] = {}
    for result in about:
        for subject, count in result.compared.get(clause, {}).items():
            compared[subject] = compared.get(subject, 0) + count
    missing = tuple(subject for subject in SUBJECTS[clause] if subject not in compared)
    worst = min((result.verdict_on(clause) for result in about), key=VERDICTS.index)
    verdict = worst
    if VERDICTS.index(worst) >= VERDICTS.index(PASS):
        verdict = PASS if not missing else PART if len(missing) < len(SUBJECTS[clause]) else UNSUPPORTED
    reasons = [r.message for r in about if r.verdict_on(clause) == verdict and r.message]
    if verdict in (PART, UNSUPPORTED):
        reasons = list(_why(clause, missing, about))
    return Entry(verdict, len(about), sum(r.cases for r in about), compared, missing, _said(verdict, reasons))


def _said(verdict: str, reasons: Sequence[str]) -> str:
    if verdict in (PART, UNSUPPORTED):
        return "; ".join(dict.fromkeys(reasons))
    return reasons[0].splitlines()[0] if reasons and verdict != PASS else ""


def _why(clause: str, missing: Iterable[str], about: Sequence[Result]) -> Iterator[str]:
    """A reason for each subject that is missing; of units with functions and types that the target has, if there are
    any, because what another type lacks says nothing of these.
    """
    offered = [result for result in about if result.is_offered]
    others = dict.fromkeys(c for r in offered if clause not in r.broken for c in r.broken)
    for subject in missing:
        reasons = [r.lacking[subject] for r in offered if subject in r.lacking]
        reasons += [f"{subject} could not be told: the same calls break {', '.join(others)}"] if others else []
        reasons += [r.message for r in offered if subject in r.refused]
        reasons += [r.lacking.get(subject, r.message) for r in about if subject in (*r.lacking, *r.refused)]
        yield next(iter(reasons), f"{subject} was not compared in this run")
