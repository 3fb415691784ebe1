"""The derivatives of the loss functions by each of their arguments, in closed form (SPEC.md, GRAD)."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import chain
from typing import Any, NamedTuple

from lossproof.reference._alike import Kinds
from lossproof.reference._enclosure import Enclosure, EnclosureArray, refine, refine_rows
from lossproof.reference._extended import added, scaled
from lossproof.reference._inputs import Real, exact_array, exact_scalar, is_finite
from lossproof.reference._interval import exact
from lossproof.reference._losses import DIGITS
from lossproof.reference._problem import BatchProblem, DenseProblem, Problem, batch_problem, dense_problem
from lossproof.reference._row import Value
from lossproof.reference._token import Token
from lossproof.spec import LOSSPROOF, Convention


class WeightedGradients(NamedTuple):
    """Derivatives of (cotangents . outputs) of compute_weighted_cross_entropy, by each argument; by targets where they
    are dense.
    """

    logits: EnclosureArray
    weights: EnclosureArray
    label_smoothing: Enclosure
    z_loss: Enclosure
    loss_normalizing_factor: Enclosure
    targets: EnclosureArray | None


class TokenGradients(NamedTuple):
    """Derivatives of (cotangents . outputs) of token_cross_entropy, by each argument; by targets where they are
    dense.
    """

    logits: EnclosureArray
    label_smoothing: Enclosure
    z_loss: Enclosure
    targets: EnclosureArray | None


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
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> WeightedGradients:
    """The gradient of sum(cotangent * output) over the outputs loss, z_loss and weight_sum.

    Args:
      logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention, digits: as
        in the function itself.
      cotangents: a number for "loss", "z_loss", "weight_sum"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape; by weights as if they were given where they are
      None, by the factor likewise at 1, by logits before the soft-cap.

    Raises:
      ValueError: shapes do not fit, e is outside [0, 1], or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-1 to GRAD-5, GRAD-7, EXCL, STATE.
    """
    problem = batch_problem(
        logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention
    )
    by_loss, by_z, by_weight_sum = batch_cotangents(cotangents)
    by_weights = batch_weights_gradient(problem, by_loss, by_z, by_weight_sum, digits)
    smoothing, k, factor = refine(lambda: by_batch_scalars(problem, by_loss, by_z), digits)
    tokens = problem.weighted_tokens
    rows = refine_rows(lambda i: by_batch_row(problem, i, by_loss, by_z), tokens, digits)
    by_dense = _dense_targets_gradient(problem, tokens, lambda i: problem.scaled_by_coefficient(i, by_loss)[0], digits)
    return WeightedGradients(stacked(problem.logits.shape, rows), by_weights, smoothing, k, factor, by_dense)


def token_cross_entropy_gradients(
    logits: Any,
    targets: Any,
    *,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    cotangents: Mapping[str, Any],
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> TokenGradients:
    """The gradient of sum(cotangents * outputs) over the outputs loss, z_loss and log_z.

    Args:
      logits, targets, label_smoothing, z_loss, logit_softcap, convention, digits: as in the function itself.
      cotangents: arrays of the targets' shape for "loss", "z_loss", "log_z"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape; by logits before the soft-cap.

    Raises:
      ValueError: shapes do not fit, e is outside [0, 1], or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-1, GRAD-3, GRAD-4, GRAD-7, EXCL-2, STATE.
    """
    problem = batch_problem(logits, targets, None, label_smoothing, z_loss, None, logit_softcap, convention)
    given = [token_cotangents(cotangents, name, problem.shape) for name in ("loss", "z_loss", "log_z")]
    tokens = problem.tokens_by(*given)

    def row(i: int) -> list[Value]:
        return by_token_row(problem, i, *(cotangent[i] for cotangent in given))

    def scalars() -> list[Value]:
        found = [by_token_scalars(problem, i, given[0][i], given[1][i]) for i in tokens.first]
        return [
            added([smoothing for smoothing, _ in found], tokens.counts),
            added([k for _, k in found], tokens.counts),
        ]

    smoothing, k = refine(scalars, digits)
    rows = refine_rows(row, tokens, digits)
    by_dense = _dense_targets_gradient(problem, tokens, lambda i: exact(given[0][i]), digits)
    return TokenGradients(stacked(problem.logits.shape, rows), smoothing, k, by_dense)


def cross_entropy_with_logits_gradients(
    logits: Any,
    targets: Any,
    z_loss: Any,
    *,
    cotangents: Mapping[str, Any],
    logit_softcap: Any = None,
    digits: int = DIGITS,
) -> DenseGradients:
    """The gradient of sum(cotangents * outputs) over the outputs loss and z_loss.

    Args:
      logits, targets, z_loss, logit_softcap, digits: as in the function itself.
      cotangents: arrays of shape [...] for "loss" and "z_loss"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape; by logits before the soft-cap.

    Raises:
      ValueError: shapes do not fit, or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-1, GRAD-3, GRAD-6, GRAD-7, STATE.
    """
    problem = dense_problem(logits, targets, z_loss, logit_softcap)
    by_loss, by_z = (token_cotangents(cotangents, name, problem.shape) for name in ("loss", "z_loss"))
    tokens = problem.tokens_by(by_loss, by_z)

    def row(i: int) -> list[Value]:
        return by_dense_row(problem, i, by_loss[i], by_z[i])

    def by_k() -> list[Value]:
        return [added([by_dense_k(problem, i, by_loss[i], by_z[i]) for i in tokens.first], tokens.counts)]

    (k,) = refine(by_k, digits)
    return DenseGradients(
        stacked(problem.logits.shape, refine_rows(row, tokens, digits)),
        targets_gradient(problem, tokens, lambda i: exact(by_loss[i]), digits),
        k,
    )


# The same derivatives at the working precision, for the functions above and for what is made of them.


def by_batch_row(problem: BatchProblem, i: int, by_loss: Real, by_z: Real) -> list[Value]:
    """By the logits of token i of a batch."""
    if problem.excluded(i):
        return [exact(0)] * problem.classes
    loss, z = problem.scaled_by_coefficient(i, by_loss, by_z)
    token = problem.token(i)
    return token.spread(token.logits_gradient(loss, z, exact(0)))


def by_batch_weight(problem: BatchProblem, i: int, by_loss: Real, by_z: Real, by_weight_sum: Real) -> Value:
    """GRAD-2: loss_i / L, at weight 0 too; of a loss that is no number 0, but a mean's divisor moves all the same."""
    if not problem.in_range(i):
        return exact(0)
    token, is_mean = problem.token(i), problem.convention.reduction == "mean"
    is_finite = not isinstance(token.loss, float)
    if problem.divisor is None or not (is_finite or is_mean):
        return exact(by_weight_sum)
    value: Value = exact(by_loss) * token.loss + exact(by_z) * token.z_loss if is_finite else exact(0)
    if is_mean:  # the sum of the weights, by which is divided, moves too
        counted = problem.counted()
        parts = [scaled(exact(problem.weight(n)), _outputs(problem.token(n), by_loss, by_z)) for n in counted]
        whole = added(parts, [*counted.values()])
        value = added([value, scaled(-1 / exact(problem.reduced_by()), whole)])
    return added([value / exact(problem.divisor), exact(by_weight_sum)])


