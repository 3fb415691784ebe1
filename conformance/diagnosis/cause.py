"""Which known defect behaves like a loss that fails: both are asked what it failed on.

In a process of its own, because the target may crash or hang.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lossproof.conformance.diagnosis._features import of_call, of_cells
from lossproof.conformance.diagnosis.axes import Rule, rules
from lossproof.conformance.diagnosis.inputs import size
from lossproof.conformance.judging.result import FAIL, PASS, Result
from lossproof.conformance.running.request import Request
from lossproof.conformance.running.summary import Summary

SECONDS = 60.0  # for all of it
ENOUGH = 50.0  # after which no more is tried, and what was found is told
INPUTS = 14  # that defects are ranked by
ALIKE = 8  # of them that are of one kind: shape, type and derivative, for which everything is compiled once
KINDS = 3  # of inputs at most
FIRST = 2  # inputs that all defects are tried on, where none is like the target on a clause of its own
MOST = 3  # defects that are named
TELLING = 2  # inputs that another defect than the first must explain
_LARGE = 4096  # logits


@dataclass(frozen=True)
class Failing:
    """An input that a target fails on.

    Attributes:
      units: that found it.
      clauses: that it breaks.
      calls: as in the JSON result, the telling one last; none for a cell.
      cell: of the model of calls; none for calls.
    """

    units: tuple[str, ...]
    clauses: tuple[str, ...]
    calls: Sequence[Mapping[str, Any]] = ()
    cell: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Equal for calls that the same compiled programs serve."""
        if self.cell:
            return json.dumps([self.cell[axis] for axis in ("function", "logits", "batch", "classes", "derivative")])
        call = self.calls[-1]
        logits = call["inputs"].get("logits", {})
        form = [logits[name] for name in ("dtype", "shape") if name in logits]
        return json.dumps([call["function"], call["method"], call["how"], form, sorted(call["inputs"])])

    @property
    def tells_little(self) -> int:
        """2 for a call that should have been refused, 1 without logits or with too many: whether numbers are right is
        seen elsewhere.
        """
        if not self.cell and self.calls[-1]["method"] == "call":
            return 2
        return 0 if 0 < size_of(self)[0] <= _LARGE else 1


@dataclass(frozen=True)
class Cause:
    """What a failing loss is like.

    Attributes:
      defects: known defects that answer as it does, the one that explains most first: "name", "what", "clauses",
        "matches" of "inputs", those that only lose "digits" or the others, and the "units" whose failures it explains.
      simplest: the smallest input with a wrong answer: "unit", "call", "answer", "right"; None if there is none.
      axes: rules that tell failing calls from passing ones.
      note: why nothing was found out, if so.
    """

    defects: Sequence[Mapping[str, Any]] = ()
    simplest: Mapping[str, Any] | None = None
    axes: Sequence[Rule] = ()
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the JSON result has it."""
        first, *others = self.defects or (None,)
        return {
            "defect": first,
            "others": others,
            "axes": [asdict(rule) for rule in self.axes],
            "simplest": self.simplest,
            "note": self.note,
        }


def cause(summary: Summary, request: Request, seconds: float | None = None) -> Cause:
    """What the failures of a run have in common, and with a known defect; nothing, if there is no such thing.

    Args:
      summary: of the run.
      request: for it.
      seconds: that the search may take; a minute if None.
    """
    seconds = SECONDS if seconds is None else seconds
    axes = tuple(rules_of(summary.results))
    asked = question(summary, request)
    if not asked["failing"]:
        return Cause(axes=axes)
    with tempfile.TemporaryDirectory(prefix="lossproof-") as folder:
        here, answer = Path(folder, "question.json"), Path(folder, "answer.json")
        here.write_text(json.dumps(asked), "utf-8")
        words = [sys.executable, "-m", "lossproof.conformance.diagnosis._seek", str(here), str(answer)]
        no = subprocess.DEVNULL
        how = f"took more than {seconds:g} s"
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(  # noqa: S603  our own module
                words, timeout=seconds, check=False, stdin=no, stdout=no, stderr=no
            )
            how = f"ended with code {done.returncode}"
        if not answer.is_file():
            note = f"whether a known defect behaves like the target is not known: the process that tried {how}"
            return Cause(axes=axes, note=note)
        return Cause(**json.loads(answer.read_text("utf-8")), axes=axes)


def question(summary: Summary, request: Request) -> dict[str, Any]:
    """What is to be found out, as plain data."""
    return {
        "target": request.target,
        "convention": request.convention,
        "seed": request.seed,
        "failing": [[vars(each) for each in kind] for kind in failing(summary.results)],
        "passing": [clause for clause, verdict in summary.clause_verdicts().items() if verdict == PASS],
    }


def rules_of(results: Sequence[Result]) -> list[Rule]:
    """Where calls fail and where they pass: by the cells that were looked at, or else by the calls that are known."""
    entries = [entry for result in results for entry in getattr(result, "coverage", {}).get("cells", ())]
    found = rules(of_cells(entries))
    if found or entries:
        return found
    rows = [(of_call(result.calls[-1]), True) for result in results if result.verdict == FAIL and result.calls]
    for result in results:
        if result.verdict == PASS and result.call:
            derivative = "differentiate" if result.gradients > result.values else "values"
            rows.append((of_call({**result.call, "method": derivative}), False))
    return rules([(facts, fails) for facts, fails in rows if facts], exceptions=False)


def failing(results: Iterable[Result]) -> list[list[Failing]]:
    """What failed, with the units of equal calls together, by kinds of calls: those that most failures are of first; in
    a kind simple calls first, those that break other clauses before more of the same.
    """
    found: dict[str, Failing] = {}
    for result in results:
        for each in _of(result) if result.verdict == FAIL else ():
            key = json.dumps([each.calls[-1:], each.cell], sort_keys=True)
            known = found.get(key, each)
            units = tuple(dict.fromkeys((*known.units, *each.units)))
            found[key] = Failing(units, tuple(dict.fromkeys((*known.clauses, *each.clauses))), each.calls, each.cell)
    kinds: dict[str, list[Failing]] = {}
    for each in sorted(found.values(), key=size_of):
        kinds.setdefault(each.kind, []).append(each)
    ordered = sorted(kinds.values(), key=lambda kind: (kind[0].tells_little, -len(kind), size_of(kind[0])))
    return [_varied(kind) for kind in ordered]


def _of(result: Result) -> Iterable[Failing]:
    if result.calls:
        yield Failing((result.unit,), result.broken, result.calls)
    for entry in getattr(result, "coverage", {}).get("cells", ()):
        if entry["verdict"] == FAIL:
            yield Failing((result.unit,), tuple(entry.get("clauses", ())) or result.broken, cell=entry["cell"])


def _varied(kind: Iterable[Failing]) -> list[Failing]:
    turns: dict[tuple[str, ...], int] = {}
    placed = []
    for each in kind:
        turn = turns[each.clauses] = turns.get(each.clauses, -1) + 1
        placed.append((turn, each))
    return [each for _, each in sorted(placed, key=lambda pair: pair[0])]


def size_of(each: Failing) -> tuple[float, float]:
    """How many logits an input has, and how many classes."""
    if not each.cell:
        return size(each.calls[-1:])
    tokens = 1
    for length in each.cell["batch"].split("x"):
        tokens *= int(length) if length.isdigit() else 1
    return float(tokens * int(each.cell["classes"])), float(each.cell["classes"])
