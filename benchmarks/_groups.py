"""What runs side by side for one vocabulary and type, and how lossproof compares with each of the others."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from _contestants import FLOOR, OURS, SETTINGS, Contestant, Program, floor_program
from _goals import BOTH, OWN_COMMON, OWN_FLOAT32, PRIMES, TEMPORARIES, goal
from _inputs import Inputs
from _timing import Sample, interleaved, ratio, refusal

NO_SETTING = "-"  # of the floor


class Key(NamedTuple):
    """What is timed: a contestant's name, a key of `SETTINGS`, a mode."""

    name: str
    setting: str
    mode: str


@dataclass(frozen=True)
class Timed:
    """The times of one program.

    Attributes:
      seconds: one for each round.
      logits: how many the program has read.
      temporaries: their bytes as a share of those of the logits; None where not known.
    """

    seconds: Sample
    logits: int
    temporaries: float | None

    @property
    def nanoseconds(self) -> float:
        """The median for each logit."""
        return self.seconds.median / self.logits * 1e9


@dataclass(frozen=True)
class Comparison:
    """Lossproof beside something else.

    Attributes:
      beside: the other one's name.
      setting, mode: of both.
      ratio: lossproof's part divided by the other one's; None where the times scatter too much to quote it.
      margin: how far the ratio is in doubt, relative to itself.
      goal: what the ratio is to be at most, or None.
      refused: why there is no ratio, or None.
    """

    beside: str
    setting: str
    mode: str
    ratio: float | None
    margin: float
    goal: float | None
    refused: str | None

    @property
    def verdict(self) -> str:
        """met, missed or not quoted; nothing where there is a ratio and no goal."""
        if self.ratio is None:
            return "not quoted"
        if self.goal is None:
            return ""
        return "met" if self.ratio <= self.goal else "missed"


@dataclass(frozen=True)
class Group:
    """Everything that was timed in the same rounds.

    Attributes:
      tokens, classes, dtype: of the logits, [N, V].
      load: the machine's load average when it began.
      timed: by what was timed.
      comparisons: of lossproof with the others.
    """

    tokens: int
    classes: int
    dtype: str
    load: float
    timed: dict[Key, Timed]
    comparisons: list[Comparison]

    def as_json(self) -> dict[str, Any]:
        """All numbers, as plain lists and dicts."""
        timed = [
            {**key._asdict(), **asdict(each), "median": each.seconds.median, "margin": each.seconds.margin}
            | {"seconds": each.seconds.values}
            for key, each in self.timed.items()
        ]
        compared = [asdict(each) | {"verdict": each.verdict} for each in self.comparisons]
        size = {"tokens": self.tokens, "classes": self.classes, "dtype": self.dtype, "load": self.load}
        return {**size, "timed": timed, "comparisons": compared}


def measure(
    tokens: int,
    classes: int,
    dtype: str,
    contestants: Sequence[Contestant],
    *,
    rounds: int,
    widest: float,
    clock: Callable[[], float] | None = None,
) -> Group:
    """Times the floor and the contestants, and beside them lossproof's own other cases that a goal compares with.

    Args:
      tokens, classes, dtype: of the logits.
      contestants: lossproof is the first.
      rounds: how often each is run.
      widest: the margin beyond which a ratio is not quoted.
      clock: as in `interleaved`; None for the machine's.
    """
    load = os.getloadavg()[0]
    programs: dict[Key, Program] = {}
    logits: dict[Key, Inputs] = {}
    for key, program, inputs in _programs(tokens, classes, dtype, contestants):
        programs[key], logits[key] = program, inputs
    runs = {key: program.run for key, program in programs.items()}
    samples = interleaved(runs, rounds) if clock is None else interleaved(runs, rounds, clock)
    timed = {}
    for key, program in programs.items():
        array = logits[key].logits
        share = None if program.temporaries is None else program.temporaries / array.nbytes
        timed[key] = Timed(samples[key], array.size, share)
    return Group(tokens, classes, dtype, load, timed, list(_comparisons(timed, dtype, classes, widest)))


def _programs(
    tokens: int, classes: int, dtype: str, contestants: Sequence[Contestant]
) -> Iterator[tuple[Key, Program, Inputs]]:
    inputs, ours = Inputs.drawn(tokens, classes, dtype), contestants[0]
    cases = [(each.name, each, inputs) for each in contestants]
    if dtype != "float32":
        cases.append((OWN_FLOAT32, ours, Inputs.drawn(tokens, classes, "float32")))
    if classes in PRIMES:
        common = PRIMES[classes]
        cases.append((OWN_COMMON, ours, Inputs.drawn(max(1, tokens * classes // common), common, dtype)))
    for mode in BOTH:
        yield Key(FLOOR, NO_SETTING, mode), floor_program(inputs, mode), inputs
    for name, contestant, its in cases:
        for setting, mode in itertools.product(contestant.settings, BOTH):
            yield Key(name, setting, mode), contestant.program(its, setting, mode), its


def _comparisons(timed: dict[Key, Timed], dtype: str, classes: int, widest: float) -> Iterator[Comparison]:
    names = dict.fromkeys(key.name for key in timed if key.name != OURS)
    for name, setting, mode in itertools.product(names, SETTINGS, BOTH):
        ours = timed[Key(OURS, setting, mode)]
        theirs = timed.get(Key(name, NO_SETTING if name == FLOOR else setting, mode))
        if theirs is not None:
            ratios = ratio(ours.seconds, theirs.seconds, theirs.logits / ours.logits)
            reason = refusal(ratios, widest)
            quoted = ratios.median if reason is None else None
            aim = goal(name, dtype, classes, setting, mode)
            yield Comparison(name, setting, mode, quoted, ratios.margin, aim, reason)
    for setting, mode in itertools.product(SETTINGS, BOTH):
        share = timed[Key(OURS, setting, mode)].temporaries
        aim = goal(TEMPORARIES, dtype, classes, setting, mode)
        yield Comparison(TEMPORARIES, setting, mode, share, 0.0, aim, None if share is not None else "not known")
