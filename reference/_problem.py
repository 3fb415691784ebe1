"""The exact inputs of a call, and its tokens at the working precision."""

import abc
import functools
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar

from lossproof.reference._alike import Kinds, kinds_of
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
from lossproof.reference._row import Value, first_maximum, make_row, only
from lossproof.reference._token import DenseTarget, HardTarget, Target, Token
from lossproof.spec import Convention

P = TypeVar("P", bound="Problem")

# How many problems are kept with their tokens; those that fill the memory, until the next one comes.
_REMEMBERED, _LARGE = 4, 20_000
_known: dict[Hashable, Any] = {}


@dataclass(frozen=True)
class Problem(abc.ABC):
    """Logits with a target for each row.

    Attributes:
      logits: [..., V].
      z_coefficient: k.
      softcap: the cap of the logits, or None.
      targets: [...], classes; or [..., V], dense.
    """

    logits: ExactArray
    z_coefficient: Real
    softcap: Real | None
    targets: ExactArray
    _classes: dict[Hashable, Kinds] = field(default_factory=dict, repr=False, kw_only=True)
    _tokens: dict[Hashable, Token] = field(default_factory=dict, repr=False, kw_only=True)

    @cached_property
    def tokens(self) -> Kinds:
        """The tokens; alike are those of equal logits and targets."""
        return kinds_of(self.logits.rows(), self.targets.rows() if self.is_dense else self.targets.values)

    def tokens_by(self, *features: Iterable[Hashable]) -> Kinds:
        """The tokens; alike are those that are equal in these features, too."""
        return kinds_of(self.tokens.of, *features)

    def token(self, i: int, *features: Sequence[Real]) -> Token:
        """Token i at the working precision; its classes are alike if they are equal in these features, too."""
        alike = (self.tokens.of[i], *features)
        if alike not in self._classes:
            row = self.logits.row(i)
            self._classes[alike] = kinds_of(row, first_maximum(row), self._target_row(i), *features)
        key = (alike, current_precision())
        if key not in self._tokens:
            self._tokens[key] = self._make_token(i, self._classes[alike])
        return self._tokens[key]

    def _make_token(self, i: int, classes: Kinds) -> Token:
        row = make_row(self.logits.row(i), classes, self.softcap)
        return Token(row, self.target(i, classes), self.z_coefficient, add_z_loss=self.adds_z_loss)

    @abc.abstractmethod
    def target(self, i: int, classes: Kinds) -> Target:
        """The weights q of token i."""

    def _target_row(self, i: int) -> Sequence[Real]:
        """For each class, its weight q_j if targets are dense, else whether it is the target."""
        return self.targets.row(i) if self.is_dense else only(int(self.targets.values[i]), self.classes)

    @property
    def distinct_classes(self) -> int:
        """How many classes of all tokens so far are not alike: what the memory goes into."""
        return sum(len(classes.first) for classes in self._classes.values())

    @property
    def is_dense(self) -> bool:
        """Whether targets are weights of all classes."""
        return self.targets.shape == self.logits.shape

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

    def target(self, i: int, classes: Kinds) -> DenseTarget:
        return DenseTarget(classes.samples(self.targets.row(i)), classes.counts)


@dataclass(frozen=True)
class BatchProblem(Problem):
    """The exact inputs of the functions whose targets are classes, or dense (VALUE-12)."""

    weights: ExactArray | None
    smoothing: Real
    factor: Real | None
    convention: Convention

    def target(self, i: int, classes: Kinds) -> Target:
        if self.is_dense:
            return DenseTarget(classes.samples(self.targets.row(i)), classes.counts)
        kind = classes.of[int(self.targets.values[i])]
        return HardTarget(kind, classes.counts, self.smoothing, self.convention)

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

    @cached_property
    def weighted_tokens(self) -> Kinds:
        """The tokens; alike are those of equal weights, too."""
        return self.tokens_by(map(self.weight, self.indices))

    def with_target(self) -> dict[int, int]:
        """The first of each kind of tokens whose target is in range, with how many they are."""
        tokens = self.weighted_tokens
        return {i: count for i, count in zip(tokens.first, tokens.counts, strict=True) if self.in_range(i)}

    def counted(self) -> dict[int, int]:
        """The first of each kind of tokens that are not excluded, with how many they are."""
        return {i: count for i, count in self.with_target().items() if not self.excluded(i)}

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
        weights = [(self.weight(i), count) for i, count in self.with_target().items()]
        finite = all(is_finite(w) for w, _ in weights)
        return sum((count * Fraction(w) for w, count in weights), Fraction(0)) if finite else math.nan

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


def _remembered(make: Callable[..., P]) -> Callable[..., P]:
    """Gives the same problem for equal arguments, with all that was computed of it: the outputs of a call, and its
    gradients for each cotangent, have their tokens in common. Only the last few are kept.
    """

    @functools.wraps(make)
    def made(*arguments: Any) -> P:
        key = (make.__name__, *map(_identity, arguments))
        if None in key:
            return make(*arguments)
        problem: P | None = _known.pop(key, None)
        for large in [other for other, kept in _known.items() if kept.distinct_classes > _LARGE]:
            del _known[large]
        _known[key] = problem = problem or make(*arguments)
        if len(_known) > _REMEMBERED:
            del _known[next(iter(_known))]
        return problem

    return made


def _identity(argument: Any) -> Hashable:
    """What tells this argument from others; None of what has no short identity, such as nested lists."""
    if hasattr(argument, "tobytes") and hasattr(argument, "dtype"):
        return str(argument.dtype), tuple(argument.shape), argument.tobytes()
    if argument is None or isinstance(argument, (int, float, Fraction, Convention)):
        return type(argument), repr(argument)
    return None


@_remembered
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


@_remembered
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
