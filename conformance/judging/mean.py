"""Means: sums with a factor of their own, what they divide by, and how exactly that can be known.

A batch's mean is sum(w_i loss_i) / D, where D is the number of tokens, or the sum of the weights of those in range. The
sum of weights has a relative error of depth(N) u sum|w| / |D|, which every result shares; its derivative by the
weights is not 0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import Array, Case
from lossproof.reference.bounds import Bounds, Grade, Profile, Terms, depth, unit_roundoff
from lossproof.spec import WEIGHTED, Convention

_PRODUCTS = 8  # roundings of the products and quotients that a derivative by a weight is put together from


@dataclass(frozen=True)
class Divisor:
    """What a reduction divides by.

    Attributes:
      value: D.
      size: the sum of what it is added up from, without signs; 0 for a number of tokens, which is exact.
      terms: their number.
    """

    value: float
    size: float
    terms: int

    def error(self, dtype: str) -> float:
        """Its relative error, computed in a type."""
        with np.errstate(all="ignore"):
            share = float(np.divide(self.size, abs(self.value))) if self.size else 0.0
        return (depth(self.terms) + 1) * unit_roundoff(dtype) * share if share else 0.0


def divisor(case: Case, convention: Convention) -> Divisor:
    """That of a call."""
    terms = Terms(case, convention)
    if convention.reduction == "batch_mean":
        return Divisor(float(terms.in_range.size), 0.0, terms.in_range.size)
    weights = np.ravel(terms.weights)
    if not np.all(np.isfinite(weights)):
        return Divisor(math.nan, math.nan, weights.size)
    return Divisor(math.fsum(weights), float(np.sum(np.abs(weights))), int(np.count_nonzero(terms.in_range)))


def has_tokens(case: Case, convention: Convention) -> bool:
    """Whether any token of a call counts."""
    return bool(np.any(Terms(case, convention).weights != 0))


@dataclass(frozen=True)
class MeanBounds(Bounds):
    """`Bounds` of a mean, which `call` has as a sum whose factor is L D.

    Attributes:
      of: what is divided by.
      by_sum: whether that is the sum of the weights.
    """

    of: Divisor = Divisor(1.0, 0.0, 0)
    by_sum: bool = False

    @property
    def _relative(self) -> float:
        return self.of.error(self.call.carried)

    @np.errstate(all="ignore")
    def values(self) -> dict[str, Array]:
        """The bound on each output."""
        found = super().values()
        for name in ("loss", "z_loss"):
            found[name] = found[name] + _known(self._relative * self._whole(name))
        return found

    @np.errstate(all="ignore")
    def gradients(self, cotangents: Mapping[str, Any]) -> dict[str, Array]:
        """The bound on the derivative of sum(cotangents * outputs) by each argument."""
        found, relative = super().gradients(cotangents), self._relative
        by = {
            name: np.abs(np.asarray(cotangents.get(name, 0.0), np.float64)) * self.terms.coefficients
            for name in ("loss", "z_loss")
        }
        _, row = self._row_after_cap(by["loss"], by["z_loss"], np.zeros_like(by["loss"]))
        row = row if self.call.softcap is None else row * self._capped.slope
        found["logits"] = found["logits"] + _known(relative * np.abs(row))
        in_loss = by["loss"] if self._convention.add_z_loss else 0.0
        squares = np.sum((in_loss + by["z_loss"]) * np.square(self._lse))
        found["z_loss"] = found["z_loss"] + _known(relative * squares)
        if self.call.is_dense:
            moved = by["loss"][..., None] * self.terms.shortfall
            found["targets"] = found["targets"] + _known(relative * moved)
        else:
            slopes = np.sum(by["loss"] * self._slope_size)
            found["label_smoothing"] = found["label_smoothing"] + _known(relative * slopes)
        given = {name: abs(float(cotangents.get(name, 0.0))) for name in ("loss", "z_loss")}
        size = np.float64(abs(self.of.value))
        outer = self.factor / size  # |L|
        moved_by_factor = sum(given[name] * relative * self._whole(name) / outer for name in given)
        found["loss_normalizing_factor"] = found["loss_normalizing_factor"] * size + _known(moved_by_factor)
        if self.by_sum:
            found["weights"] = found["weights"] + self._through_divisor(given)
        return {name: np.nan_to_num(bound, nan=0.0, posinf=np.inf) for name, bound in found.items()}

    @np.errstate(all="ignore")
    def hvp_row(self, vector: Array) -> Array:
        """The bound on the Hessian times a vector, [..., V]."""
        v, cap = np.abs(np.asarray(vector, np.float64)), self._capped
        if self.call.softcap is None:
            size = self._hvp_size(v)
        else:
            zeros = np.zeros_like(self.terms.coefficients)
            _, row = self._row_after_cap(self.terms.coefficients, zeros, zeros)
            size = cap.slope * self._hvp_size(cap.slope * v) + v * cap.bend * np.abs(row)
        return super().hvp_row(vector) + _known(self._relative * size)

    def _whole(self, name: str) -> float:
        """|loss| or |z_loss|, from above."""
        c = self.terms.coefficients
        return float(np.sum(np.where(c > 0, c * self._sizes(name), 0.0)))

    def _through_divisor(self, given: Mapping[str, float]) -> Array:
        """The error of -loss / D, which is the derivative by each weight through the divisor, and of both parts'
        factor.
        """
        relative = self._relative + _PRODUCTS * self.u
        total = np.zeros(self.terms.in_range.shape)
        for name, by in given.items():
            through = float(self._total(name)) + 2 * relative * self._whole(name)
            through = through / np.float64(abs(self.of.value))
            total = total + by * (through + relative * self._sizes(name) / self.factor)
        return np.where(self.terms.in_range, _known(total), 0.0)


def mean_bounds(case: Case, convention: Convention, grade: Grade, profile: Profile, whole: Case) -> Bounds:
    """The bounds on a call of a mean.

    Args:
      case: the call, or some of its tokens.
      convention: with its reduction.
      grade, profile: as for `Bounds`.
      whole: the call that `case` is of, whose mean it is.
    """
    plain = replace(convention, reduction="sum")
    if convention.reduction == "sum" or case.function != WEIGHTED:
        return Bounds(case, plain, grade, profile)
    of = divisor(whole, convention)
    as_sum = case.with_inputs(loss_normalizing_factor=case.scalar("loss_normalizing_factor") * of.value)
    return MeanBounds(as_sum, plain, grade, profile, of, convention.reduction == "mean")


def _known(bound: Any) -> Array:
    return np.nan_to_num(np.asarray(bound, np.float64), nan=0.0, posinf=np.inf)
