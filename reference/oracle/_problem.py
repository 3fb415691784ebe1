"""The exact inputs of a call, checked, and its coefficients."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from lossproof.reference._inputs import (
    ExactArray,
    Real,
    check_shapes,
    check_smoothing,
    exact_array,
    exact_integers,
    exact_scalar,
    is_finite,
)
from lossproof.reference.oracle._ball import Ball, Value, ball
from lossproof.reference.oracle._double_double import AnyArray
from lossproof.reference.oracle._tables import DECIMAL, decimal
from lossproof.spec import Convention

_LOGITS_TYPES = ("bfloat16", "float16", "float32", "float64")
_BLOCK = 2**20  # logits that are worked on at a time
_ENTROPY_ERROR = 2.0**-230  # docs/oracle-proof.md, section 7.2


@dataclass(frozen=True)
class Problem:
    """Hard targets, label smoothing, weights and a factor.

    Attributes:
      logits: [N, V], of a float type.
      shape: that of the tokens.
      targets, weights: N numbers; weights may be None.
      smoothing: e.
      z_coefficient: k, or nan where it is not finite (STATE-8).
      factor: L, or None.
      convention: where losses differ on purpose.
    """

    logits: AnyArray
    shape: tuple[int, ...]
    targets: Sequence[int]
    weights: Sequence[Real] | None
    smoothing: Fraction
    z_coefficient: Value
    factor: Real | None
    convention: Convention

    @property
    def classes(self) -> int:
        """V."""
        return int(self.logits.shape[1])

    def in_range(self, i: int) -> bool:
        """EXCL-2."""
        return 0 <= self.targets[i] < self.classes and self.targets[i] != self.convention.ignore_index

    def weight(self, i: int) -> Real:
        """w_i."""
        return 1 if self.weights is None else self.weights[i]

    def excluded(self, i: int) -> bool:
        """EXCL-1, EXCL-2."""
        return not self.in_range(i) or self.weight(i) == 0

    def blocks(self) -> Iterator[range]:
        """The tokens, in blocks whose logits are about 2^20 numbers; one token at least."""
        step = max(1, _BLOCK // self.classes)
        count = len(self.targets)
        return (range(start, min(start + step, count)) for start in range(0, count, step))

    @cached_property
    def on_off(self) -> tuple[Ball, Ball]:
        """The weights of the target and of each other class (VALUE-2, STATE-6)."""
        on, off = self._on_off()
        return ball(on), ball(off)

    @cached_property
    def target_sum(self) -> Ball:
        """Q."""
        on, off = self._on_off()
        return ball(on + (self.classes - 1) * off)

    @cached_property
    def entropy(self) -> Ball:
        """H (VALUE-3)."""
        on, off = self._on_off()
        if off == 0 or not self.convention.subtract_entropy:
            return Ball(0)
        return ball(-on * _log(on) - (self.classes - 1) * off * _log(off), absolute=_ENTROPY_ERROR)

    def _on_off(self) -> tuple[Fraction, Fraction]:
        return self.convention.on_off(self.smoothing, self.classes)

    @cached_property
    def divisor(self) -> Real:
        """L, times what the convention's reduction divides by; nan where it is 0 or not finite (STATE-8)."""
        parts: list[Real] = [1 if self.factor is None else self.factor]
        if self.convention.reduction == "batch_mean":
            parts.append(len(self.targets))
        if self.convention.reduction == "mean":
            weights = [self.weight(i) for i in range(len(self.targets)) if self.in_range(i)]
            parts.append(sum(Fraction(w) for w in weights) if all(map(is_finite, weights)) else math.nan)
        if not all(is_finite(part) and part != 0 for part in parts):
            return math.nan
        return math.prod((Fraction(part) for part in parts), start=Fraction(1))

    def coefficient(self, i: int) -> Value:
        """c_i (VALUE-5) of a token that is not excluded; nan where it is no real number (STATE-8)."""
        if not (is_finite(self.weight(i)) and is_finite(self.divisor)):
            return math.nan
        return ball(Fraction(self.weight(i)) / Fraction(self.divisor))


def make_problem(
    logits: Any, targets: Any, weights: Any, label_smoothing: Any, z_loss: Any, factor: Any, convention: Convention
) -> Problem:
    """Converts and checks the inputs.

    Raises:
      ValueError: shapes do not fit (SHAPE-1), or label_smoothing is outside [0, 1] (SHAPE-5).
      TypeError: an input is not of its type (SHAPE-2, SHAPE-6).
    """
    x = np.asarray(logits)
    if x.dtype.name not in _LOGITS_TYPES:
        raise TypeError(f"logits must be an array of {', '.join(_LOGITS_TYPES)}, got {x.dtype.name}: convert it first")
    t = exact_integers("targets", targets)
    w = None if weights is None else exact_array("weights", weights)
    check_shapes(ExactArray(x.shape, ()), targets=t, **({} if w is None else {"weights": w}))
    smoothing = exact_scalar("label_smoothing", label_smoothing)
    check_smoothing(smoothing)
    k = exact_scalar("z_loss", z_loss)
    return Problem(
        x.reshape(-1, x.shape[-1]),
        x.shape[:-1],
        [int(target) for target in t.values],
        None if w is None else w.values,
        Fraction(smoothing),
        ball(k) if is_finite(k) else math.nan,
        None if factor is None else exact_scalar("loss_normalizing_factor", factor),
        convention,
    )


def _log(number: Fraction) -> Fraction:
    """log to 79 digits, 0 at 0: it only meets the coefficient 0 there."""
    return Fraction(DECIMAL.ln(decimal(number))) if number else Fraction(Decimal(0))
