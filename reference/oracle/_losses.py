"""The loss functions of SPEC.md, for hard targets, as brackets."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from lossproof.reference._inputs import is_finite
from lossproof.reference.oracle._ball import Ball, Value, added, ball, scaled, words
from lossproof.reference.oracle._double_double import Array
from lossproof.reference.oracle._problem import Problem, make_problem
from lossproof.reference.oracle._tokens import Token, tokens
from lossproof.spec import LOSSPROOF, Convention


class Bracket(NamedTuple):
    """Real numbers, each within `radius` of `high + low`; float64 arrays of one shape.

    nan and the infinities stand in `high`, with `low` and `radius` 0; so does, as an infinity, a number beyond the
    float64 range. A radius is inf where something on the way to the number is beyond it, such as a sum of gaps.
    """

    high: Array
    low: Array
    radius: Array


class TokenCrossEntropy(NamedTuple):
    """Each token's loss, z_loss and log_z."""

    loss: Bracket
    z_loss: Bracket
    log_z: Bracket


class WeightedCrossEntropy(NamedTuple):
    """The batch's loss, z_loss and weight_sum."""

    loss: Bracket
    z_loss: Bracket
    weight_sum: Bracket


def token_cross_entropy(
    logits: Any, targets: Any, *, label_smoothing: Any = 0.0, z_loss: Any = 0.0, convention: Convention = LOSSPROOF
) -> TokenCrossEntropy:
    """Each token's loss, z_loss and log_z.

    Args:
      logits: [..., V], an array of bfloat16, float16, float32 or float64, taken as exact.
      targets: [...], integers; outside [0, V) a token's results are 0.
      label_smoothing: e in [0, 1].
      z_loss: the coefficient k.
      convention: where losses differ on purpose.

    Returns:
      Brackets of shape [...].

    Raises:
      ValueError: shapes do not fit, or label_smoothing is outside [0, 1].
      TypeError: an input is not of the kind named above.

    Example:
      >>> import numpy as np
      >>> from lossproof.reference import oracle
      >>> loss = oracle.token_cross_entropy(np.array([[1.0, 2.0, 3.0]]), np.array([0])).loss
      >>> float(loss.high[0]), bool(loss.radius[0] < 1e-28)
      (2.40760596444438, True)

    References:
      SPEC.md VALUE-1 to VALUE-4, VALUE-8, STATE, EXCL-2; docs/oracle-proof.md.
    """
    problem = make_problem(logits, targets, None, label_smoothing, z_loss, None, convention)
    results: list[tuple[Value, ...]] = [(Ball(0),) * 3] * len(problem.targets)
    for i, token in _counted(problem):
        results[i] = (math.nan,) * 3 if token is None else (token.loss, token.z_loss, token.log_z)
    columns = zip(*results, strict=True) if results else [()] * 3
    return TokenCrossEntropy(*(_bracket(column, problem.shape) for column in columns))


def compute_weighted_cross_entropy(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    convention: Convention = LOSSPROOF,
) -> WeightedCrossEntropy:
    """The batch's loss, z_loss and weight_sum.

    Args:
      logits: [..., V], an array of bfloat16, float16, float32 or float64, taken as exact.
      targets: [...], integers.
      weights: [...], real numbers, or None for 1 each.
      label_smoothing: e in [0, 1].
      z_loss: the coefficient k.
      loss_normalizing_factor: L, or None for 1.
      convention: where losses differ on purpose.

    Returns:
      Brackets of shape ().

    Raises:
      ValueError: shapes do not fit, or label_smoothing is outside [0, 1].
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-5, VALUE-6, STATE, EXCL; docs/oracle-proof.md.
    """
    problem = make_problem(logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention)
    losses, z_losses = [], []
    for i, token in _counted(problem):
        c = problem.coefficient(i)
        losses.append(math.nan if token is None else scaled(c, token.loss))
        z_losses.append(math.nan if token is None else scaled(c, token.z_loss))
    in_range = [problem.weight(i) for i in range(len(problem.targets)) if problem.in_range(i)]
    weight_sum = added(ball(weight) if is_finite(weight) else float(weight) for weight in in_range)
    return WeightedCrossEntropy(*(_bracket([total], ()) for total in (added(losses), added(z_losses), weight_sum)))


def _counted(problem: Problem) -> Iterable[tuple[int, Token | None]]:
    for block in problem.blocks():
        indices = [i for i in block if not problem.excluded(i)]
        yield from zip(indices, tokens(problem, indices), strict=True)


def _bracket(values: Iterable[Value], shape: tuple[int, ...]) -> Bracket:
    columns = np.array([words(value) for value in values], np.float64).reshape(-1, 3).T
    return Bracket(*(column.reshape(shape) for column in columns))
