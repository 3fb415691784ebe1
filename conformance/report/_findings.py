"""What failed, cause by cause: failures that say the same of the same clauses are one, shown by the simplest input."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lossproof.conformance.diagnosis.inputs import shown, size
from lossproof.conformance.judging.result import ERROR, FAIL, PASS

# The dtype that a reader is shown first.
TELLING = ("float32", "float64", "bfloat16", "float16")
_LISTED = 8  # units that a scope names

# A message ends so where an array is out of its bounds: the function, and its arguments as exact bits.
_CALL = re.compile(r"; (\w+\(\w+=.*\))\Z", re.DOTALL)
_COMPARISON = re.compile(r"(.+?),? is \S+, (exactly|but) ")
_NUMBER = re.compile(r"[-+]?\b(0x)?\d[\w.+]*")


@dataclass(frozen=True)
class Finding:
    """One cause of failures, told by its simplest one.

    Attributes:
      unit: that one's id.
      verdict: of the unit.
      clauses: those that are broken.
      message: what happened.
      given: the input that it happened on, or else the one with the largest error; "" if there is neither.
      blamed: whether it is the one that it happened on.
      command: repeats it.
      scope: which dtypes fail and which pass, and which other units fail alike.
      vector: the id of the golden vector that it happened on; "" if it is none.
      defect: the name of the known defect that explains it; "" if none does.
    """

    unit: str
    verdict: str
    clauses: tuple[str, ...]
    message: str
    given: str
    blamed: bool
    command: str
    scope: str
    vector: str = ""
    defect: str = ""

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return "unit-" + re.sub(r"\W+", "-", self.unit).strip("-")


Unit = Mapping[str, Any]


def findings(
    units: Sequence[Unit],
    verdicts: Sequence[str],
    command: Callable[[str], str],
    defects: Mapping[str, str] | None = None,
) -> list[Finding]:
    """The causes of what has one of the verdicts: those that a known defect explains first; then those with few logits,
    few classes, and by dtype.

    Args:
      units: of a result.
      verdicts: to be explained.
      command: that repeats a unit.
      defects: the known defect that explains the failure of a unit.
    """
    defects = defects or {}
    groups: list[list[Unit]] = []
    for unit in sorted((unit for unit in units if unit["verdict"] in verdicts), key=_simplicity):
        fitting = next((group for group in groups if _is_one(unit, group[0], defects)), None)
        if fitting is None:
            groups.append([unit])
        else:
            fitting.append(unit)
    order = list(dict.fromkeys(defects.values()))
    groups.sort(key=lambda group: order.index(defects[group[0]["id"]]) if group[0]["id"] in defects else len(order))
    return [_finding(group, units, command, defects.get(group[0]["id"], "")) for group in groups]


def dtype_of(unit: str) -> str:
    """The last part of a unit's id."""
    return unit.rpartition("-")[2].rstrip("]")


def _simplicity(unit: Unit) -> tuple[float, float, int]:
    return (*size(unit["calls"]), _rank(unit))


def _rank(unit: Unit) -> int:
    dtype = dtype_of(unit["id"])
    return TELLING.index(dtype) if dtype in TELLING else len(TELLING)


def _is_one(unit: Unit, first: Unit, defects: Mapping[str, str]) -> bool:
    """Whether the same defect explains two failures; where none does, whether they are alike."""
    own, other = defects.get(unit["id"]), defects.get(first["id"])
    return own == other and unit["verdict"] == first["verdict"] if own or other else _is_like(unit, first)


def _is_like(unit: Unit, first: Unit) -> bool:
    """Whether a failure has the cause of another: it is of the same check and function, or says the same; where numbers
    are compared, of no other clauses.
    """
    if unit["verdict"] != first["verdict"]:
        return False
    if _family(unit) == _family(first):
        return True
    is_comparison = _COMPARISON.match(unit["message"]) is not None
    same_clauses = set(unit["broken"]) <= set(first["broken"])
    return _said(unit) == _said(first) and (same_clauses or not is_comparison)


def _family(unit: Unit) -> str:
    return unit["id"].rpartition("-")[0] or unit["id"]


def _said(unit: Unit) -> str:
    """The message without what differs from case to case: numbers, indices, the call."""
    lines = _apart(unit["message"])[0].strip().splitlines() or [""]
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    compared = _COMPARISON.match(line)
    return _NUMBER.sub("#", re.sub(r"\[[^]]*\]", "", compared[1] if compared else line))


def _finding(group: Sequence[Unit], units: Sequence[Unit], command: Callable[[str], str], defect: str) -> Finding:
    unit = group[0]
    message, given = _apart(unit["message"])
    clauses = dict.fromkeys(itertools.chain(*(each["broken"] or each["clauses"] for each in group)))
    given, blamed = shown(unit["calls"]) or given or unit["worst"], bool(unit["calls"] or given)
    return Finding(
        unit["id"],
        unit["verdict"],
        tuple(clauses),
        message,
        given,
        blamed,
        command(unit["id"]),
        "; ".join(_scope(group, units)),
        unit["golden"] or "",
        defect,
    )


def _scope(group: Sequence[Unit], units: Sequence[Unit]) -> Iterable[str]:
    unit = group[0]
    same = [each for each in units if _family(each) == _family(unit)]
    if unit["verdict"] in {FAIL, ERROR} and len(same) > 1:
        passing = [each for each in same if each["verdict"] == PASS]
        failing = [each for each in same if each["verdict"] in {FAIL, ERROR}]
        yield f"fails in {_dtypes(failing)}" + (f", passes in {_dtypes(passing)}" if passing else "")
    others = [each["id"] for each in group if _family(each) != _family(unit)]
    if others:
        more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
        noun = "1 other unit" if len(others) == 1 else f"{len(others)} other units"
        yield f"and so {noun}: {', '.join(others[:_LISTED])}{more}"


def _dtypes(units: Iterable[Unit]) -> str:
    return ", ".join(dtype_of(unit["id"]) for unit in sorted(units, key=_rank))


def _apart(message: str) -> tuple[str, str]:
    """What happened, and the call at the message's end that it happened on; "" if there is none."""
    call = _CALL.search(message)
    return (message[: call.start()], call[1]) if call else (message, "")