def by_batch_scalars(problem: BatchProblem, by_loss: Real, by_z: Real) -> list[Value]:
    """By label_smoothing, z_loss and loss_normalizing_factor (GRAD-4, GRAD-3, GRAD-5)."""
    indices, counts = [*problem.counted()], [*problem.counted().values()]
    counted = [(problem.coefficient(i), problem.token(i)) for i in indices]
    smoothing = added([scaled(c, token.smoothing_derivative()) for c, token in counted], counts)
    squares = added([scaled(c, token.log_z_squared) for c, token in counted], counts)
    parts = [scaled(_weight(problem, i), _outputs(problem.token(i), by_loss, by_z)) for i in indices]
    in_loss = by_loss if problem.adds_z_loss else 0
    return [
        scaled(exact(by_loss), smoothing),
        scaled(exact(in_loss) + exact(by_z), squares),
        _by_factor(problem, added(parts, counts), empty=not counted),
    ]


def by_token_row(problem: BatchProblem, i: int, *cotangents: Real) -> list[Value]:
    """By the logits of a token, with the cotangents of loss, z_loss and log_z."""
    if not problem.in_range(i):
        return [exact(0)] * problem.classes
    by_loss, by_z, by_log_z = map(exact, cotangents)
    token = problem.token(i)
    return token.spread(token.logits_gradient(by_loss, by_z, by_log_z))


