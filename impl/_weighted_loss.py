"""The loss of a batch, as a public function."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._arguments import canonical_logits, canonical_scalar, canonical_targets, canonical_weights
from lossproof.impl._row_sums import Gaps
from lossproof.impl._smoothing import Smoothing
from lossproof.impl._softmax import carried_type, defined
from lossproof.impl._sums import exact_sum
from lossproof.impl._token_loss import canonical_smoothing, resolved
from lossproof.impl._token_terms import Inputs, token_terms
from lossproof.impl._weighted_totals import Batch, weighted_totals


def compute_weighted_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    label_smoothing: float | ArrayLike = 0.0,
    z_loss: float | ArrayLike = 0.0,
    loss_normalizing_factor: float | ArrayLike | None = None,
) -> tuple[Array, Array, Array]:
    """The weighted loss and z-loss of a batch and the sum of its weights, t5x's function of the same name.

    Args:
        logits: [..., V] with V >= 1, bfloat16, float16, float32 or float64, any value.
        targets: [...], any integer type; a target outside [0, V) excludes its token.
        weights: [...], any real or bool type; a weight of exactly 0 excludes its token; None for all 1.
        label_smoothing: real scalar in [0, 1], the probability that is spread evenly over the V - 1 other classes.
        z_loss: real scalar, the coefficient of log_z squared.
        loss_normalizing_factor: real scalar that divides loss and z_loss; None for 1.

    Returns:
        (loss, z_loss, weight_sum), scalars, float32 or, for float64 logits, float64. The loss contains the z-loss.

    Raises:
        TypeError: an argument has a type that SHAPE-2 or SHAPE-6 does not allow.
        ValueError: shapes do not fit, or a known label_smoothing is outside [0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> from lossproof import compute_weighted_cross_entropy
        >>> logits = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
        >>> loss, z_loss, weight_sum = compute_weighted_cross_entropy(logits, jnp.array([0, 1]), jnp.array([1.0, 0.0]))
        >>> loss, weight_sum
        (Array(2.407606, dtype=float32), Array(1., dtype=float32))

    References:
        SPEC.md, all clauses but VALUE-7, GRAD-6 and NORM.
    """
    logits = canonical_logits(logits)
    carried = carried_type(logits)
    targets = canonical_targets(targets, logits)
    weights = canonical_weights(weights, logits, carried)
    smoothing, gaps = canonical_smoothing(label_smoothing, logits)
    z_loss = canonical_scalar("z_loss", z_loss, carried)
    factor = 1.0 if loss_normalizing_factor is None else loss_normalizing_factor
    factor = canonical_scalar("loss_normalizing_factor", factor, carried)
    totals: tuple[Array, Array, Array] = _jitted(logits, targets, weights, smoothing, z_loss, factor, gaps=gaps)
    return totals


@partial(jax.jit, static_argnames="gaps")
def _jitted(
    logits: Array,
    targets: Array,
    weights: Array,
    smoothing: Smoothing | Array,
    z_loss: Array,
    factor: Array,
    *,
    gaps: Gaps,
) -> tuple[Array, Array, Array]:
    in_range = targets >= 0
    smoothing = resolved(smoothing, logits.shape[-1])
    tokens = token_terms(gaps, Inputs(logits, targets, weights == 0.0, smoothing, defined(z_loss)))
    loss, z = weighted_totals(Batch(tokens.loss, tokens.z_loss, weights, factor, in_range))
    return loss, z, exact_sum(jnp.where(in_range, weights, 0.0))  # [VALUE-6]
