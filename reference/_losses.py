"""The loss functions: SPEC.md's public API, exactly."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lossproof.reference._enclosure import Enclosure, EnclosureArray, refine, refine_rows
from lossproof.reference._extended import added, number, scaled
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
from lossproof.reference._interval import current_precision, exact
from lossproof.reference._token import LOSSPROOF, Convention, DenseTarget, HardTarget, Token, Value

DIGITS = 20  # more than the 17 of a float64


class TokenCrossEntropy(NamedTuple):
    """Each token's loss, z_loss and log_z."""

    loss: EnclosureArray
    z_loss: EnclosureArray
    log_z: EnclosureArray


class DenseCrossEntropy(NamedTuple):
    """Each token's loss and z_loss."""

    loss: EnclosureArray
    z_loss: EnclosureArray


class WeightedCrossEntropy(NamedTuple):
    """The batch's loss, z_loss and weight_sum."""

    loss: Enclosure
    z_loss: Enclosure
    weight_sum: Enclosure


@dataclass(frozen=True)
class HardProblem:
    """The exact inputs of the functions with integer targets."""

    logits: ExactArray
    targets: ExactArray
    weights: ExactArray | None
    smoothing: Real
    z_coefficient: Real
    factor: Real | None
    convention: Convention
    _tokens: dict[tuple[int, int], Token] = field(default_factory=dict, repr=False)  # by index and precision

    def in_range(self, i: int) -> bool:
        """EXCL-2."""
        t = self.targets.values[i]
        return 0 <= t < self.logits.shape[-1] and t != self.convention.ignore_index

    def weight(self, i: int) -> Real:
        """w_i."""
        return 1 if self.weights is None else self.weights.values[i]

    def excluded(self, i: int) -> bool:
        """EXCL-1, EXCL-2."""
        return not self.in_range(i) or self.weight(i) == 0

    def coefficient(self, i: int) -> Value:
        """c_i (VALUE-5): exactly 0 for an excluded token, nan where it is not a real number (STATE-8)."""
        if self.excluded(i):
            return exact(0)
        factor = 1 if self.factor is None else self.factor
        if not is_finite(self.weight(i)) or not is_finite(factor) or factor == 0:
            return math.nan
        return exact(self.weight(i)) / exact(factor)

    def token(self, i: int) -> Token:
        """The token at the working precision; its target must be in range."""
        key = (i, current_precision())
        if key not in self._tokens:
            self._tokens[key] = self._make_token(i)
        return self._tokens[key]

    def _make_token(self, i: int) -> Token:
        classes = self.logits.shape[-1]
        target = HardTarget(int(self.targets.values[i]), classes, self.smoothing, self.convention)
        row = self.logits.values[i * classes : (i + 1) * classes]
        return Token(row, target, self.z_coefficient, add_z_loss=self.convention.add_z_loss)

    @property
    def count(self) -> int:
        """The number of tokens."""
        return len(self.targets.values)

    @property
    def indices(self) -> range:
        """The tokens."""
        return range(self.count)


def hard_problem(
    logits: Any, targets: Any, weights: Any, label_smoothing: Any, z_loss: Any, factor: Any, convention: Convention
) -> HardProblem:
    """Converts and checks the inputs."""
    x, t = exact_array("logits", logits), exact_integers("targets", targets)
    w = None if weights is None else exact_array("weights", weights)
    check_shapes(x, targets=t, **({} if w is None else {"weights": w}))
    smoothing = exact_scalar("label_smoothing", label_smoothing)
    check_smoothing(smoothing)
    exact_factor = None if factor is None else exact_scalar("loss_normalizing_factor", factor)
    return HardProblem(x, t, w, smoothing, exact_scalar("z_loss", z_loss), exact_factor, convention)


