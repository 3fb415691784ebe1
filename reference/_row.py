"""The logits of one token, at the working precision, each kind of classes once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lossproof.reference._alike import Kinds
from lossproof.reference._inputs import Real, is_finite
from lossproof.reference._interval import Interval, exact, tanh_and_slope

Value: TypeAlias = Interval | float  # an interval, or one of the floats nan, inf, -inf


@dataclass(frozen=True)
class Cap:
    """The soft-cap's derivatives for each kind, by the logit before it: x = cap tanh(y / cap)."""

    slopes: tuple[Interval, ...]
    bends: tuple[Interval, ...]


@dataclass(frozen=True)
class Row:
    """Logits as the loss sees them.

    Attributes:
      classes: the classes, sorted into kinds of equal logits. What else is here is so, too: j is a kind.
      values: x_j.
      top: the kind of the first maximum, and of no other class.
      undefined: STATE-3: all -inf, or one of them inf or nan.
      cap: where they were soft-capped.
    """

    classes: Kinds
    values: Sequence[Value]
    top: int
    undefined: bool
    cap: Cap | None

    def gaps(self) -> list[Value]:
        """max x - x_j: 0 exactly for equal numbers, inf for -inf."""
        highest = self.values[self.top]
        return [
            math.inf
            if isinstance(x, float) or isinstance(highest, float)
            else exact(0)
            if x is highest
            else highest - x
            for x in self.values
        ]


def first_maximum(logits: Sequence[Real]) -> list[bool]:
    """For each class, whether it is the first maximum."""
    return only(logits.index(max(logits)), len(logits))


def only(place: int, length: int) -> list[bool]:
    """True at one place, if the row has it, and False elsewhere."""
    row = [False] * length
    if 0 <= place < length:
        row[place] = True
    return row


def make_row(logits: Sequence[Real], classes: Kinds, softcap: Real | None = None) -> Row:
    """The row of exact logits.

    Args:
      logits: numbers; nan, inf and -inf allowed.
      classes: those of equal logits alike, and the first maximum like no other.
      softcap: None, or the positive cap of x = cap tanh(y / cap). A -inf is a mask, and stays one under the cap.
    """
    samples = classes.samples(logits)
    highest = max(samples)
    undefined = not is_finite(highest) or any(isinstance(x, float) and math.isnan(x) for x in samples)
    top = samples.index(highest)
    if undefined or softcap is None:
        return Row(classes, [exact(x) if is_finite(x) else float(x) for x in samples], top, undefined, None)
    cap = exact(softcap)
    made = {y: _capped(y, cap) for y in set(samples)}  # equal logits are the same object after the cap, too
    values, slopes, bends = zip(*(made[y] for y in samples), strict=True)
    return Row(classes, values, top, undefined, Cap(slopes, bends))


def _capped(y: Real, cap: Interval) -> tuple[Value, Interval, Interval]:
    if not is_finite(y):
        return -math.inf, exact(0), exact(0)
    tanh, slope = tanh_and_slope(exact(y) / cap)
    return cap * tanh, slope, -2 * tanh * slope / cap
