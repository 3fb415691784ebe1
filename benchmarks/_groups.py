"""What runs side by side for one vocabulary and type, and how lossproof compares with each of the others."""

import itertools
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
from _contestants import FLOOR, OURS, SETTINGS, Contestant, Program, floor_program
from _goals import BOTH, COMPILATION, OWN_COMMON, OWN_FLOAT32, PRIMES, TEMPORARIES, goal
from _inputs import Inputs
from _memory import page_faults
from _timing import Compilation, Sample, interleaved, ratio, refusal, watched

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
      faults: the pages that each run had to fetch from the system.
      temporaries: their bytes as a share of those of the logits; None where not known.
      compilation: what it took to compile it; None where nothing is compiled.
    """

    seconds: Sample
    logits: int
    faults: tuple[int, ...]
    temporaries: float | None
    compilation: Compilation | None

    @property
    def nanoseconds(self) -> float:
        """The median for each logit."""
        return self.seconds.median / self.logits * 1e9

    @property
    def usual_faults(self) -> float:
        """The median over the runs."""
        return statistics.median(self.faults)


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
      memory: fresh or reused.
      tokens, classes, dtype: of the logits, [N, V].
      load: the machine's load average when it began.
      timed: by what was timed.
      comparisons: of lossproof with the others.
    """

    memory: str
    tokens: int
    classes: int
    dtype: str
    load: float
    timed: dict[Key, Timed]
    comparisons: list[Comparison]

    def comparison(self, beside: str, setting: str, mode: str) -> Comparison:
        """The one with these names."""
        names = beside, setting, mode
        return next(each for each in self.comparisons if (each.beside, each.setting, each.mode) == names)

    def as_json(self) -> dict[str, Any]:
        """All numbers, as plain lists and dicts."""
        timed = [
            {**key._asdict(), **asdict(each), "median": each.seconds.median, "margin": each.seconds.margin}
            | {"seconds": each.seconds.values}
            for key, each in self.timed.items()
        ]
        compared = [asdict(each) | {"verdict": each.verdict} for each in self.comparisons]
        own = {name: getattr(self, name) for name in _OWN}
        return {**own, "timed": timed, "comparisons": compared}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Group":
        """The group of which these are the numbers."""
        compared = [
            Comparison(**{name: value for name, value in each.items() if name != "verdict"})
            for each in stored["comparisons"]
        ]
        timed = {Key(*(each[name] for name in Key._fields)): _timed(each) for each in stored["timed"]}
        return cls(**{name: stored[name] for name in _OWN}, timed=timed, comparisons=compared)


_OWN = ("memory", "tokens", "classes", "dtype", "load")


def _timed(stored: dict[str, Any]) -> Timed:
    compilation = None if stored["compilation"] is None else Compilation(**stored["compilation"])
    seconds, faults = Sample(tuple(stored["seconds"])), tuple(stored["faults"])
    return Timed(seconds, stored["logits"], faults, stored["temporaries"], compilation)


class _Case(NamedTuple):
    inputs: Inputs
    program: Program
    compilation: Compilation | None


def measure(
    tokens: int,
    classes: int,
    dtype: str,
    contestants: Sequence[Contestant],
    *,
    memory: str,
    rounds: int,
    widest: float,
    clock: Callable[[], float] | None = None,
) -> Group:
    """Times the floor and the contestants, and beside them lossproof's own other cases that a goal compares with.

    Args:
      tokens, classes, dtype: of the logits.
      contestants: lossproof is the first.
      memory: what this process's is, fresh or reused.
      rounds: how often each is run.
      widest: the margin beyond which a ratio is not quoted.
      clock: as in `interleaved`; None for the machine's.
    """
    load = os.getloadavg()[0]
    cases = dict(_cases(tokens, classes, dtype, contestants))
    faults: dict[Key, list[int]] = {key: [] for key in cases}
    runs = {key: _counted(case.program.run, faults[key]) for key, case in cases.items()}
    samples = interleaved(runs, rounds) if clock is None else interleaved(runs, rounds, clock)
    timed = {}
    for key, (inputs, program, compilation) in cases.items():
        array = inputs.logits
        share = None if program.temporaries is None else program.temporaries / array.nbytes
        timed[key] = Timed(samples[key], array.size, tuple(faults[key][1:]), share, compilation)
    return Group(memory, tokens, classes, dtype, load, timed, list(_comparisons(timed, dtype, classes, widest)))


def _counted(run: Callable[[], Any], faults: list[int]) -> Callable[[], Any]:
    def counted() -> Any:
        before = page_faults()
        result = run()
        faults.append(page_faults() - before)
        return result

    return counted


def _cases(tokens: int, classes: int, dtype: str, contestants: Sequence[Contestant]) -> Iterator[tuple[Key, _Case]]:
    inputs, ours = Inputs.drawn(tokens, classes, dtype), contestants[0]
    cases = [(each.name, each, inputs) for each in contestants]
    if dtype != "float32":
        cases.append((OWN_FLOAT32, ours, Inputs.drawn(tokens, classes, "float32")))
    if classes in PRIMES:
        common = PRIMES[classes]
        cases.append((OWN_COMMON, ours, Inputs.drawn(max(1, tokens * classes // common), common, dtype)))
    for mode in BOTH:
        yield Key(FLOOR, NO_SETTING, mode), _case(inputs, floor_program, inputs, mode)
    for name, contestant, its in cases:
        for setting, mode in itertools.product(contestant.settings, BOTH):
            yield Key(name, setting, mode), _case(its, contestant.program, its, setting, mode)


def _case(inputs: Inputs, make: Callable[..., Program], *arguments: Any) -> _Case:
    jax.block_until_ready(inputs.jax)  # copying them is no part of compiling
    return _Case(inputs, *watched(partial(make, *arguments)))


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
        yield from _compilation(timed, dtype, classes, setting, mode)


def _compilation(timed: dict[Key, Timed], dtype: str, classes: int, setting: str, mode: str) -> Iterator[Comparison]:
    keys = [Key(name, setting, mode) for name in (OURS, "t5x")]
    ours, theirs = (timed[key].compilation if key in timed else None for key in keys)
    if ours is not None and theirs is not None:
        aim = goal(COMPILATION, dtype, classes, setting, mode)
        yield Comparison(COMPILATION, setting, mode, ours.total / theirs.total, 0.0, aim, None)
