"""One token: the formulas of SPEC.md, term by term.

Everything is expressed by the gaps d_j = max x - x_j and by r, the sum of exp(-d_j) over all classes but one that
has the maximum, so that no digits cancel for a confident model: lse - x_j = d_j + log1p(r), and at the maximum
1 - p_j = r / (1 + r).
"""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from lossproof.reference._extended import added, scaled
from lossproof.reference._inputs import Real, is_finite
from lossproof.reference._interval import Interval, exact, exp, log, log1p, total

Value = Interval | float  # an interval, or one of the floats nan, inf, -inf


@dataclass(frozen=True)
class Convention:
    """Where losses differ on purpose.

    Attributes:
      smoothing: "others" spreads label_smoothing over the V - 1 other classes; "uniform" over all V (torch, Keras).
      subtract_entropy: whether H is subtracted.
      add_z_loss: whether z is part of loss.
      ignore_index: a target that is excluded although it may be a class, or None.
    """

    smoothing: Literal["others", "uniform"] = "others"
    subtract_entropy: bool = True
    add_z_loss: bool = True
    ignore_index: int | None = None


LOSSPROOF = Convention()


class Target(abc.ABC):
    """The weights q_j of one token, at the working precision."""

    @abc.abstractmethod
    def weights(self) -> list[Interval]:
        """q_j."""

    @abc.abstractmethod
    def rests(self) -> list[Interval]:
        """Q - q_j, without cancellation where Q and q_j are exact."""

    @abc.abstractmethod
    def entropy(self) -> Interval:
        """The constant H."""


@dataclass(frozen=True)
class HardTarget(Target):
    """VALUE-1, VALUE-2: `on` at class `target`, `off` at the others."""

    target: int
    classes: int
    smoothing: Real
    convention: Convention = LOSSPROOF

    def on_off(self) -> tuple[Interval, Interval]:
        """The weights of the target and of each other class."""
        if self.classes == 1:
            return exact(1), exact(0)  # STATE-6
        e = exact(self.smoothing)
        if self.convention.smoothing == "uniform":
            return 1 - e + e / self.classes, e / self.classes
        return 1 - e, e / (self.classes - 1)

    def on_off_slopes(self) -> tuple[Interval, Interval]:
        """The derivatives of on and off by label_smoothing."""
        if self.classes == 1:
            return exact(0), exact(0)
        spread = self.classes if self.convention.smoothing == "uniform" else self.classes - 1
        off = 1 / exact(spread)
        return -off * (self.classes - 1), off

    def weights(self) -> list[Interval]:
        on, off = self.on_off()
        return [on if j == self.target else off for j in range(self.classes)]

    def rests(self) -> list[Interval]:
        on, off = self.on_off()
        rest_on, rest_off = off * (self.classes - 1), on + off * (self.classes - 2)
        return [rest_on if j == self.target else rest_off for j in range(self.classes)]

    def entropy(self) -> Interval:
        if not self.convention.subtract_entropy:
            return exact(0)
        on, off = self.on_off()
        return -(_x_log_x(on) + (self.classes - 1) * _x_log_x(off))  # VALUE-3


@dataclass(frozen=True)
class DenseTarget(Target):
    """VALUE-7: any real weights."""

    dense: tuple[Real, ...]

    def weights(self) -> list[Interval]:
        return [exact(q) for q in self.dense]

    def rests(self) -> list[Interval]:
        whole = total(self.weights())
        return [whole - q for q in self.weights()]

    def entropy(self) -> Interval:
        return exact(0)


