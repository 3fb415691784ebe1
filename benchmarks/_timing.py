"""Times taken side by side, the ratios that their scatter allows to quote, and what compiling takes."""

import math
import random
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.monitoring

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")

FEWEST_ROUNDS = 3
PAUSE = 0.005  # s; threads of the library that ran last may still be spinning, and would slow down the next one's
_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"  # what JAX reports between lowering and compiling


@dataclass(frozen=True)
class Sample:
    """Some measurements of one quantity.

    Attributes:
      values: in the order in which they were taken.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the values."""
        return statistics.median(self.values)

    @property
    def margin(self) -> float:
        """How far the median is in doubt, relative to itself: about a 95 % confidence interval to either side.

        1.57 interquartile ranges / sqrt(n), the notches of R. McGill, J. W. Tukey, W. A. Larsen, "Variations of Box
        Plots", The American Statistician 32(1), 1978. At 9 values it is half the interquartile range.
        """
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return 1.57 * (high - low) / math.sqrt(len(self.values)) / self.median


@dataclass(frozen=True)
class Compilation:
    """Processor seconds, of all threads, that it takes until a JAX program can run.

    Attributes:
      lowering: of tracing and lowering.
      compiling: of what XLA does.
    """

    lowering: float
    compiling: float

    @property
    def total(self) -> float:
        """Of both."""
        return self.lowering + self.compiling


def interleaved(
    programs: Mapping[Key, Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Key, Sample]:
    """Times each program once a round, each round in another order, after one run that does not count.

    Args:
      programs: by any key.
      rounds: at least 3.
      clock: seconds since some moment.

    Returns:
      Seconds by key; the i-th values of all are of the same round.

    Raises:
      ValueError: there are too few rounds to see a scatter.
    """
    if rounds < FEWEST_ROUNDS:
        raise ValueError(f"rounds must be at least {FEWEST_ROUNDS}, so that their scatter can be seen, got {rounds}")
    for run in programs.values():
        run()
    seconds: dict[Key, list[float]] = {key: [] for key in programs}
    rng = random.Random(0)  # noqa: S311  a seed, not a secret
    for _ in range(rounds):
        for key in rng.sample(list(programs), len(programs)):
            time.sleep(PAUSE)
            began = clock()
            result = programs[key]()
            seconds[key].append(clock() - began)
            del result  # freed here, where nobody's time runs
    return {key: Sample(tuple(values)) for key, values in seconds.items()}


def watched(make: Callable[[], Made]) -> tuple[Made, Compilation | None]:
    """Returns what a function makes, and what compiling the last JAX program in it took; None if it compiles none."""
    lowered = []

    def listen(event: str, *_: Any, **__: Any) -> None:
        if event == _LOWERED:
            lowered.append(time.process_time())

    jax.clear_caches()  # each program pays for all of its own tracing
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        began, made, ended = time.process_time(), make(), time.process_time()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return made, Compilation(lowered[-1] - began, ended - lowered[-1]) if lowered else None


def ratio(ours: Sample, theirs: Sample, scale: float = 1.0) -> Sample:
    """The ratios of the times of each round, so that what slows a whole round down cancels; times `scale`."""
    return Sample(tuple(scale * a / b for a, b in zip(ours.values, theirs.values, strict=True)))


def refusal(ratios: Sample, widest: float) -> str | None:
    """Why a ratio is not quoted, or None if it is: its margin is wider than allowed."""
    if ratios.margin <= widest:
        return None
    return (
        f"margin {ratios.margin:.1%}, more than {widest:.1%}: {len(ratios.values)} rounds gave "
        f"{min(ratios.values):.3g} to {max(ratios.values):.3g}"
    )
