"""What the implementation is to reach, in one table, each goal a ratio of lossproof to something measured beside it."""

from collections.abc import Collection
from dataclasses import dataclass

from _contestants import FLOOR, FORWARD, PLAIN, SMOOTHED, VALUE_AND_GRAD

COMMON = (32128, 50257, 128256, 262144)
PRIMES = {32003: 32128, 50261: 50257, 100003: 128256}  # and the common vocabulary that each is compared with
BOTH = (FORWARD, VALUE_AND_GRAD)
EACH = (PLAIN, SMOOTHED)
DTYPES = ("float32", "bfloat16", "float16")
NARROW = ("bfloat16", "float16")

# What is not another library:
OWN_FLOAT32 = "own float32"  # lossproof on the same logits in float32
OWN_COMMON = "own common V"  # lossproof on the same number of logits, in rows of a V that has divisors
TEMPORARIES = "temporaries"  # a share of the logits' bytes
COMPILATION = "t5x's compile time"  # processor seconds of tracing, lowering and compiling


@dataclass(frozen=True)
class Goal:
    """A ratio that is to be reached, with fresh and with reused memory.

    Attributes:
      beside: what lossproof is divided by.
      at_most: the goal.
      dtypes, vocabularies, settings, modes: where it holds.
    """

    beside: str
    at_most: float
    dtypes: Collection[str]
    settings: Collection[str]
    modes: Collection[str] = BOTH
    vocabularies: Collection[int] = COMMON


GOALS = (
    Goal(FLOOR, 1.15, ["float32"], [PLAIN]),
    Goal(FLOOR, 1.45, ["float32"], [SMOOTHED], [FORWARD]),
    Goal(FLOOR, 1.2, ["float32"], [SMOOTHED], [VALUE_AND_GRAD]),
    Goal(OWN_FLOAT32, 0.9, NARROW, [SMOOTHED]),
    Goal("optax", 1.1, ["float32"], [PLAIN], [FORWARD], [32128]),
    Goal("optax", 0.25, ["float32"], [PLAIN], [FORWARD], [50257, 128256]),
    Goal("optax", 0.6, ["float32"], [PLAIN], [FORWARD], [262144]),
    Goal("optax", 1.1, ["float32"], [PLAIN], [VALUE_AND_GRAD]),
    Goal("optax", 0.3, ["bfloat16"], [PLAIN], [FORWARD]),
    Goal("optax", 0.5, ["bfloat16"], [PLAIN], [VALUE_AND_GRAD]),
    Goal("torch", 0.55, ["float32", "bfloat16"], [SMOOTHED], [FORWARD]),
    Goal("torch", 0.5, ["float32", "bfloat16"], [SMOOTHED], [VALUE_AND_GRAD]),
    Goal("t5x", 0.42, ["float32", "bfloat16"], [SMOOTHED]),
    Goal(OWN_COMMON, 2.0, DTYPES, EACH, vocabularies=tuple(PRIMES)),
    Goal(TEMPORARIES, 0.04, ["float32"], EACH, vocabularies=(*COMMON, *PRIMES)),
    Goal(TEMPORARIES, 0.1, NARROW, EACH, vocabularies=(*COMMON, *PRIMES)),
    Goal(COMPILATION, 1.5, DTYPES, EACH, vocabularies=(*COMMON, *PRIMES)),
)


def goal(beside: str, dtype: str, classes: int, setting: str, mode: str) -> float | None:
    """The goal of a ratio, or None where there is none."""
    for each in GOALS:
        there = dtype in each.dtypes and classes in each.vocabularies
        if each.beside == beside and there and setting in each.settings and mode in each.modes:
            return each.at_most
    return None
