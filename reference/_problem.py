"""The exact inputs of a call, and its tokens at the working precision."""

import abc
import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from lossproof.reference._extended import scaled
from lossproof.reference._inputs import (
    ExactArray,
    Real,
    check_shapes,
    check_smoothing,
    exact_array,
    exact_integers,
    exact_scalar,
    is_finite,
    is_floating,
)
from lossproof.reference._interval import current_precision, exact
from lossproof.reference._row import Value, make_row
from lossproof.reference._token import Convention, DenseTarget, HardTarget, Target, Token


@dataclass(frozen=True)
class Problem(abc.ABC):
    """Logits with a target for each row.

    Attributes:
      logits: [..., V].
      z_coefficient: k.
      softcap: the cap of the logits, or None.
    """

    logits: ExactArray
    z_coefficient: Real
    softcap: Real | None
    _tokens: dict[tuple[int, int], Token] = field(default_factory=dict, repr=False, kw_only=True)

    def token(self, i: int) -> Token:
        """Token i at the working precision."""
        key = (i, current_precision())
        if key not in self._tokens:
            self._tokens[key] = self._make_token(i)
        return self._tokens[key]

    def _make_token(self, i: int) -> Token:
        row = make_row(self.logits.row(i), self.softcap)
        return Token(row, self.target(i), self.z_coefficient, add_z_loss=self.adds_z_loss)

    @abc.abstractmethod
    def target(self, i: int) -> Target:
        """The weights q of token i."""

    @property
    def adds_z_loss(self) -> bool:
        """Whether z is part of the loss."""
        return True

    @property
    def classes(self) -> int:
        """V."""
        return self.logits.shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the tokens."""
        return self.logits.shape[:-1]

    @property
    def indices(self) -> range:
        """The tokens."""
        return range(math.prod(self.shape))


@dataclass(frozen=True)
class DenseProblem(Problem):
    """The exact inputs of the function with dense targets."""

    targets: ExactArray

    def target(self, i: int) -> DenseTarget:
        return DenseTarget(self.targets.row(i))


@dataclass(frozen=True)
class BatchProblem(Problem):
    """The exact inputs of the functions whose targets are classes, or dense (VALUE-12)."""

    targets: ExactArray
    weights: ExactArray | None
    smoothing: Real
    factor: Real | None
    convention: Convention

    def target(self, i: int) -> Target:
        if self.is_dense:
            return DenseTarget(self.targets.row(i))
        return HardTarget(int(self.targets.values[i]), self.classes, self.smoothing, self.convention)

    @property
    def is_dense(self) -> bool:
        """Whether targets are weights of all classes."""
        return self.targets.shape == self.logits.shape

    @property
    def adds_z_loss(self) -> bool:
        return self.convention.add_z_loss

    def in_range(self, i: int) -> bool:
        """EXCL-2."""
        if self.is_dense:
            return True
        t = self.targets.values[i]
        return 0 <= t < self.classes and t != self.convention.ignore_index

    def weight(self, i: int) -> Real:
        """w_i."""
        return 1 if self.weights is None else self.weights.values[i]

    def excluded(self, i: int) -> bool:
        """EXCL-1, EXCL-2."""
        return not self.in_range(i) or self.weight(i) == 0

    def counted(self) -> list[int]:
        """The tokens that are not excluded."""
        return [i for i in self.indices if not self.excluded(i)]

    @cached_property
    def divisor(self) -> Fraction | None:
        """L, times what the reduction divides by; None where it is 0 or not finite (STATE-8)."""
        factor = Fraction(1)
        for part in (1 if self.factor is None else self.factor, self.reduced_by()):
            if not is_finite(part) or part == 0:
                return None
            factor *= Fraction(part)
        return factor

    def reduced_by(self) -> Real:
        """What the convention's reduction divides by, besides L."""
        if self.convention.reduction == "sum":
            return 1
        if self.convention.reduction == "batch_mean":
            return len(self.indices)
        weights = [self.weight(i) for i in self.indices if self.in_range(i)]
        return sum((Fraction(w) for w in weights), Fraction(0)) if all(map(is_finite, weights)) else math.nan

    def coefficient(self, i: int) -> Value:
        """c_i (VALUE-5): exactly 0 for an excluded token, nan where it is not a real number (STATE-8)."""
        (c,) = self.scaled_by_coefficient(i, 1)
        return c

    def scaled_by_coefficient(self, i: int, *cotangents: Real) -> list[Value]:
        """c_i times each of these finite numbers, rounded once."""
        if self.excluded(i):
            return [exact(0)] * len(cotangents)
        weight, divisor = self.weight(i), self.divisor
        if divisor is None or not is_finite(weight):
            return [scaled(exact(cotangent), math.nan) for cotangent in cotangents]
        return [exact(Fraction(weight) * Fraction(cotangent) / divisor) for cotangent in cotangents]


def batch_problem(
    logits: Any,
    targets: Any,
    weights: Any,
    label_smoothing: Any,
    z_loss: Any,
    factor: Any,
    softcap: Any,
    convention: Convention,
) -> BatchProblem:
    """Converts and checks the inputs."""
    x = exact_array("logits", logits)
    w = None if weights is None else exact_array("weights", weights)
    is_dense = is_floating("targets", targets, x.shape)
    t = exact_array("targets", targets) if is_dense else exact_integers("targets", targets)
    check_shapes(x, **({} if is_dense else {"targets": t}), **({} if w is None else {"weights": w}))
    smoothing = exact_scalar("label_smoothing", label_smoothing)
    check_smoothing(smoothing)
    if is_dense and smoothing != 0:
        raise ValueError(
            f"label_smoothing must be 0 with dense targets, got label_smoothing={label_smoothing}: smooth the targets"
        )
    exact_factor = None if factor is None else exact_scalar("loss_normalizing_factor", factor)
    k = exact_scalar("z_loss", z_loss)
    return BatchProblem(x, k, exact_softcap(softcap), t, w, smoothing, exact_factor, convention)


def dense_problem(logits: Any, targets: Any, z_loss: Any, softcap: Any) -> DenseProblem:
    """Converts and checks the inputs."""
    x, q = exact_array("logits", logits), exact_array("targets", targets)
    check_shapes(x)
    if x.shape != q.shape:
        raise ValueError(
            f"targets must have the shape of logits: logits {x.shape} need targets {x.shape}, got {q.shape}"
        )
    return DenseProblem(x, exact_scalar("z_loss", z_loss), exact_softcap(softcap), q)


def exact_softcap(softcap: Any) -> Real | None:
    """The cap, or None.

    Raises:
      ValueError: not positive and finite.
    """
    if softcap is None:
        return None
    cap = exact_scalar("logit_softcap", softcap)
    if not (is_finite(cap) and cap > 0):
        raise ValueError(f"logit_softcap must be None or a positive finite number, got logit_softcap={cap}")
    return cap
