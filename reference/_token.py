"""One token: the formulas of SPEC.md, term by term.

Everything is expressed by the gaps d_j = max x - x_j and by r, the sum of exp(-d_j) over all classes but one that
has the maximum, so that no digits cancel for a confident model: lse - x_j = d_j + log1p(r), and at the maximum
1 - p_j = r / (1 + r).

Classes with the same logit and the same weight have the same of everything: j is a kind of classes throughout, and
sums over all classes count each kind as often as it is there.
"""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from lossproof.reference._extended import added, scaled
from lossproof.reference._inputs import Real, is_finite
from lossproof.reference._interval import Interval, exact, exp, log, log1p, total
from lossproof.reference._row import Row, Value
from lossproof.spec import LOSSPROOF, Convention

T = TypeVar("T")


class Target(abc.ABC):
    """The weights q_j of one token, at the working precision."""

    @abc.abstractmethod
    def weights(self) -> list[Interval]:
        """q_j."""

    @abc.abstractmethod
    def whole(self) -> Interval:
        """Q."""

    @abc.abstractmethod
    def rests(self) -> list[Interval]:
        """Q - q_j, without cancellation where Q and q_j are exact."""

    @abc.abstractmethod
    def entropy(self) -> Interval:
        """The constant H."""


@dataclass(frozen=True)
class HardTarget(Target):
    """VALUE-1, VALUE-2: `on` at class `target`, `off` at the others.

    Attributes:
      target: its kind, which has no other class.
      counts: how many classes of each kind there are.
      smoothing: e.
      convention: how e is spread, and whether H is subtracted.
    """

    target: int
    counts: Sequence[int]
    smoothing: Real
    convention: Convention = LOSSPROOF

    @property
    def classes(self) -> int:
        """V."""
        return sum(self.counts)

    def on_off(self) -> tuple[Interval, Interval]:
        """The weights of the target and of each other class."""
        return self.convention.on_off(exact(self.smoothing), self.classes)  # STATE-6

    def on_off_slopes(self) -> tuple[Interval, Interval]:
        """The derivatives of on and off by label_smoothing."""
        if self.classes == 1:
            return exact(0), exact(0)
        spread = self.classes if self.convention.smoothing == "uniform" else self.classes - 1
        off = 1 / exact(spread)
        return -off * (self.classes - 1), off

    def weights(self) -> list[Interval]:
        on, off = self.on_off()
        return [on if j == self.target else off for j in range(len(self.counts))]

    def whole(self) -> Interval:
        return exact(1)

    def rests(self) -> list[Interval]:
        on, off = self.on_off()
        rest_on, rest_off = off * (self.classes - 1), on + off * (self.classes - 2)
        return [rest_on if j == self.target else rest_off for j in range(len(self.counts))]

    def entropy(self) -> Interval:
        if not self.convention.subtract_entropy:
            return exact(0)
        on, off = self.on_off()
        return -(_x_log_x(on) + (self.classes - 1) * _x_log_x(off))  # VALUE-3


@dataclass(frozen=True)
class DenseTarget(Target):
    """VALUE-7: any real weights.

    Attributes:
      dense: that of each kind.
      counts: how many classes of each kind there are.
    """

    dense: Sequence[Real]
    counts: Sequence[int]

    def weights(self) -> list[Interval]:
        return [exact(q) for q in self.dense]

    def whole(self) -> Interval:
        return total(self.weights(), self.counts)

    def rests(self) -> list[Interval]:
        whole = self.whole()
        return [whole - q for q in self.weights()]

    def entropy(self) -> Interval:
        return exact(0)


