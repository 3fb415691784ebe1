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
    UNSUPPORTED,
    NOT_APPLICABLE,
)

BREACHES = {FAIL, ERROR, UNEXPECTED_PASS}

# Utilisation is counted in bins: n holds 2^((n-1)/2) < utilisation <= 2^(n/2), the last on either side all that is
# beyond, and two more what has no logarithm.
FARTHEST = 40
ZERO, UNBOUNDED = "0 exactly", "inf"

_SEQUENCES = ("clauses", "broken", "calls")


@dataclass(frozen=True)
class Result:
    """The verdict on a unit, as plain data.

    Attributes:
      unit: its id.
      clauses: what it checks.
      verdict: one of the constants above.
      message: why, unless it passed.
      broken: the clauses that a failure breaks; the others passed.
      cases: how many were judged.
      values: the largest share of the bound used by a value, the first violation included.
      gradients: and by a derivative.
      worst: the case of the larger of the two, as exact bits.
      call: its inputs as golden vectors write them; empty where these have no place for it.
      histogram: for "values" and "gradients", how many arrays fell into each bin of utilisation.
      survey: what a unit that measures has found.
      coverage: the cells of the model that it looked at, each with its verdict.
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
    calls: Sequence[Mapping[str, Any]] = ()
    seconds: float = field(default=0.0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {name: list(getattr(self, name)) for name in _SEQUENCES}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Result":
        """The inverse of `to_json`."""
        return cls(**{**data, **{name: tuple(data[name]) for name in _SEQUENCES}})

    def verdict_on(self, clause: str) -> str:
        """The verdict on one of the unit's clauses."""
        partial = self.verdict in {FAIL, EXPECTED_FAIL, UNEXPECTED_PASS} and clause not in self.broken
        return PASS if partial else self.verdict
