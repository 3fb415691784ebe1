"""What a unit has seen: how many cases, how much of the bounds they used, and the worst of them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.charges import concerned
from lossproof.conformance.judging.result import FARTHEST, UNBOUNDED, ZERO


@dataclass
class Tally:
    """What a unit has seen.

    Attributes:
      cases: how many were judged.
      values, gradients: the largest share of the bounds that they used.
      worst: the case of the larger of the two.
      call: the same, where it is known as a `Case`.
      histogram: of the shares, for each of the two; the bins are those of `Result`.
      survey: what a unit that measures has found.
      cells: of the model that were looked at, with their verdicts.
      batches: likewise, of the normalising factors.
      compared: how many comparisons came out right, for each clause that they count for, by subject.
    """

    cases: int = 0
    values: float = 0.0
    gradients: float = 0.0
    worst: str = ""
    call: Case | None = None
    histogram: dict[str, dict[str, int]] = field(default_factory=dict)
    survey: dict[str, Any] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    compared: dict[str, dict[str, int]] = field(default_factory=dict)

    def charge(self, clauses: Iterable[str], subject: str, count: int = 1) -> None:
        """Counts comparisons for those of the clauses that speak of their subject.

        Args:
          clauses: that the case is about.
          subject: what was compared, as in `charges`, and found right.
          count: how many comparisons.
        """
        for clause in concerned(clauses, subject):
            counts = self.compared.setdefault(clause, {})
            counts[subject] = counts.get(subject, 0) + count

    def discharge(self, clauses: Iterable[str], subjects: Iterable[str]) -> None:
        """Forgets the comparisons of what deviates after all."""
        for clause in clauses:
            counts = self.compared.get(clause, {})
            for subject in subjects:
                counts.pop(subject, None)
            if not counts:
                self.compared.pop(clause, None)

    def add(self, quantity: str, share: float, description: str, call: Case | None = None) -> None:
        """Notes the utilisation of one array; after the first violation nothing, as shrinking only repeats it."""
        if max(self.values, self.gradients) > 1:
            return
        if share > max(self.values, self.gradients):
            self.worst, self.call = description, call
        setattr(self, quantity, max(getattr(self, quantity), share))
        counts = self.histogram.setdefault(quantity, {})
        counts[bin_of(share)] = counts.get(bin_of(share), 0) + 1


def bin_of(share: float) -> str:
    """The bin of a utilisation, by its upper edge 2^(n/2)."""
    if share == 0 or math.isinf(share):
        return ZERO if share == 0 else UNBOUNDED
    n = math.ceil(2 * math.log2(share))
    n += share > edge(n)  # the logarithm is rounded
    n -= share <= edge(n - 1)
    return str(min(max(n, -FARTHEST), FARTHEST))


def edge(n: int) -> float:
    """The upper edge of bin n."""
    return float(2.0 ** (n / 2))
