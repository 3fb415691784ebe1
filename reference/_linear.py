"""The loss fused with the linear layer before it: logits are exact dot products, soft-capped or not."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from lossproof.reference._alike import kinds_of
from lossproof.reference._derivatives import (
    batch_cotangents,
    batch_weights_gradient,
    by_batch_row,
    by_batch_scalars,
    stacked,
)
from lossproof.reference._enclosure import Enclosure, EnclosureArray, refine, refine_rows
from lossproof.reference._extended import added, number, scaled
from lossproof.reference._inputs import ExactArray, Real, exact_array, is_finite
from lossproof.reference._interval import current_precision
from lossproof.reference._losses import DIGITS, WeightedCrossEntropy, weighted_totals
from lossproof.reference._problem import BatchProblem, batch_problem
from lossproof.reference._row import Value
from lossproof.spec import LOSSPROOF, Convention


class LinearGradients(NamedTuple):
    """Derivatives of (cotangents . outputs) of linear_cross_entropy, by each argument."""

    hidden: EnclosureArray
    kernel: EnclosureArray
    bias: EnclosureArray
    weights: EnclosureArray
    label_smoothing: Enclosure
    z_loss: Enclosure
    loss_normalizing_factor: Enclosure


def linear_cross_entropy(
    hidden: Any,
    kernel: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    bias: Any = None,
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> WeightedCrossEntropy:
    """The outputs of compute_weighted_cross_entropy for logits = hidden kernel + bias.

    Nothing is rounded between the layer and the loss: a dot product of floats is a rational number. Where inputs are
    not finite the sum of the products is what IEEE 754 makes of it: 0 * inf and inf - inf are NaN.

    Args:
      hidden: [..., D], exact numbers (see `exact_array`).
      kernel: [D, V], exact numbers.
      targets: [...], integers.
      weights, label_smoothing, z_loss, loss_normalizing_factor, convention, digits: as in
        compute_weighted_cross_entropy.
      bias: [V], or None for 0 each; -inf masks a class.
      logit_softcap: None, or the cap of x = cap tanh(y / cap), applied to the logits y; a -inf stays a mask.

    Returns:
      Three enclosures.

    Raises:
      ValueError: shapes do not fit, e is outside [0, 1], or the cap is not positive.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md VALUE-5, VALUE-6, STATE, EXCL.

    Example:
      >>> from lossproof.reference import linear_cross_entropy
      >>> loss = linear_cross_entropy([[1.0, 2.0]], [[1.0, 0.0, -1.0], [0.0, 1.0, 2.0]], [1]).loss
      >>> loss.decimal(20)
      '1.4076059644443803045e+0'
    """
    layer = _layer(hidden, kernel, bias)
    problem = layer.problem(
        targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention
    )
    return weighted_totals(problem, digits)


def linear_cross_entropy_gradients(
    hidden: Any,
    kernel: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    cotangents: Mapping[str, Any],
    bias: Any = None,
    logit_softcap: Any = None,
    convention: Convention = LOSSPROOF,
    digits: int = DIGITS,
) -> LinearGradients:
    """The gradient of sum(cotangent * output) over the outputs loss, z_loss and weight_sum.

    Args:
      hidden, kernel, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, bias, logit_softcap,
        convention, digits: as in `linear_cross_entropy`.
      cotangents: a number for "loss", "z_loss", "weight_sum"; 0 where missing.

    Returns:
      The derivative by each argument, with the argument's shape; by weights, bias and the factor as if they were given
      where they are None.

    Raises:
      ValueError, TypeError: as `linear_cross_entropy`.

    References:
      SPEC.md GRAD-1 to GRAD-5, GRAD-7, EXCL, STATE.
    """
    layer = _layer(hidden, kernel, bias)
    problem = layer.problem(
        targets, weights, label_smoothing, z_loss, loss_normalizing_factor, logit_softcap, convention
    )
    by_loss, by_z, by_weight_sum = batch_cotangents(cotangents)
    made: dict[tuple[int, int], list[Value]] = {}

    def by_logits(i: int) -> list[Value]:
        key = (i, current_precision())
        if key not in made:
            made[key] = by_batch_row(problem, i, by_loss, by_z)
        return made[key]

    def by_hidden(i: int) -> list[Value]:
        return [_dot(by_logits(i), layer.kernel.row(d)) for d in range(layer.depth)]

    def by_kernel(d: int) -> list[Value]:
        inputs = [layer.hidden.row(i)[d] for i in problem.indices]
        rows = [by_logits(i) for i in problem.indices]
        return [_dot([row[j] for row in rows], inputs) for j in range(problem.classes)]

    def by_bias() -> list[Value]:
        rows = [by_logits(i) for i in problem.indices]
        return [added([row[j] for row in rows]) for j in range(problem.classes)]

    return LinearGradients(
        stacked(layer.hidden.shape, refine_rows(by_hidden, problem.weighted_tokens, digits)),
        stacked(layer.kernel.shape, refine_rows(by_kernel, kinds_of(range(layer.depth)), digits)),
        stacked((problem.classes,), [refine(by_bias, digits)]),
        batch_weights_gradient(problem, by_loss, by_z, by_weight_sum, digits),
        *refine(lambda: by_batch_scalars(problem, by_loss, by_z), digits),
    )


class _Layer(NamedTuple):
    hidden: ExactArray
    kernel: ExactArray
    bias: tuple[Real, ...]

    @property
    def depth(self) -> int:
        """D."""
        return self.hidden.shape[-1]

    def problem(self, *others: Any) -> BatchProblem:
        """The loss of the layer's logits."""
        return batch_problem(self._logits(), *others)

    def _logits(self) -> "_Logits":
        rows = range(math.prod(self.hidden.shape[:-1]))
        classes = self.kernel.shape[-1]
        columns = [self.kernel.values[j::classes] for j in range(classes)]
        values = [
            _exact_dot(self.hidden.row(i), column, extra)
            for i in rows
            for column, extra in zip(columns, self.bias, strict=True)
        ]
        return _Logits((*self.hidden.shape[:-1], classes), values)


