"""The derivatives of the loss functions, in closed form (SPEC.md, GRAD)."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from lossproof.reference._enclosure import Enclosure, EnclosureArray, refine, refine_rows
from lossproof.reference._extended import added, number, scaled
from lossproof.reference._inputs import Real, exact_array, exact_scalar, is_finite
from lossproof.reference._interval import exact
from lossproof.reference._losses import DIGITS, HardProblem, dense_tokens, hard_problem
from lossproof.reference._token import LOSSPROOF, Convention, Token, Value


class WeightedGradients(NamedTuple):
    """Derivatives of (cotangents . outputs) of compute_weighted_cross_entropy, by each argument."""

    logits: EnclosureArray
    weights: EnclosureArray
    label_smoothing: Enclosure
    z_loss: Enclosure
    loss_normalizing_factor: Enclosure


class TokenGradients(NamedTuple):
    """Derivatives of (cotangents . outputs) of token_cross_entropy, by each argument."""

    logits: EnclosureArray
    label_smoothing: Enclosure
    z_loss: Enclosure


class DenseGradients(NamedTuple):
    """Derivatives of (cotangents . outputs) of cross_entropy_with_logits, by each argument."""

    logits: EnclosureArray
    targets: EnclosureArray
    z_loss: Enclosure


def compute_weighted_cross_entropy_gradients(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    cotangents: Mapping[str, Any],
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> WeightedGradients:
    """The gradient of sum(cotangent * output) over the outputs loss, z_loss and weight_sum.

    Args:
      logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention, digits: as in the
        function itself.
      cotangents: a number for "loss", "z_loss", "weight_sum"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape; by weights as if they were given where they are
      None, by the factor likewise at 1.

    Raises:
      ValueError: shapes do not fit, or e is outside [0, 1].
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-1 to GRAD-5, GRAD-7, EXCL, STATE.
    """
    problem = hard_problem(logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention)
    by_loss, by_z, by_weight_sum = (
        exact_scalar(name, cotangents.get(name, 0)) for name in ("loss", "z_loss", "weight_sum")
    )

    def rows(i: int) -> list[Value]:
        if problem.excluded(i):
            return [exact(0)] * problem.logits.shape[-1]
        c = problem.coefficient(i)
        return problem.token(i).logits_gradient(scaled(exact(by_loss), c), scaled(exact(by_z), c), exact(0))

    def by_weight(i: int) -> list[Value]:
        if not problem.in_range(i):
            return [exact(0)]
        return [added([_by_weight(problem, i, by_loss, by_z), exact(by_weight_sum)])]

    def by_scalars() -> list[Value]:
        counted = [(problem.coefficient(i), problem.token(i)) for i in problem.indices if not problem.excluded(i)]
        weight_of = exact(by_loss), exact(by_z)
        smoothing = added([scaled(c, token.smoothing_derivative()) for c, token in counted])
        squares = added([scaled(c, _lse_squared(token)) for c, token in counted])
        loss = added([scaled(c, token.loss) for c, token in counted])
        z = added([scaled(c, token.z_loss) for c, token in counted])
        outputs = added([scaled(weight_of[0], loss), scaled(weight_of[1], z)])
        in_loss = 1 if problem.convention.add_z_loss else 0
        return [
            scaled(weight_of[0], smoothing),
            scaled(weight_of[0] * in_loss + weight_of[1], squares),
            _by_factor(problem, outputs, empty=not counted),
        ]

    smoothing, k, factor = refine(by_scalars, digits)
    return WeightedGradients(
        _stack(problem.logits.shape, refine_rows(rows, problem.count, digits)),
        _stack(problem.targets.shape, refine_rows(by_weight, problem.count, digits)),
        smoothing,
        k,
        factor,
    )


def token_cross_entropy_gradients(
    logits: Any,
    targets: Any,
    *,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    cotangents: Mapping[str, Any],
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> TokenGradients:
    """The gradient of sum(cotangents * outputs) over the outputs loss, z_loss and log_z.

    Args:
      logits, targets, label_smoothing, z_loss, convention, digits: as in the function itself.
      cotangents: arrays of the targets' shape for "loss", "z_loss", "log_z"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape.

    Raises:
      ValueError: shapes do not fit, or e is outside [0, 1].
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-1, GRAD-3, GRAD-4, GRAD-7, EXCL-2, STATE.
    """
    problem = hard_problem(logits, targets, None, label_smoothing, z_loss, None, convention)
    given = [_cotangents(cotangents, name, problem.targets.shape) for name in ("loss", "z_loss", "log_z")]

    def rows(i: int) -> list[Value]:
        if not problem.in_range(i):
            return [exact(0)] * problem.logits.shape[-1]
        return problem.token(i).logits_gradient(*(exact(cotangent[i]) for cotangent in given))

    def by_scalars() -> list[Value]:
        tokens = [(i, problem.token(i)) for i in problem.indices if problem.in_range(i)]
        in_loss = 1 if problem.convention.add_z_loss else 0
        smoothing = [scaled(exact(given[0][i]), token.smoothing_derivative()) for i, token in tokens]
        squares = [
            scaled(exact(given[0][i]) * in_loss + exact(given[1][i]), _lse_squared(token)) for i, token in tokens
        ]
        return [added(smoothing), added(squares)]

    smoothing, k = refine(by_scalars, digits)
    return TokenGradients(_stack(problem.logits.shape, refine_rows(rows, problem.count, digits)), smoothing, k)


def cross_entropy_with_logits_gradients(
    logits: Any, targets: Any, z_loss: Any, *, cotangents: Mapping[str, Any], digits: int = DIGITS
) -> DenseGradients:
    """The gradient of sum(cotangents * outputs) over the outputs loss and z_loss.

    Args:
      logits, targets, z_loss, digits: as in the function itself.
      cotangents: arrays of shape [...] for "loss" and "z_loss"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape.

    Raises:
      ValueError: shapes do not fit.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-1, GRAD-3, GRAD-6, GRAD-7, STATE.
    """
    tokens = dense_tokens(logits, targets, z_loss)
    shape = exact_array("logits", logits).shape
    by_loss, by_z = (_cotangents(cotangents, name, shape[:-1]) for name in ("loss", "z_loss"))
    count = math.prod(shape[:-1])

    def rows(i: int) -> list[Value]:
        return tokens(i).logits_gradient(exact(by_loss[i]), exact(by_z[i]), exact(0))

    def by_targets(i: int) -> list[Value]:
        token = tokens(i)
        return [scaled(exact(by_loss[i]), token.shortfall(j)) for j in range(shape[-1])]

    def by_k() -> list[Value]:
        return [added([scaled(exact(by_loss[i]) + exact(by_z[i]), _lse_squared(tokens(i))) for i in range(count)])]

    (k,) = refine(by_k, digits)
    return DenseGradients(
        _stack(shape, refine_rows(rows, count, digits)),
        _stack(shape, refine_rows(by_targets, count, digits)),
        k,
    )


def weighted_hessian_vector_product(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    vector: Any,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> EnclosureArray:
    """The Hessian of compute_weighted_cross_entropy's loss by the logits, times `vector`.

    Args:
      logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention, digits: as in the
        function itself.
      vector: exact numbers of the logits' shape.

    Returns:
      Enclosures of the logits' shape.

    Raises:
      ValueError: shapes do not fit, or e is outside [0, 1].

    References:
      SPEC.md GRAD-9.
    """
    problem = hard_problem(logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention)
    v = exact_array("vector", vector)
    if v.shape != problem.logits.shape:
        raise ValueError(f"vector must have the shape of logits, {problem.logits.shape}, got {v.shape}")

    def row(i: int) -> list[Value]:
        if problem.excluded(i):
            return [exact(0)] * v.shape[-1]
        product = problem.token(i).hessian_vector_product([exact(number) for number in v.rows()[i]])
        return [scaled(problem.coefficient(i), element) for element in product]

    return _stack(v.shape, refine_rows(row, problem.count, digits))


def _by_weight(problem: HardProblem, i: int, by_loss: Real, by_z: Real) -> Value:
    """GRAD-2: loss_i / L, at weight 0 too."""
    token, factor = problem.token(i), 1 if problem.factor is None else problem.factor
    if isinstance(token.loss, float) or factor == 0 or not is_finite(factor):
        return exact(0)
    return (exact(by_loss) * token.loss + exact(by_z) * token.z_loss) / exact(factor)


def _by_factor(problem: HardProblem, outputs: Value, *, empty: bool) -> Value:
    """GRAD-5."""
    if empty:
        return exact(0)  # EXCL-3
    factor = number(1 if problem.factor is None else problem.factor)
    if isinstance(factor, float) or factor == 0:
        return math.nan
    return scaled(-1 / factor, outputs)


def _lse_squared(token: Token) -> Value:
    return token.log_z if isinstance(token.log_z, float) else token.log_z.square()


def _cotangents(cotangents: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> tuple[Real, ...]:
    if name not in cotangents:
        return (0,) * math.prod(shape)
    array = exact_array(name, cotangents[name])
    if array.shape != shape:
        raise ValueError(f"the cotangent of {name} must have the shape {shape}, got {array.shape}")
    return array.values


def _stack(shape: tuple[int, ...], rows: list[tuple[Enclosure, ...]]) -> EnclosureArray:
    return EnclosureArray(shape, tuple(element for row in rows for element in row))