def by_token_scalars(problem: BatchProblem, i: int, by_loss: Real, by_z: Real) -> tuple[Value, Value]:
    """By label_smoothing and z_loss, of one token."""
    if not problem.in_range(i):
        return exact(0), exact(0)
    token = problem.token(i)
    in_loss = by_loss if problem.adds_z_loss else 0
    return (
        scaled(exact(by_loss), token.smoothing_derivative()),
        scaled(exact(in_loss) + exact(by_z), token.log_z_squared),
    )


def by_dense_row(problem: DenseProblem, i: int, by_loss: Real, by_z: Real) -> list[Value]:
    """By the logits of a token with dense targets."""
    token = problem.token(i)
    return token.spread(token.logits_gradient(exact(by_loss), exact(by_z), exact(0)))


def by_dense_k(problem: DenseProblem, i: int, by_loss: Real, by_z: Real) -> Value:
    """By z_loss, of one token with dense targets."""
    return scaled(exact(by_loss) + exact(by_z), problem.token(i).log_z_squared)


def by_targets(problem: Problem, i: int, by_loss: Value) -> list[Value]:
    """GRAD-6."""
    token = problem.token(i)
    return token.spread([scaled(by_loss, token.shortfall(j)) for j in token.kinds])


def targets_gradient(problem: Problem, tokens: Kinds, by_loss: Callable[[int], Value], digits: int) -> EnclosureArray:
    """By the dense targets of every token, with the cotangent of each token's loss; equal where tokens are alike."""
    rows = refine_rows(lambda i: by_targets(problem, i, by_loss(i)), tokens, digits)
    return stacked(problem.logits.shape, rows)


def batch_weights_gradient(
    problem: BatchProblem, by_loss: Real, by_z: Real, by_weight_sum: Real, digits: int
) -> EnclosureArray:
    """By every weight of a batch."""

    def row(i: int) -> list[Value]:
        return [by_batch_weight(problem, i, by_loss, by_z, by_weight_sum)]

    return stacked(problem.shape, refine_rows(row, problem.tokens, digits))


def batch_cotangents(cotangents: Mapping[str, Any]) -> tuple[Real, ...]:
    """The cotangents of loss, z_loss and weight_sum."""
    return tuple(exact_scalar(name, cotangents.get(name, 0)) for name in ("loss", "z_loss", "weight_sum"))


def token_cotangents(cotangents: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> tuple[Real, ...]:
    """The cotangents of one output, token by token."""
    if name not in cotangents:
        return (0,) * math.prod(shape)
    array = exact_array(name, cotangents[name])
    if array.shape != shape:
        raise ValueError(f"the cotangent of {name} must have the shape {shape}, got {array.shape}")
    return array.values


def stacked(shape: tuple[int, ...], rows: list[tuple[Enclosure, ...]]) -> EnclosureArray:
    """The rows of an array, one after the other."""
    return EnclosureArray(shape, tuple(chain.from_iterable(rows)))


def _dense_targets_gradient(
    problem: BatchProblem, tokens: Kinds, by_loss: Callable[[int], Value], digits: int
) -> EnclosureArray | None:
    return targets_gradient(problem, tokens, by_loss, digits) if problem.is_dense else None


def _outputs(token: Token, by_loss: Real, by_z: Real) -> Value:
    return added([scaled(exact(by_loss), token.loss), scaled(exact(by_z), token.z_loss)])


def _by_factor(problem: BatchProblem, outputs: Value, *, empty: bool) -> Value:
    """GRAD-5."""
    if empty:
        return exact(0)  # EXCL-3
    if problem.divisor is None:
        return math.nan
    square = exact(problem.divisor * (1 if problem.factor is None else Fraction(problem.factor)))
    return scaled(-1 / square, outputs) if isinstance(outputs, float) else -outputs / square


def _weight(problem: BatchProblem, i: int) -> Value:
    weight = problem.weight(i)
    return exact(weight) if is_finite(weight) else math.nan
