"""What the implementation is to reach on accelerators, in one table, and what it does reach."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from _compiled_losses import ARGUMENT, Group, Request
from _contestants import FORWARD, OURS, SMOOTHED, VALUE_AND_GRAD

VOCABULARIES = (32128, 128256, 151936, 262144)
BOTH = (FORWARD, VALUE_AND_GRAD)
DTYPES = ("float32", "bfloat16")

TRANSFERS = "transfers"  # of a device, in units of its part of the logits
TEMPORARIES = "temporaries"  # likewise
ALL_REDUCES = "all-reduces"
OTHER_COLLECTIVES = "other collectives"  # an all-gather, for instance, would bring a device more than its part
# Processor seconds to trace, lower and compile, of all V and types together: a single program's scatter.
COMPILATION = "compilation beside t5x"


@dataclass(frozen=True)
class Goal:
    """What is to be reached with smoothing and z-loss, on logits that are an argument, for VOCABULARIES and DTYPES.

    Attributes:
      of: what is held against the goal.
      at_most: the goal.
      modes: where it holds.
      sharded: whether it is about meshes only.
    """

    of: str
    at_most: float
    modes: Collection[str] = BOTH
    sharded: bool = False


GOALS = (
    Goal(TRANSFERS, 2.15, [FORWARD]),
    Goal(TRANSFERS, 4.15, [VALUE_AND_GRAD]),
    Goal(TEMPORARIES, 0.05),
    Goal(ALL_REDUCES, 3, sharded=True),
    Goal(OTHER_COLLECTIVES, 0, sharded=True),
    Goal(COMPILATION, 1.5),
)


@dataclass(frozen=True)
class Comparison:
    """A goal and what was found; of the ratio of compilation times, for a place, else for one V and type there.

    Attributes:
      value: None where something could not be compiled: the goal is then missed.
    """

    of: str
    where: str
    mode: str
    dtype: str | None
    classes: int | None
    value: float | None
    at_most: float

    @property
    def verdict(self) -> str:
        """Whether it was met or missed."""
        return "met" if self.value is not None and self.value <= self.at_most else "missed"

    def stored(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "verdict": self.verdict}


Compiled = tuple[Group, dict[Request, dict[str, Any]]]  # a group with its programs, as `measure` returns them


def comparisons(compiled: Iterable[Compiled]) -> list[Comparison]:
    """Every goal against everything that it is about."""
    about = [
        (group, programs)
        for group, programs in compiled
        if group.source == ARGUMENT and group.classes in VOCABULARIES and group.dtype in DTYPES
    ]
    found = []
    for goal in GOALS:
        for mode in goal.modes:
            if goal.of == COMPILATION:
                found += [
                    Comparison(goal.of, where, mode, None, None, ratio, goal.at_most)
                    for where, ratio in _compilation(about, mode).items()
                ]
                continue
            for group, programs in about:
                program = programs.get(Request(OURS, SMOOTHED, mode))
                if program is not None and (not goal.sharded or group.mesh != (1, 1)):
                    value = None if "error" in program else _MEASURED[goal.of](program)
                    found.append(
                        Comparison(goal.of, group.where, mode, group.dtype, group.classes, value, goal.at_most)
                    )
    return found


_MEASURED: dict[str, Callable[[dict[str, Any]], float]] = {
    TRANSFERS: lambda program: program["transfers"],
    TEMPORARIES: lambda program: program["temporaries"],
    ALL_REDUCES: lambda program: program["collectives"].get("all-reduce", 0),
    OTHER_COLLECTIVES: lambda program: sum(n for kind, n in program["collectives"].items() if kind != "all-reduce"),
}


def _compilation(compiled: Iterable[Compiled], mode: str) -> dict[str, float | None]:
    """For each place the sum of our seconds divided by that of t5x's."""
    seconds: dict[str, list[tuple[float, float]]] = {}
    failed = set()
    for group, programs in compiled:
        ours, theirs = (programs.get(Request(name, SMOOTHED, mode)) for name in (OURS, "t5x"))
        if ours is not None and theirs is not None and "error" not in theirs:
            both = seconds.setdefault(group.where, [])
            if "error" in ours:
                failed.add(group.where)
            else:
                both.append((ours["processor_seconds"], theirs["processor_seconds"]))
    return {
        where: None if where in failed else sum(ours for ours, _ in both) / sum(theirs for _, theirs in both)
        for where, both in seconds.items()
    }
