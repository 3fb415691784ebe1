"""What a token predicts: the log-probability of its target, the likeliest class, and the entropy (VALUE-13 to
VALUE-15).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lossproof.reference._derivatives import stacked, targets_gradient, token_cotangents
from lossproof.reference._enclosure import EnclosureArray, refine_rows
from lossproof.reference._extended import added, scaled
from lossproof.reference._interval import Interval, exact, total
from lossproof.reference._losses import DIGITS, per_token
from lossproof.reference._problem import BatchProblem, batch_problem
from lossproof.reference._row import Value
from lossproof.reference._token import Token
from lossproof.spec import LOSSPROOF


class Prediction(NamedTuple):
    """Each token's further results."""

    target_log_probability: EnclosureArray
    predicted_class: EnclosureArray
    entropy: EnclosureArray


class PredictionGradients(NamedTuple):
    """Derivatives of (cotangents . further results), by each argument; by targets where they are dense."""

    logits: EnclosureArray
    targets: EnclosureArray | None


def prediction(
    logits: Any,
    targets: Any,
    *,
    logit_softcap: Any = None,
    ignore_index: int | None = None,
    digits: int = DIGITS,
) -> Prediction:
    """Each token's target_log_probability, predicted_class and entropy.

    Args:
      logits: [..., V], exact numbers (see `exact_array`).
      targets: [...], integers; outside [0, V) a token's results are 0, -1 and 0. Or [..., V], floating-point: dense.
      logit_softcap: None, or the cap of x = cap tanh(y / cap), applied to the logits y. A -inf stays a mask.
      ignore_index: a target that is excluded although it may be a class, or None.
      digits: decimal digits to settle.

    Returns:
      Enclosures of shape [...].

    Raises:
      ValueError: shapes do not fit, or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-11 to VALUE-15.
    """
    problem = _problem(logits, targets, logit_softcap, ignore_index)

    def of_token(i: int) -> list[Value]:
        if not problem.in_range(i):
            return [exact(0), exact(-1), exact(0)]
        token = problem.token(i)
        if token.undefined:
            return [math.nan, exact(-1), math.nan]
        entropy = added([token.log_sum, _mean_gap(token)])
        return [scaled(exact(-1), token.loss), exact(token.row.classes.first[token.row.top]), entropy]

    return Prediction(*per_token(of_token, 3, problem, problem.tokens, digits))


def prediction_gradients(
    logits: Any,
    targets: Any,
    *,
    cotangents: Mapping[str, Any],
    logit_softcap: Any = None,
    ignore_index: int | None = None,
    digits: int = DIGITS,
) -> PredictionGradients:
    """The gradient of sum(cotangents * results) over target_log_probability and entropy.

    Args:
      logits, targets, logit_softcap, ignore_index, digits: as in the function itself.
      cotangents: arrays of shape [...] for "target_log_probability" and "entropy"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape; by logits before the soft-cap.

    Raises:
      ValueError: shapes do not fit, or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-6, GRAD-12, GRAD-13.
    """
    problem = _problem(logits, targets, logit_softcap, ignore_index)
    by_target, by_entropy = (
        token_cotangents(cotangents, name, problem.shape) for name in ("target_log_probability", "entropy")
    )

    def row(i: int) -> list[Value]:
        if not problem.in_range(i):
            return [exact(0)] * problem.classes
        token = problem.token(i)
        of_target = token.logits_gradient(-exact(by_target[i]), exact(0), exact(0))
        of_entropy = [scaled(exact(by_entropy[i]), entry) for entry in _entropy_gradient(token)]
        return token.spread([added([*pair]) for pair in zip(of_target, of_entropy, strict=True)])

    tokens = problem.tokens_by(by_target, by_entropy)
    by_logits = stacked(problem.logits.shape, refine_rows(row, tokens, digits))
    by_dense = targets_gradient(problem, tokens, lambda i: -exact(by_target[i]), digits) if problem.is_dense else None
    return PredictionGradients(by_logits, by_dense)


def _problem(logits: Any, targets: Any, softcap: Any, ignore_index: int | None) -> BatchProblem:
    """Without smoothing and z-loss, minus the loss is the log-probability of the target."""
    convention = replace(LOSSPROOF, ignore_index=ignore_index)
    return batch_problem(logits, targets, None, 0, 0, None, softcap, convention)


def _mean_gap(token: Token) -> Interval:
    """sum_j p_j d_j: what is left of the entropy without log s; a masked class has no part in it."""
    terms = [exact(0) if isinstance(gap, float) else token.probability(j) * gap for j, gap in enumerate(token.gaps)]
    return total(terms, token.counts)


def _entropy_gradient(token: Token) -> list[Value]:
    """-p_j (log p_j + entropy) = p_j (d_j - sum_k p_k d_k), times the soft-cap's slope."""
    if token.undefined:
        return [math.nan for _ in token.kinds]
    mean, cap = _mean_gap(token), token.row.cap
    slopes = [exact(1) for _ in token.kinds] if cap is None else cap.slopes
    return [
        exact(0) if isinstance(gap, float) else token.probability(j) * (gap - mean) * slope
        for j, (gap, slope) in enumerate(zip(token.gaps, slopes, strict=True))
    ]