class Token:
    """The quantities of one token at the working precision in force when it is made.

    Args:
      logits: exact numbers; nan, inf and -inf allowed.
      target: the weights q.
      z_loss: the coefficient k.
      add_z_loss: whether z is part of the loss.
    """

    def __init__(self, logits: Sequence[Real], target: Target, z_loss: Real, *, add_z_loss: bool = True) -> None:
        self.logits, self.target, self.z_coefficient, self.add_z_loss = logits, target, z_loss, add_z_loss
        peak = max(logits)
        dense = target.dense if isinstance(target, DenseTarget) else ()
        # STATE-3, STATE-8
        self.undefined = any(math.isnan(x) for x in logits) or not is_finite(peak) or not all(map(is_finite, dense))
        self.undefined_coefficient = not is_finite(z_loss)
        if self.undefined:
            return
        self.top = logits.index(peak)
        highest = exact(peak)
        self.gaps: list[Value] = [highest - exact(x) if is_finite(x) else math.inf for x in logits]
        self.exps = [exact(0) if isinstance(gap, float) else exp(-gap) for gap in self.gaps]  # STATE-1
        self.rest = total([e for j, e in enumerate(self.exps) if j != self.top])
        self.inverse_sum = 1 / (1 + self.rest)
        self.log_sum = log1p(self.rest)
        self.lse = highest + self.log_sum

    def shortfall(self, j: int) -> Value:
        """lse - x_j."""
        return math.nan if self.undefined else added([self.gaps[j], self.log_sum])

    @cached_property
    def log_z(self) -> Value:
        """VALUE-8."""
        return math.nan if self.undefined else self.lse

    @cached_property
    def z_loss(self) -> Value:
        """VALUE-4."""
        if self.undefined or self.undefined_coefficient:
            return math.nan
        return exact(self.z_coefficient) * self.lse.square()

    @cached_property
    def loss(self) -> Value:
        """xent - H + z."""
        if self.undefined or self.undefined_coefficient:
            return math.nan
        weights = self.target.weights()
        terms = [scaled(q, self.shortfall(j)) for j, q in enumerate(weights)]  # STATE-2; 0 * inf = 0
        terms.append(-self.target.entropy())
        if self.add_z_loss:
            terms.append(self.z_loss)
        return added(terms)

    def probability(self, j: int) -> Interval:
        """p_j."""
        return self.exps[j] * self.inverse_sum

    def complement(self, j: int, p: Interval) -> Interval:
        """1 - p_j, without cancellation at the maximum; elsewhere p_j <= 1/2."""
        return self.rest * self.inverse_sum if j == self.top else 1 - p

    def logits_gradient(self, by_loss: Value, by_z_loss: Value, by_log_z: Value) -> list[Value]:
        """GRAD-1, with the cotangents of loss, z_loss and log_z."""
        coefficients = (by_loss, by_z_loss, by_log_z)
        if self.undefined or self.undefined_coefficient or any(isinstance(c, float) for c in coefficients):
            return [math.nan] * len(self.logits)
        slope = 2 * exact(self.z_coefficient) * self.lse
        through_lse = (by_loss if self.add_z_loss else 0) * slope + by_z_loss * slope + by_log_z
        gradient: list[Value] = []
        for j, (q, rest) in enumerate(zip(self.target.weights(), self.target.rests(), strict=True)):
            p = self.probability(j)
            gradient.append(by_loss * (rest * p - q * self.complement(j, p)) + through_lse * p)
        return gradient

    def smoothing_derivative(self) -> Value:
        """GRAD-4; for a HardTarget."""
        target = self.target
        if not isinstance(target, HardTarget):
            raise TypeError("dense targets have no label_smoothing")
        if self.undefined:
            return math.nan
        (on, off), (on_slope, off_slope) = target.on_off(), target.on_off_slopes()
        others = added([self.shortfall(j) for j in range(target.classes) if j != target.target])
        moved = added([scaled(on_slope, self.shortfall(target.target)), scaled(off_slope, others)])
        if isinstance(moved, float) or not target.convention.subtract_entropy:
            return moved  # an infinite shortfall outweighs the logarithms
        return added([moved, scaled(on_slope, _log(on)), scaled(off_slope * (target.classes - 1), _log(off))])

    def hessian_vector_product(self, vector: Sequence[Interval]) -> list[Value]:
        """GRAD-9, without the token's coefficient."""
        if self.undefined or self.undefined_coefficient:
            return [math.nan] * len(self.logits)
        indices = range(len(self.logits))
        slope = 2 * exact(self.z_coefficient)
        curvature = total(self.target.weights()) + slope * self.lse
        mean = total([self.probability(j) * vector[j] for j in indices])
        return [self.probability(j) * (curvature * (vector[j] - mean) + slope * mean) for j in indices]


def _log(x: Interval) -> Value:
    return -math.inf if x == 0 else log(x)


def _x_log_x(x: Interval) -> Interval:
    return exact(0) if x == 0 else x * log(x)
