"""What came of a unit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

# Verdicts. "error": the target crashed, hung or ran out of memory, a breach like "fail". "expected-fail" and
# "unexpected-pass" come from an expectations file. "not applicable": the check is about targets of another kind.
# "not run": the run ended before. "void": the check could not have failed; "internal": the suite itself did. Where
# nothing is broken, one of these three ends a run with exit code 3.
PASS, FAIL, ERROR, UNSUPPORTED, VOID, INTERNAL = "pass", "fail", "error", "unsupported", "void", "internal"
EXPECTED_FAIL, UNEXPECTED_PASS = "expected-fail", "unexpected-pass"
NOT_APPLICABLE, NOT_RUN = "not applicable", "not run"
PART = "in part"  # of clauses alone: right in what was compared, and something that they speak of was not

# The worst first: what decides on a clause that several units concern. What is broken stays so, whatever else could not
# be judged; and a clause does not pass before all of its units were run.
VERDICTS = (
    ERROR,
    FAIL,
    UNEXPECTED_PASS,
    INTERNAL,
    VOID,
    EXPECTED_FAIL,
    NOT_RUN,
    PASS,
    PART,
    UNSUPPORTED,
    NOT_APPLICABLE,
)

BREACHES = (FAIL, ERROR, UNEXPECTED_PASS)

# Utilisation is counted in bins: n holds 2^((n-1)/2) < utilisation <= 2^(n/2), the last on either side all that is
# beyond, and two more what has no logarithm.
FARTHEST = 40
ZERO, UNBOUNDED = "0 exactly", "inf"

_SEQUENCES = ("clauses", "broken", "refused", "calls")


@dataclass(frozen=True)
class Result:
    """The verdict on a unit, as plain data.

    Attributes:
      unit: its id.
      clauses: what it checks.
      verdict: one of the constants above.
      message: why, unless it passed.
      broken: the clauses that a failure breaks, which need not be among those that it checks.
      cases: how many were judged.
      values: the largest share of the bound used by a value, the first violation included.
      gradients: and by a derivative.
      worst: the case of the larger of the two, as exact bits.
      call: its inputs as golden vectors write them; empty where these have no place for it.
      histogram: for "values" and "gradients", how many arrays fell into each bin of utilisation.
      survey: what a unit that measures has found.
      coverage: the cells of the model that it looked at, each with its verdict.
      compared: how many comparisons came out right, for each clause that they count for, by subject.
      lacking: why others of the clauses' subjects cannot be: what the target does not offer, by subject.
      refused: those that only the message tells why they were not compared.
      is_offered: whether the target has the function, and declares logits of the type.
      calls: those that a failure happened on, whole; the last one last.
      seconds: how long it took.
    """

    unit: str
    clauses: tuple[str, ...]
    verdict: str
    message: str = ""
    broken: tuple[str, ...] = ()
    cases: int = 0
    values: float = 0.0
    gradients: float = 0.0
    worst: str = ""
    call: Mapping[str, Any] = field(default_factory=dict)
    histogram: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    survey: Mapping[str, Any] = field(default_factory=dict)
    coverage: Mapping[str, Any] = field(default_factory=dict)
    compared: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    is_offered: bool = True
    calls: Sequence[Mapping[str, Any]] = ()
    seconds: float = field(default=0.0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {name: list(getattr(self, name)) for name in _SEQUENCES}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Result":
        """The inverse of `to_json`."""
        return cls(**{**data, **{name: tuple(data.get(name, ())) for name in _SEQUENCES}})

    def verdict_on(self, clause: str) -> str:
        """The verdict on a clause: what a failure does not break passes as far as it was compared."""
        if self.verdict in {FAIL, EXPECTED_FAIL, UNEXPECTED_PASS, ERROR} and self.broken and clause not in self.broken:
            return PASS if clause in self.compared else UNSUPPORTED
        return self.verdict
