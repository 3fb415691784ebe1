"""The verdict on a run."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from lossproof.conformance.judging.result import (
    BREACHES as BREACHES,
    EXPECTED_FAIL,
    INTERNAL,
    NOT_APPLICABLE,
    NOT_RUN,
    PASS,
    UNSUPPORTED,
    VOID,
    Result,
)
from lossproof.conformance.running._ledger import Entry, ledger
from lossproof.conformance.running.covered import covered, too_little

# Exit codes.
CONFORMS, DOES_NOT_CONFORM, INTERNAL_ERROR = 0, 1, 3
INTERRUPTED = 130  # as shells have it for SIGINT


# Cases that a unit which searches, and passes, must have judged on average: a third or less of what lossproof's own
# run has, which is 5 at smoke and 18 at standard.
FLOORS = {"smoke": 1.0, "standard": 6.0, "exhaustive": 600.0}


@dataclass(frozen=True)
class Summary:
    """What a run says.

    Attributes:
      results: of all units.
      floor: cases that passing units must have judged on average, but for the golden vectors: one of `FLOORS`.
    """

    results: Sequence[Result]
    floor: float = 0.0

    def clause_verdicts(self) -> dict[str, str]:
        """Each clause that applies: broken if any unit breaks it; else by what was compared of what it speaks of, all,
        a part or nothing.
        """
        return {clause: entry.verdict for clause, entry in self.clauses.items()}

    @functools.cached_property
    def clauses(self) -> dict[str, Entry]:
        """What there is to say of each clause that applies."""
        return ledger(self.results)

    def exit_code(self) -> int:
        """1 if any clause is broken, else 3 if the suite failed or judged too little, else 0."""
        if self.is_broken:
            return DOES_NOT_CONFORM
        return INTERNAL_ERROR if self.reasons() else CONFORMS

    @property
    def is_broken(self) -> bool:
        """Whether a clause is broken."""
        return bool({result.verdict for result in self._judging} & {*BREACHES})

    def reasons(self) -> list[str]:
        """What was not judged as it should be, which leaves a run without a verdict where nothing is broken."""
        found = []
        for verdict in (INTERNAL, VOID, NOT_RUN):
            count = len(self.of(verdict))
            if count:
                found.append(f"{count} unit is {verdict}" if count == 1 else f"{count} units are {verdict}")
        if self.is_broken:
            return found
        little = too_little(covered(self.results, "standard"))
        found += [little] if little else []
        verdicts = {result.verdict for result in self._judging if not result.compared}
        if not verdicts - {UNSUPPORTED, NOT_APPLICABLE} and not any(result.compared for result in self._judging):
            found.append("nothing was judged")
        passing = [r for r in self._judging if r.verdict == PASS and not r.unit.startswith("golden.")]
        cases = sum(result.cases for result in passing)
        if cases < self.floor * len(passing):
            found.append(
                f"too few cases: {cases} in the {len(passing)} units that pass, where the level asks for "
                f"{self.floor:g} in each"
            )
        return found

    @property
    def _judging(self) -> list[Result]:
        """The results of units that judge; the others measure."""
        return [result for result in self.results if result.clauses]

    @property
    def word(self) -> str:
        """The verdict in words."""
        words = {CONFORMS: "conforms", DOES_NOT_CONFORM: "does not conform", INTERNAL_ERROR: "no verdict"}
        code = self.exit_code()
        return "fails as expected" if code == CONFORMS and self.of(EXPECTED_FAIL) else words[code]

    @property
    def cases(self) -> int:
        """The number of judged cases."""
        return sum(result.cases for result in self.results)

    def of(self, verdict: str) -> list[Result]:
        """The results with a verdict."""
        return [result for result in self.results if result.verdict == verdict]
