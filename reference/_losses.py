"""The loss functions: SPEC.md's public API, exactly.

They take whole rows. What a call with its classes split over devices must give (SPLIT-1 to SPLIT-5) is what these give
for the joined rows.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lossproof.reference._alike import Kinds
from lossproof.reference._enclosure import Enclosure, EnclosureArray, refine, refine_rows
from lossproof.reference._extended import added, number, scaled
from lossproof.reference._interval import exact
from lossproof.reference._problem import BatchProblem, Problem, batch_problem, dense_problem
from lossproof.reference._row import Value
from lossproof.spec import LOSSPROOF, Convention

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


def token_cross_entropy(
    logits: Any,
    targets: Any,
    *,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> TokenCrossEntropy:
    """Each token's loss, z_loss and log_z.

    Args:
      logits: [..., V], exact numbers (see `exact_array`).
      targets: [...], integers; outside [0, V) a token's results are 0. Or [..., V], floating-point: dense.
      label_smoothing: e in [0, 1].
      z_loss: the coefficient k.
      logit_softcap: None, or the cap of x = cap tanh(y / cap), applied to the logits y. A -inf stays a mask.
      convention: where losses differ on purpose.
      digits: decimal digits to settle.

    Returns:
      Enclosures of shape [...].

    Raises:
      ValueError: shapes do not fit, e is outside [0, 1] or not 0 with dense targets, or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-1 to VALUE-4, VALUE-8, VALUE-11, VALUE-12, STATE, EXCL-2.
    """
    problem = batch_problem(logits, targets, None, label_smoothing, z_loss, None, logit_softcap, convention)

    def of_token(i: int) -> list[Value]:
        if not problem.in_range(i):
            return [exact(0)] * 3
        token = problem.token(i)
        return [token.loss, token.z_loss, token.log_z]

    return TokenCrossEntropy(*per_token(of_token, 3, problem, problem.tokens, digits))


def compute_weighted_cross_entropy(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> WeightedCrossEntropy:
    """The batch's loss, z_loss and weight_sum.

    Args:
      logits: [..., V], exact numbers (see `exact_array`).
      targets: [...], integers; or [..., V], floating-point: dense.
      weights: [...], real numbers, or None for 1 each.
      label_smoothing: e in [0, 1].
      z_loss: the coefficient k.
      loss_normalizing_factor: L, or None for 1.
      logit_softcap: None, or the cap of x = cap tanh(y / cap), applied to the logits y. A -inf stays a mask.
      convention: where losses differ on purpose.
      digits: decimal digits to settle.

    Returns:
      Three enclosures.

    Raises:
      ValueError: shapes do not fit, e is outside [0, 1] or not 0 with dense targets, or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-5, VALUE-6, VALUE-11, VALUE-12, STATE, EXCL.
    """
    return weighted_totals(
        batch_problem(
            logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention
        ),
        digits,
    )


def weighted_totals(problem: BatchProblem, digits: int) -> WeightedCrossEntropy:
    """The three outputs of a batch."""

    def totals() -> list[Value]:
        indices, counts = [*problem.counted()], [*problem.counted().values()]
        counted = [(problem.coefficient(i), problem.token(i)) for i in indices]
        empty_mean = not counted and problem.convention.reduction == "mean"
        loss = math.nan if empty_mean else added([scaled(c, token.loss) for c, token in counted], counts)
        z = math.nan if empty_mean else added([scaled(c, token.z_loss) for c, token in counted], counts)
        weights = problem.with_target()
        return [loss, z, added([number(problem.weight(i)) for i in weights], [*weights.values()])]

    return WeightedCrossEntropy(*refine(totals, digits))


def cross_entropy_with_logits(
    logits: Any, targets: Any, z_loss: Any, *, logit_softcap: Any = None, digits: int = DIGITS
) -> DenseCrossEntropy:
    """Each token's loss and z_loss for dense targets.

    Args:
      logits: [..., V], exact numbers (see `exact_array`).
      targets: [..., V], any real numbers.
      z_loss: the coefficient k.
      logit_softcap: None, or the cap of x = cap tanh(y / cap), applied to the logits y. A -inf stays a mask.
      digits: decimal digits to settle.

    Returns:
      Enclosures of shape [...].

    Raises:
      ValueError: shapes do not fit, or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-7, STATE-2, STATE-3.
    """
    problem = dense_problem(logits, targets, z_loss, logit_softcap)

    def of_token(i: int) -> list[Value]:
        token = problem.token(i)
        return [token.loss, token.z_loss]

    return DenseCrossEntropy(*per_token(of_token, 2, problem, problem.tokens, digits))


def per_token(
    of_token: Callable[[int], Sequence[Value]], outputs: int, problem: Problem, tokens: Kinds, digits: int
) -> list[EnclosureArray]:
    """Refines each token's outputs and stacks them: one array per output."""
    rows = refine_rows(of_token, tokens, digits)
    return [EnclosureArray(problem.shape, tuple(row[output] for row in rows)) for output in range(outputs)]
