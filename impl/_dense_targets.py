"""The loss of each token against a dense target, any weights over the classes."""

import jax
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._arguments import canonical_dense_targets, canonical_logits, canonical_scalar
from lossproof.impl._form import Form
from lossproof.impl._partitioning import partitioned
from lossproof.impl._softmax import carried_type, defined
from lossproof.impl._token_terms import Inputs, token_terms


def cross_entropy_with_logits(logits: ArrayLike, targets: ArrayLike, z_loss: float | ArrayLike) -> tuple[Array, Array]:
    """The loss and z-loss of each token for dense targets, which need not be probabilities.

    Args:
        logits: [..., V] with V >= 1, bfloat16, float16, float32 or float64, any value.
        targets: [..., V], any real or bool type, any sign and sum; a class with target 0 takes no part.
        z_loss: real scalar, the coefficient of log_z squared.

    Returns:
        (loss, z_loss), each [...], float32 or, for float64 logits, float64. The loss contains the z-loss; no entropy is
        subtracted.

    Raises:
        TypeError: an argument has a type that SHAPE-2 or SHAPE-6 does not allow.
        ValueError: targets do not have the shape of logits, or z_loss has axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from lossproof import cross_entropy_with_logits
        >>> loss, z_loss = cross_entropy_with_logits(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[1.0, 0.0, 0.0]]), 0.0)
        >>> loss
        Array([2.407606], dtype=float32)

    References:
        SPEC.md, clauses VALUE-7, GRAD-1, GRAD-3, GRAD-6 to GRAD-10, STATE-1 to STATE-5 and DIFF-9.
    """
    logits = canonical_logits(logits)
    carried = carried_type(logits)
    targets = canonical_dense_targets(targets, logits, carried)
    z_loss = canonical_scalar("z_loss", z_loss, carried)
    terms: tuple[Array, Array] = _jitted(logits, targets, z_loss)
    return terms


@jax.jit
def _jitted(logits: Array, targets: Array, z_loss: Array) -> tuple[Array, Array]:
    def losses(logits: Array, targets: Array, z_loss: Array) -> tuple[Array, Array]:
        terms = token_terms(Form(), Inputs(logits, targets, None, None, defined(z_loss)))
        return terms.loss, terms.z_loss

    return partitioned(losses, logits, per_token=True)(logits, targets, z_loss)
