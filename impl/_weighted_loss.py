"""The loss of a batch, as a public function."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._arguments import canonical_scalar, canonical_weights
from lossproof.impl._common import carried_type
from lossproof.impl._dense_terms import is_dense
from lossproof.impl._form import Form, Spread
from lossproof.impl._partitioning import partitioned, total
from lossproof.impl._problem import Problem, canonical_problem, inputs_of
from lossproof.impl._token_terms import token_terms
from lossproof.impl._weighted_totals import Batch, weighted_totals


def compute_weighted_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    label_smoothing: float | ArrayLike = 0.0,
    z_loss: float | ArrayLike = 0.0,
    loss_normalizing_factor: float | ArrayLike | None = None,
    *,
    smoothing: Spread = "others",
    subtract_entropy: bool = True,
    logit_softcap: float | None = None,
    axis_name: str | tuple[str, ...] | None = None,
    implementation: str | None = None,
) -> tuple[Array, Array, Array]:
    """The weighted loss and z-loss of a batch and the sum of its weights, t5x's function of the same name.

    A batch that comes in micro-batches has the same loss and gradient as a whole one if all are divided by one number,
    that of the whole batch, and added up; the second example shows how.

    Args:
        logits: [..., V] with V >= 1, bfloat16, float16, float32 or float64, any value.
        targets: [...], any integer type; a target outside [0, V) excludes its token. Or dense: [..., V], any floating
            type, weights of the classes, of any sign and sum; a class with target 0 takes no part.
        weights: [...], any real or bool type; a weight of exactly 0 excludes its token; None for all 1.
        label_smoothing: real scalar in [0, 1], the probability that is taken from the target; 0 with dense targets.
        z_loss: real scalar, the coefficient of log_z squared.
        loss_normalizing_factor: real scalar that divides loss and z_loss; None for 1.
        smoothing: "others" spreads label_smoothing evenly over the V - 1 other classes, "uniform" over all V.
        subtract_entropy: whether the entropy of the smoothed target is subtracted, so that the smallest loss is 0;
            never that of dense targets.
        logit_softcap: None, or a known positive number c: every logit y becomes c tanh(y / c) first, and gradients are
            by y. A -inf stays one.
        axis_name: None, or the mesh axis, or several, over which the classes are split, inside `jax.shard_map`: logits
            and dense targets are of this device's classes, [..., V / n], class numbers those of all V, and every
            device has the same results, those of whole rows. The gradient by the logits is of this device's classes.
            Take it inside `shard_map` with check_vma alone, or outside with or without: otherwise JAX's rule for psum
            makes it n times as large.
        implementation: None for the best for the platform, or "xla" for plain passes that any XLA compiler fuses: the
            best but on a CPU, and there to be had by this name.

    Returns:
        (loss, z_loss, weight_sum), scalars, float32 or, for float64 logits, float64. The loss contains the z-loss. The
        weight_sum is over the tokens whose target is in range; with dense targets over all.

    Raises:
        TypeError: an argument has a type that SHAPE-2 or SHAPE-6 does not allow, or an option is traced.
        ValueError: shapes do not fit, a known label_smoothing is outside [0, 1], an option has an unknown value, or
            the call is not inside of an axis of axis_name.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from lossproof import compute_weighted_cross_entropy
        >>> logits = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
        >>> loss, z_loss, weight_sum = compute_weighted_cross_entropy(logits, jnp.array([0, 1]), jnp.array([1.0, 0.0]))
        >>> loss, weight_sum
        (Array(2.407606, dtype=float32), Array(1., dtype=float32))

        Gradient accumulation, with one denominator for the whole batch:

        >>> from lossproof import get_loss_normalizing_factor_and_weights
        >>> targets = jnp.array([[1, 2, 0, 0], [2, 1, 2, 1]])  # 0 is padding
        >>> kernel = jnp.eye(3, 5)  # the parameters: logits = embedding @ kernel
        >>> embeddings = jnp.sin(jnp.arange(24.0)).reshape(2, 4, 3)
        >>> whole_batch = {"decoder_target_tokens": targets}
        >>> factor, weights = get_loss_normalizing_factor_and_weights("NUM_REAL_TARGET_TOKENS", whole_batch)
        >>> def loss_of(kernel, embeddings, targets, weights):
        ...     return compute_weighted_cross_entropy(
        ...         embeddings @ kernel, targets, weights, label_smoothing=0.1, loss_normalizing_factor=factor
        ...     )[0]
        >>> total, gradient = 0.0, jnp.zeros_like(kernel)
        >>> for micro_batch in zip(embeddings, targets, weights):
        ...     loss, by_kernel = jax.value_and_grad(loss_of)(kernel, *micro_batch)
        ...     total, gradient = total + loss, gradient + by_kernel
        >>> loss, by_kernel = jax.value_and_grad(loss_of)(kernel, embeddings, targets, weights)
        >>> print(f"{total:.4f} and {loss:.4f}, gradients {jnp.max(jnp.abs(gradient - by_kernel)):.4f} apart")
        1.0719 and 1.0719, gradients 0.0000 apart

    References:
        SPEC.md, all clauses but VALUE-8 and NORM.
    """
    form, problem = canonical_problem(
        logits,
        targets,
        label_smoothing,
        z_loss,
        smoothing=smoothing,
        subtract_entropy=subtract_entropy,
        logit_softcap=logit_softcap,
        axis_name=axis_name,
        implementation=implementation,
    )
    carried = carried_type(problem.logits)
    weights = canonical_weights(weights, problem.logits, carried)
    factor = 1.0 if loss_normalizing_factor is None else loss_normalizing_factor
    factor = canonical_scalar("loss_normalizing_factor", factor, carried)
    totals: tuple[Array, Array, Array] = _jitted(problem, weights, factor, form=form)
    return totals


@partial(jax.jit, static_argnames="form")
def _jitted(problem: Problem, weights: Array, factor: Array, *, form: Form) -> tuple[Array, Array, Array]:
    def totals(problem: Problem, weights: Array, factor: Array) -> tuple[Array, Array, Array]:
        tokens = token_terms(form, inputs_of(form, problem, weights == 0.0))
        dense = is_dense(problem.targets)
        in_range = jnp.full_like(weights, fill_value=True, dtype=bool) if dense else problem.targets >= 0
        batch = Batch(tokens.loss, tokens.z_loss, weights, factor, in_range)
        of_batch: tuple[Array, Array, Array] = weighted_totals(form.implementation, batch)
        return of_batch

    return partitioned(totals, problem.logits, total)(problem, weights, factor)
