"""What came of a unit."""

from dataclasses import asdict, dataclass, field
from typing import Any

# Verdicts. "not applicable": the check is about targets of another kind. "void": the check could not have failed;
# "internal": the suite itself did. Both of these end a run with exit code 3.
PASS, FAIL, UNSUPPORTED, VOID, INTERNAL = "pass", "fail", "unsupported", "void", "internal"
NOT_APPLICABLE = "not applicable"


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
      values: the largest share of the bound used by a value.
      gradients: and by a derivative.
      worst: the case of the larger of the two, as exact bits.
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
    seconds: float = field(default=0.0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"clauses": list(self.clauses), "broken": list(self.broken)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Result":
        """The inverse of `to_json`."""
        return cls(**(data | {"clauses": tuple(data["clauses"]), "broken": tuple(data["broken"])}))

    def verdict_on(self, clause: str) -> str:
        """The verdict on one of the unit's clauses."""
        return PASS if self.verdict == FAIL and clause not in self.broken else self.verdict
