"""The loss of each token, as a public function."""

from functools import partial

import jax
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._arguments import (
    canonical_logits,
    canonical_scalar,
    canonical_targets,
    concrete_label_smoothing,
)
from lossproof.impl._row_sums import Gaps
from lossproof.impl._smoothing import Smoothing, concrete_smoothing, traced_smoothing
from lossproof.impl._softmax import carried_type, defined
from lossproof.impl._token_terms import Inputs, TokenCrossEntropy as TokenCrossEntropy, token_terms


def token_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    label_smoothing: float | ArrayLike = 0.0,
    z_loss: float | ArrayLike = 0.0,
) -> TokenCrossEntropy:
    """The loss, z-loss and log-partition of each token, differentiable any number of times in both modes.

    Args:
        logits: [..., V] with V >= 1, bfloat16, float16, float32 or float64, any value.
        targets: [...], any integer type; a target outside [0, V) excludes its token.
        label_smoothing: real scalar in [0, 1], the probability that is spread evenly over the V - 1 other classes.
        z_loss: real scalar, the coefficient of log_z squared.

    Returns:
        TokenCrossEntropy(loss, z_loss, log_z), each [...], float32 or, for float64 logits, float64; 0 for excluded
        tokens.

    Raises:
        TypeError: an argument has a type that SHAPE-2 or SHAPE-6 does not allow.
        ValueError: shapes do not fit, or a known label_smoothing is outside [0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> from lossproof import token_cross_entropy
        >>> token_cross_entropy(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([0])).loss
        Array([2.407606], dtype=float32)

    References:
        SPEC.md, clauses SHAPE, VALUE-1 to VALUE-4, VALUE-8, GRAD, STATE, EXCL-2 and ACC.
    """
    logits = canonical_logits(logits)
    targets = canonical_targets(targets, logits)
    smoothing, gaps = canonical_smoothing(label_smoothing, logits)
    z_loss = canonical_scalar("z_loss", z_loss, carried_type(logits))
    terms: TokenCrossEntropy = _jitted(logits, targets, smoothing, z_loss, gaps=gaps)
    return terms


def canonical_smoothing(label_smoothing: ArrayLike, logits: Array) -> tuple[Smoothing | Array, Gaps]:
    """The smoothing of these logits, or the number to trace it from, and what it needs of the other classes."""
    carried, classes = carried_type(logits), logits.shape[-1]
    known = concrete_label_smoothing(label_smoothing)
    if known is None:
        gaps = Gaps.EXACT_SUM if classes > 1 else Gaps.NOTHING
        return canonical_scalar("label_smoothing", label_smoothing, carried), gaps
    if classes == 1 or known == 0.0:
        gaps = Gaps.NOTHING
    else:
        gaps = Gaps.EXACT_SUM if known == 1.0 else Gaps.SUM
    return concrete_smoothing(known, classes, carried), gaps


def resolved(smoothing: Smoothing | Array, classes: int) -> Smoothing:
    """on, off and H, computed here where label_smoothing is traced."""
    return smoothing if isinstance(smoothing, Smoothing) else traced_smoothing(smoothing, classes)


@partial(jax.jit, static_argnames="gaps")
def _jitted(
    logits: Array, targets: Array, smoothing: Smoothing | Array, z_loss: Array, *, gaps: Gaps
) -> TokenCrossEntropy:
    smoothing = resolved(smoothing, logits.shape[-1])
    return token_terms(gaps, Inputs(logits, targets, None, smoothing, defined(z_loss)))