class _Logits(NamedTuple):
    """An array as `exact_array` takes it."""

    shape: tuple[int, ...]
    values: list[Real]

    def tolist(self) -> list[Real]:
        """The values, flat."""
        return self.values


def _layer(hidden: Any, kernel: Any, bias: Any) -> _Layer:
    h, k = exact_array("hidden", hidden), exact_array("kernel", kernel)
    if h.ndim == 0 or k.ndim != 2 or k.shape[0] != h.shape[-1]:
        raise ValueError(
            f"kernel must be [D, V] for hidden of [..., D]: hidden {h.shape} need kernel "
            f"({h.shape[-1] if h.shape else 'D'}, V), got {k.shape}"
        )
    if bias is None:
        return _Layer(h, k, (0,) * k.shape[1])
    b = exact_array("bias", bias)
    if b.shape != k.shape[1:]:
        raise ValueError(
            f"bias must be [V] for a kernel of [D, V]: kernel {k.shape} needs {k.shape[1:]}, got {b.shape}"
        )
    return _Layer(h, k, b.values)


def _exact_dot(inputs: Sequence[Real], column: Sequence[Real], extra: Real) -> Real:
    """The sum of the products and of one number more, exactly."""
    terms = [*zip(inputs, column, strict=True), (extra, 1)]
    specials = [float(a) * float(b) for a, b in terms if not (is_finite(a) and is_finite(b))]
    if specials:
        return sum(specials)
    return sum((Fraction(a) * Fraction(b) for a, b in terms), Fraction(0))


def _dot(derivatives: Sequence[Value], numbers: Sequence[Real]) -> Value:
    return added([scaled(by, number(x)) for by, x in zip(derivatives, numbers, strict=True)])