def token_cross_entropy(
    logits: Any,
    targets: Any,
    *,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> TokenCrossEntropy:
    """Each token's loss, z_loss and log_z.

    Args:
      logits: [..., V], exact numbers (see `exact_array`).
      targets: [...], integers; outside [0, V) a token's results are 0.
      label_smoothing: e in [0, 1].
      z_loss: the coefficient k.
      convention: where losses differ on purpose.
      digits: decimal digits to settle.

    Returns:
      Enclosures of shape [...].

    Raises:
      ValueError: shapes do not fit, or e is outside [0, 1].
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-1 to VALUE-4, VALUE-8, STATE, EXCL-2.
    """
    problem = hard_problem(logits, targets, None, label_smoothing, z_loss, None, convention)

    def of_token(i: int) -> list[Value]:
        if not problem.in_range(i):
            return [exact(0)] * 3
        token = problem.token(i)
        return [token.loss, token.z_loss, token.log_z]

    return TokenCrossEntropy(*per_token(of_token, 3, problem.targets.shape, digits))


def compute_weighted_cross_entropy(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> WeightedCrossEntropy:
    """The batch's loss, z_loss and weight_sum.

    Args:
      logits: [..., V], exact numbers (see `exact_array`).
      targets: [...], integers.
      weights: [...], real numbers, or None for 1 each.
      label_smoothing: e in [0, 1].
      z_loss: the coefficient k.
      loss_normalizing_factor: L, or None for 1.
      convention: where losses differ on purpose.
      digits: decimal digits to settle.

    Returns:
      Three enclosures.

    Raises:
      ValueError: shapes do not fit, or e is outside [0, 1].
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-5, VALUE-6, STATE, EXCL.
    """
    problem = hard_problem(logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention)

    def totals() -> list[Value]:
        counted = [(problem.coefficient(i), problem.token(i)) for i in problem.indices if not problem.excluded(i)]
        loss = added([scaled(c, token.loss) for c, token in counted])
        z = added([scaled(c, token.z_loss) for c, token in counted])
        return [loss, z, added([number(problem.weight(i)) for i in problem.indices if problem.in_range(i)])]

    return WeightedCrossEntropy(*refine(totals, digits))


def cross_entropy_with_logits(logits: Any, targets: Any, z_loss: Any, *, digits: int = DIGITS) -> DenseCrossEntropy:
    """Each token's loss and z_loss for dense targets.

    Args:
      logits: [..., V], exact numbers (see `exact_array`).
      targets: [..., V], any real numbers.
      z_loss: the coefficient k.
      digits: decimal digits to settle.

    Returns:
      Enclosures of shape [...].

    Raises:
      ValueError: shapes do not fit.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-7, STATE-2, STATE-3.
    """
    tokens = dense_tokens(logits, targets, z_loss)

    def of_token(i: int) -> list[Value]:
        token = tokens(i)
        return [token.loss, token.z_loss]

    return DenseCrossEntropy(*per_token(of_token, 2, exact_array("logits", logits).shape[:-1], digits))


def dense_tokens(logits: Any, targets: Any, z_loss: Any) -> Callable[[int], Token]:
    """Converts and checks the inputs; gives the function that makes token i."""
    x, q = exact_array("logits", logits), exact_array("targets", targets)
    check_shapes(x)
    if x.shape != q.shape:
        raise ValueError(
            f"targets must have the shape of logits: logits {x.shape} need targets {x.shape}, got {q.shape}"
        )
    k = exact_scalar("z_loss", z_loss)
    rows = list(zip(x.rows(), q.rows(), strict=True))
    made: dict[tuple[int, int], Token] = {}

    def token(i: int) -> Token:
        key = (i, current_precision())
        if key not in made:
            made[key] = Token(rows[i][0], DenseTarget(rows[i][1]), k)
        return made[key]

    return token


def per_token(
    of_token: Callable[[int], Sequence[Value]], outputs: int, shape: tuple[int, ...], digits: int
) -> list[EnclosureArray]:
    """Refines each token's outputs and stacks them: one array per output."""
    tokens = refine_rows(of_token, math.prod(shape), digits)
    return [EnclosureArray(shape, tuple(token[output] for token in tokens)) for output in range(outputs)]
