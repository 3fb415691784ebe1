"""Derivatives along a direction: the same linear maps as the gradients (SPEC.md, GRAD-8), and Hessians times a vector
(GRAD-9).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lossproof.reference._alike import Kinds, kinds_of
from lossproof.reference._derivatives import (
    batch_cotangents,
    by_batch_row,
    by_batch_scalars,
    by_batch_weight,
    by_dense_k,
    by_dense_row,
    by_targets,
    by_token_row,
    by_token_scalars,
    stacked,
    token_cotangents,
)
from lossproof.reference._enclosure import EnclosureArray, refine, refine_rows
from lossproof.reference._extended import added, scaled
from lossproof.reference._inputs import ExactArray, Real, exact_array, exact_scalar, is_finite
from lossproof.reference._interval import exact
from lossproof.reference._losses import (
    DIGITS,
    DenseCrossEntropy,
    TokenCrossEntropy,
    WeightedCrossEntropy,
    per_token,
)
from lossproof.reference._problem import Problem, batch_problem, dense_problem
from lossproof.reference._row import Value
from lossproof.spec import LOSSPROOF, Convention

_LOSS = {"loss": 1}


def compute_weighted_cross_entropy_jvp(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    tangents: Mapping[str, Any],
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> WeightedCrossEntropy:
    """The derivatives of loss, z_loss and weight_sum along a direction.

    Args:
      logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention, digits: as
        in the function itself.
      tangents: by argument's name, finite numbers of its shape: "logits", "weights", "label_smoothing", "z_loss",
        "loss_normalizing_factor"; 0 where missing, and 0 times an infinite derivative is 0.

    Returns:
      Three enclosures.

    Raises:
      ValueError: shapes do not fit, a tangent is unknown or not finite, e is outside [0, 1], or the cap is not
        positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-8.
    """
    problem = batch_problem(
        logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention
    )
    _check_names(tangents, "logits", "weights", "label_smoothing", "z_loss", "loss_normalizing_factor")
    v = _tangent(tangents, "logits", problem.logits.shape)
    v_weights = _tangent(tangents, "weights", problem.shape)
    v_scalars = [_scalar_tangent(tangents, name) for name in ("label_smoothing", "z_loss", "loss_normalizing_factor")]

    v_rows = v.rows()
    tokens = problem.tokens_by(map(problem.weight, problem.indices), v_rows, v_weights.values)

    def along(by_loss: int, by_z: int, by_weight_sum: int) -> Value:
        terms = _products(v_scalars, by_batch_scalars, problem, by_loss, by_z)
        for i, count in zip(tokens.first, tokens.counts, strict=True):
            of_token = _products(v_rows[i], by_batch_row, problem, i, by_loss, by_z)
            v_weight = [v_weights.values[i]]
            of_token += _products(v_weight, _only(by_batch_weight), problem, i, by_loss, by_z, by_weight_sum)
            terms += [(term, count * times) for term, times in of_token]
        return _added(terms)

    return WeightedCrossEntropy(*refine(lambda: [along(1, 0, 0), along(0, 1, 0), along(0, 0, 1)], digits))


def token_cross_entropy_jvp(
    logits: Any,
    targets: Any,
    *,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    tangents: Mapping[str, Any],
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> TokenCrossEntropy:
    """The derivatives of each token's loss, z_loss and log_z along a direction.

    Args:
      logits, targets, label_smoothing, z_loss, logit_softcap, convention, digits: as in the function itself.
      tangents: by argument's name, finite numbers of its shape: "logits", "label_smoothing", "z_loss"; 0 where missing,
        and 0 times an infinite derivative is 0.

    Returns:
      Enclosures of shape [...].

    Raises:
      ValueError, TypeError: as `compute_weighted_cross_entropy_jvp`.

    References:
      SPEC.md GRAD-8.
    """
    problem = batch_problem(logits, targets, None, label_smoothing, z_loss, None, logit_softcap, convention)
    _check_names(tangents, "logits", "label_smoothing", "z_loss")
    v = _tangent(tangents, "logits", problem.logits.shape)
    v_scalars = [_scalar_tangent(tangents, name) for name in ("label_smoothing", "z_loss")]

    def of_token(i: int) -> list[Value]:
        return [
            _added(
                _products(v.row(i), by_token_row, problem, i, *by)
                + _products(v_scalars, by_token_scalars, problem, i, *by[:2])
            )
            for by in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
        ]

    return TokenCrossEntropy(*per_token(of_token, 3, problem, problem.tokens_by(v.rows()), digits))


def cross_entropy_with_logits_jvp(
    logits: Any,
    targets: Any,
    z_loss: Any,
    *,
    tangents: Mapping[str, Any],
    logit_softcap: Any = None,
    digits: int = DIGITS,
) -> DenseCrossEntropy:
    """The derivatives of each token's loss and z_loss along a direction, for dense targets.

    Args:
      logits, targets, z_loss, logit_softcap, digits: as in the function itself.
      tangents: by argument's name, finite numbers of its shape: "logits", "targets", "z_loss"; 0 where missing, and 0
        times an infinite derivative is 0.

    Returns:
      Enclosures of shape [...].

    Raises:
      ValueError, TypeError: as `compute_weighted_cross_entropy_jvp`.

    References:
      SPEC.md GRAD-8.
    """
    problem = dense_problem(logits, targets, z_loss, logit_softcap)
    _check_names(tangents, "logits", "targets", "z_loss")
    v = _tangent(tangents, "logits", problem.logits.shape)
    v_targets = _tangent(tangents, "targets", problem.logits.shape)
    v_k = _scalar_tangent(tangents, "z_loss")

    def of_token(i: int) -> list[Value]:
        return [
            _added(
                _products(v.row(i), by_dense_row, problem, i, *by)
                + _products(v_targets.row(i), by_targets, problem, i, exact(by[0]))
                + _products([v_k], _only(by_dense_k), problem, i, *by)
            )
            for by in ((1, 0), (0, 1))
        ]

    tokens = problem.tokens_by(v.rows(), v_targets.rows())
    return DenseCrossEntropy(*per_token(of_token, 2, problem, tokens, digits))


def weighted_hessian_vector_product(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    vector: Any,
    cotangents: Mapping[str, Any] = _LOSS,
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> EnclosureArray:
    """The Hessian by the logits of sum(cotangent * output) of compute_weighted_cross_entropy, times `vector`.

    Args:
      logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention, digits: as
        in the function itself.
      vector: finite numbers of the logits' shape.
      cotangents: a number for "loss" and "z_loss"; 0 where missing.

    Returns:
      Enclosures of the logits' shape.

    Raises:
      ValueError: shapes do not fit, e is outside [0, 1], or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-9.
    """
    problem = batch_problem(
        logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention
    )
    by_loss, by_z, _ = batch_cotangents(cotangents)

    def cotangents_of(i: int) -> list[Value] | None:
        return None if problem.excluded(i) else [*problem.scaled_by_coefficient(i, by_loss, by_z), exact(0)]

    return _hessian_vector_product(problem, vector, problem.weighted_tokens, cotangents_of, digits)


def token_hessian_vector_product(
    logits: Any,
    targets: Any,
    *,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    vector: Any,
    cotangents: Mapping[str, Any],
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> EnclosureArray:
    """The Hessian by the logits of sum(cotangents * outputs) of token_cross_entropy, times `vector`.

    Args:
      logits, targets, label_smoothing, z_loss, logit_softcap, convention, digits: as in the function itself.
      vector: finite numbers of the logits' shape.
      cotangents: arrays of the targets' shape for "loss", "z_loss", "log_z"; 0 where missing.

    Returns:
      Enclosures of the logits' shape.

    Raises:
      ValueError, TypeError: as `weighted_hessian_vector_product`.

    References:
      SPEC.md GRAD-9.
    """
    problem = batch_problem(logits, targets, None, label_smoothing, z_loss, None, logit_softcap, convention)
    given = [token_cotangents(cotangents, name, problem.shape) for name in ("loss", "z_loss", "log_z")]

    def cotangents_of(i: int) -> list[Value] | None:
        return [exact(cotangent[i]) for cotangent in given] if problem.in_range(i) else None

    return _hessian_vector_product(problem, vector, problem.tokens_by(*given), cotangents_of, digits)


def dense_hessian_vector_product(
    logits: Any,
    targets: Any,
    z_loss: Any,
    *,
    vector: Any,
    cotangents: Mapping[str, Any],
    logit_softcap: Any = None,
    digits: int = DIGITS,
) -> EnclosureArray:
    """The Hessian by the logits of sum(cotangents * outputs) of cross_entropy_with_logits, times `vector`.

    Args:
      logits, targets, z_loss, logit_softcap, digits: as in the function itself.
      vector: finite numbers of the logits' shape.
      cotangents: arrays of shape [...] for "loss" and "z_loss"; 0 where missing.

    Returns:
      Enclosures of the logits' shape.

    Raises:
      ValueError, TypeError: as `weighted_hessian_vector_product`.

    References:
      SPEC.md GRAD-9.
    """
    problem = dense_problem(logits, targets, z_loss, logit_softcap)
    by_loss, by_z = (token_cotangents(cotangents, name, problem.shape) for name in ("loss", "z_loss"))

    def cotangents_of(i: int) -> list[Value]:
        return [exact(by_loss[i]), exact(by_z[i]), exact(0)]

    return _hessian_vector_product(problem, vector, problem.tokens_by(by_loss, by_z), cotangents_of, digits)


def _hessian_vector_product(
    problem: Problem, vector: Any, tokens: Kinds, cotangents_of: Callable[[int], list[Value] | None], digits: int
) -> EnclosureArray:
    """Row by row; a token without cotangents does not count."""
    v = exact_array("vector", vector)
    if v.shape != problem.logits.shape:
        raise ValueError(f"vector must have the shape of logits, {problem.logits.shape}, got {v.shape}")

    def row(i: int) -> list[Value]:
        cotangents = cotangents_of(i)
        if cotangents is None:
            return [exact(0)] * problem.classes
        token = problem.token(i, v.row(i))
        entries = [exact(element) for element in token.row.classes.samples(v.row(i))]
        return token.spread(token.hessian_vector_product(entries, *cotangents))

    return stacked(v.shape, refine_rows(row, kinds_of(tokens.of, v.rows()), digits))


def _products(
    tangents: Sequence[Real], derivatives: Callable[..., Sequence[Value]], *arguments: Any
) -> list[tuple[Value, int]]:
    """Tangents times derivatives(*arguments), each with how many there are of it; the derivatives are not asked for
    where all tangents are 0.
    """
    if not any(tangents):
        return []
    by = derivatives(*arguments)
    alike = kinds_of(tangents, map(id, by))
    return [(scaled(exact(tangents[j]), by[j]), count) for j, count in zip(alike.first, alike.counts, strict=True)]


def _added(products: list[tuple[Value, int]]) -> Value:
    return added([product for product, _ in products], [count for _, count in products])


def _only(derivative: Callable[..., Value]) -> Callable[..., list[Value]]:
    return lambda *arguments: [derivative(*arguments)]


def _check_names(tangents: Mapping[str, Any], *names: str) -> None:
    unknown = sorted(tangents.keys() - set(names))
    if unknown:
        raise ValueError(f"tangents must be of {', '.join(names)}, got {', '.join(unknown)}")


def _tangent(tangents: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> ExactArray:
    if name not in tangents:
        return ExactArray(shape, (0,) * math.prod(shape))
    array = exact_array(name, tangents[name])
    if array.shape != shape or not all(map(is_finite, array.values)):
        raise ValueError(f"the tangent of {name} must be finite numbers of the shape {shape}, got {array.shape}")
    return array


def _scalar_tangent(tangents: Mapping[str, Any], name: str) -> Real:
    tangent = exact_scalar(name, tangents.get(name, 0))
    if not is_finite(tangent):
        raise ValueError(f"the tangent of {name} must be a finite number, got {tangent}")
    return tangent
