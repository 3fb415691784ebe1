"""The logits of one token, at the working precision."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lossproof.reference._inputs import Real, is_finite
from lossproof.reference._interval import Interval, exact, tanh_and_slope

Value: TypeAlias = Interval | float  # an interval, or one of the floats nan, inf, -inf


@dataclass(frozen=True)
class Cap:
    """The soft-cap's derivatives for each class, by the logit before it: x = cap tanh(y / cap)."""

    slopes: tuple[Interval, ...]
    bends: tuple[Interval, ...]


@dataclass(frozen=True)
class Row:
    """Logits as the loss sees them.

    Attributes:
      values: x_j.
      top: the index of the first maximum.
      undefined: STATE-3: all -inf, or one of them inf or nan.
      cap: where they were soft-capped.
    """

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


def make_row(logits: Sequence[Real], softcap: Real | None = None) -> Row:
    """The row of exact logits.

    Args:
      logits: numbers; nan, inf and -inf allowed.
      softcap: None, or the positive cap of x = cap tanh(y / cap). A -inf is a mask, and stays one under the cap.
    """
    undefined = any(math.isnan(x) for x in logits) or not is_finite(max(logits))
    top = 0 if undefined else logits.index(max(logits))
    if undefined or softcap is None:
        return Row([exact(x) if is_finite(x) else float(x) for x in logits], top, undefined, None)
    cap = exact(softcap)
    made: dict[Real, tuple[Value, Interval, Interval]] = {}  # equal logits are the same object after the cap, too
    for y in logits:
        if y not in made:
            made[y] = _capped(y, cap)
    values, slopes, bends = zip(*(made[y] for y in logits), strict=True)
    return Row(values, top, undefined, Cap(slopes, bends))


def _capped(y: Real, cap: Interval) -> tuple[Value, Interval, Interval]:
    if not is_finite(y):
        return -math.inf, exact(0), exact(0)
    tanh, slope = tanh_and_slope(exact(y) / cap)
    return cap * tanh, slope, -2 * tanh * slope / cap
