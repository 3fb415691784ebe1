"""The loss of each token against a dense target, any weights over the classes."""

from functools import partial

import jax
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._form import Form
from lossproof.impl._partitioning import partitioned, per_token
from lossproof.impl._problem import Problem, canonical_problem, inputs_of
from lossproof.impl._token_terms import token_terms


def cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    z_loss: float | ArrayLike,
    *,
    axis_name: str | tuple[str, ...] | None = None,
    implementation: str | None = None,
) -> tuple[Array, Array]:
    """The loss and z-loss of each token for dense targets, which need not be probabilities.

    Args:
        logits: [..., V] with V >= 1, bfloat16, float16, float32 or float64, any value.
        targets: [..., V], any real or bool type, any sign and sum; a class with target 0 takes no part.
        z_loss: real scalar, the coefficient of log_z squared.
        axis_name, implementation: as in `token_cross_entropy`.

    Returns:
        (loss, z_loss), each [...], float32 or, for float64 logits, float64. The loss contains the z-loss; no entropy is
        subtracted.

    Raises:
        TypeError: an argument has a type that SHAPE-2 or SHAPE-6 does not allow.
        ValueError: targets do not have the shape of logits, z_loss has axes, or an option has an unknown value.

    Example:
        >>> import jax.numpy as jnp
        >>> from lossproof import cross_entropy_with_logits
        >>> loss, z_loss = cross_entropy_with_logits(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[1.0, 0.0, 0.0]]), 0.0)
        >>> loss
        Array([2.407606], dtype=float32)

    References:
        SPEC.md, clauses VALUE-7, GRAD-1, GRAD-3, GRAD-6 to GRAD-10, STATE-1 to STATE-5, SPLIT and DIFF-9.
    """
    form, problem = canonical_problem(
        logits, targets, 0.0, z_loss, axis_name=axis_name, implementation=implementation, dense=True
    )
    terms: tuple[Array, Array] = _jitted(problem, form=form)
    return terms


@partial(jax.jit, static_argnames="form")
def _jitted(problem: Problem, *, form: Form) -> tuple[Array, Array]:
    def losses(problem: Problem) -> tuple[Array, Array]:
        terms = token_terms(form, inputs_of(form, problem, None))
        return terms.loss, terms.z_loss

    return partitioned(losses, problem.logits, per_token)(problem)