class Token:
    """The quantities of one token at the working precision in force when it is made.

    Args:
      row: the logits; derivatives by them are by what they were before the soft-cap.
      target: the weights q.
      z_loss: the coefficient k.
      add_z_loss: whether z is part of the loss.
    """

    def __init__(self, row: Row, target: Target, z_loss: Real, *, add_z_loss: bool = True) -> None:
        self.row, self.target, self.z_coefficient, self.add_z_loss = row, target, z_loss, add_z_loss
        self.counts, self.spread = row.classes.counts, row.classes.spread
        self.kinds = range(len(self.counts))
        dense = target.dense if isinstance(target, DenseTarget) else ()
        self.undefined = row.undefined or not all(map(is_finite, dense))  # STATE-3
        self.undefined_coefficient = not is_finite(z_loss)  # STATE-8
        highest = row.values[row.top]
        if self.undefined or isinstance(highest, float):
            return
        self.gaps = row.gaps()
        self.exps = [exact(0) if isinstance(gap, float) else exp(-gap) for gap in self.gaps]  # STATE-1
        self.rest = total(_without(row.top, self.exps), _without(row.top, self.counts))
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
    def log_z_squared(self) -> Value:
        """What z_loss multiplies (GRAD-3)."""
        return self.log_z if isinstance(self.log_z, float) else self.log_z.square()

    @cached_property
    def z_loss(self) -> Value:
        """VALUE-4."""
        if self.undefined_coefficient:
            return math.nan
        return scaled(exact(self.z_coefficient), self.log_z_squared) if not self.undefined else math.nan

    @cached_property
    def loss(self) -> Value:
        """xent - H + z."""
        if self.undefined or self.undefined_coefficient:
            return math.nan
        gaps = zip(self.target.weights(), self.gaps, strict=True)
        terms = [scaled(q, gap) for q, gap in gaps]  # STATE-2; 0 * inf = 0
        terms += [self.target.whole() * self.log_sum, -self.target.entropy()]
        if self.add_z_loss:
            terms.append(self.z_loss)
        return added(terms, self.counts)

    def probability(self, j: int) -> Interval:
        """p_j."""
        return self.exps[j] * self.inverse_sum

    def complement(self, j: int, p: Interval) -> Interval:
        """1 - p_j, without cancellation at the maximum; elsewhere p_j <= 1/2."""
        return self.rest * self.inverse_sum if j == self.row.top else 1 - p

    def logits_gradient(self, by_loss: Value, by_z_loss: Value, by_log_z: Value) -> list[Value]:
        """GRAD-1, with the cotangents of loss, z_loss and log_z; kind by kind."""
        coefficients = self._coefficients(by_loss, by_z_loss, by_log_z)
        if coefficients is None:
            return [math.nan for _ in self.kinds]
        gradient = self._gradient_after_cap(*coefficients)
        cap = self.row.cap
        return list(gradient) if cap is None else [g * slope for g, slope in zip(gradient, cap.slopes, strict=True)]

    def _coefficients(self, by_loss: Value, by_z_loss: Value, by_log_z: Value) -> tuple[Interval, ...] | None:
        """The cotangents of xent, of k lse^2 and of lse; None where the derivatives are NaN."""
        if self.undefined or self.undefined_coefficient:
            return None
        if isinstance(by_loss, float) or isinstance(by_z_loss, float) or isinstance(by_log_z, float):
            return None
        return by_loss, by_z_loss + (by_loss if self.add_z_loss else 0), by_log_z

    def _gradient_after_cap(self, by_xent: Interval, by_z: Interval, by_lse: Interval) -> list[Interval]:
        through_lse = 2 * exact(self.z_coefficient) * self.lse * by_z + by_lse
        gradient = []
        for j, (q, rest) in enumerate(zip(self.target.weights(), self.target.rests(), strict=True)):
            p = self.probability(j)
            gradient.append(by_xent * (rest * p - q * self.complement(j, p)) + through_lse * p)
        return gradient

    def smoothing_derivative(self) -> Value:
        """GRAD-4; 0 for dense targets, which have none."""
        target = self.target
        if not isinstance(target, HardTarget):
            return exact(0)
        if self.undefined:
            return math.nan
        (on, off), (_, off_slope) = target.on_off(), target.on_off_slopes()
        # The slopes add up to 0, so lse cancels: a rational number is left.
        own = scaled(exact(1 - target.classes), self.gaps[target.target])
        others, counts = _without(target.target, self.gaps), _without(target.target, self.counts)
        moved = scaled(off_slope, added([*others, own], counts))
        if isinstance(moved, float) or not target.convention.subtract_entropy:
            return moved  # an infinite shortfall outweighs the logarithms
        if target.classes == 1:
            return moved
        log_odds = math.inf if on == 0 else _log(off / on)
        return added([moved, scaled(off_slope * (target.classes - 1), log_odds)])

    def hessian_vector_product(
        self, vector: Sequence[Interval], by_loss: Value, by_z_loss: Value, by_log_z: Value
    ) -> list[Value]:
        """GRAD-9, with the cotangents of loss, z_loss and log_z; the vector has one entry for all classes of a kind."""
        coefficients = self._coefficients(by_loss, by_z_loss, by_log_z)
        if coefficients is None:
            return [math.nan for _ in self.kinds]
        cap = self.row.cap
        if cap is None:
            return list(self._hessian_after_cap(vector, *coefficients))
        inner = [v * slope for v, slope in zip(vector, cap.slopes, strict=True)]
        curved = self._hessian_after_cap(inner, *coefficients)
        gradient = self._gradient_after_cap(*coefficients)
        return [
            slope * h + bend * g * v
            for slope, bend, h, g, v in zip(cap.slopes, cap.bends, curved, gradient, vector, strict=True)
        ]

    def _hessian_after_cap(
        self, vector: Sequence[Interval], by_xent: Interval, by_z: Interval, by_lse: Interval
    ) -> list[Interval]:
        slope = 2 * exact(self.z_coefficient) * by_z
        curvature = total(self.target.weights(), self.counts) * by_xent + slope * self.lse + by_lse
        p = [self.probability(j) for j in self.kinds]
        mean = total([p_j * v for p_j, v in zip(p, vector, strict=True)], self.counts)
        return [p_j * (curvature * (v - mean) + slope * mean) for p_j, v in zip(p, vector, strict=True)]


def _without(j: int, entries: Sequence[T]) -> list[T]:
    """All but the j-th."""
    return [*entries[:j], *entries[j + 1 :]]


def _log(x: Interval) -> Value:
    return -math.inf if x == 0 else log(x)


def _x_log_x(x: Interval) -> Interval:
    return exact(0) if x == 0 else x * log(x)
