"""The loss of each token, as a public function."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._class_sums import first_largest
from lossproof.impl._dense_terms import is_dense
from lossproof.impl._form import Form, Spread
from lossproof.impl._partitioning import partitioned, per_token
from lossproof.impl._problem import Problem, canonical_problem, inputs_of
from lossproof.impl._token_terms import TokenCrossEntropy as TokenCrossEntropy, token_terms


def token_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    label_smoothing: float | ArrayLike = 0.0,
    z_loss: float | ArrayLike = 0.0,
    smoothing: Spread = "others",
    subtract_entropy: bool = True,
    logit_softcap: float | None = None,
    also: tuple[str, ...] = (),
    axis_name: str | tuple[str, ...] | None = None,
    implementation: str | None = None,
) -> TokenCrossEntropy:
    """The loss, z-loss and log-partition of each token, differentiable any number of times in both modes.

    Args:
        logits: [..., V] with V >= 1, bfloat16, float16, float32 or float64, any value.
        targets: [...], any integer type; a target outside [0, V) excludes its token. Or dense: [..., V], any floating
            type, weights of the classes, of any sign and sum; a class with target 0 takes no part.
        label_smoothing: real scalar in [0, 1], the probability that is taken from the target; 0 with dense targets.
        z_loss: real scalar, the coefficient of log_z squared.
        smoothing: "others" spreads label_smoothing evenly over the V - 1 other classes, "uniform" over all V.
        subtract_entropy: whether the entropy of the smoothed target is subtracted, so that the smallest loss is 0;
            never that of dense targets.
        logit_softcap: None, or a known positive number c: every logit y becomes c tanh(y / c) first, and gradients are
            by y. A -inf stays one.
        also: names of further results, computed only then: "target_log_probability", "predicted_class", "entropy".
        axis_name: None, or the mesh axis, or several, over which the classes are split, inside `jax.shard_map`: logits
            and dense targets are of this device's classes, [..., V / n], class numbers those of all V, and every
            device has the same results, those of whole rows. The gradient by the logits is of this device's classes.
            Take it inside `shard_map` with check_vma alone, or outside with or without: otherwise JAX's rule for psum
            makes it n times as large.
        implementation: None for the best for the platform, or "xla" for plain passes that any XLA compiler fuses: the
            best but on a CPU, and there to be had by this name.

    Returns:
        TokenCrossEntropy(loss, z_loss, log_z, target_log_probability, predicted_class, entropy), each [...], float32
        or, for float64 logits, float64; predicted_class is int32. The last three are None unless asked for. Excluded
        tokens have 0 and predicted_class -1; undefined ones (a logit +inf or NaN, all -inf, a dense target not finite)
        NaN and -1. A predicted_class has no derivative, all other results have.

    Raises:
        TypeError: an argument has a type that SHAPE-2 or SHAPE-6 does not allow, or an option is traced.
        ValueError: shapes do not fit, a known label_smoothing is outside [0, 1], an option has an unknown value, or
            the call is not inside of an axis of axis_name.

    Example:
        >>> import jax.numpy as jnp
        >>> from lossproof import token_cross_entropy
        >>> token_cross_entropy(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([0])).loss
        Array([2.407606], dtype=float32)
        >>> token_cross_entropy(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([0]), also=("predicted_class",)).predicted_class
        Array([2], dtype=int32)

    References:
        SPEC.md, clauses SHAPE, VALUE but VALUE-5 and VALUE-6, GRAD, STATE, EXCL-2, SPLIT, ACC and CONV-2.
    """
    form, problem = canonical_problem(
        logits,
        targets,
        label_smoothing,
        z_loss,
        smoothing=smoothing,
        subtract_entropy=subtract_entropy,
        logit_softcap=logit_softcap,
        also=also,
        axis_name=axis_name,
        implementation=implementation,
    )
    terms: TokenCrossEntropy = _jitted(problem, form=form)
    return terms


@partial(jax.jit, static_argnames="form")
def _jitted(problem: Problem, *, form: Form) -> TokenCrossEntropy:
    def all_terms(problem: Problem) -> TokenCrossEntropy:
        terms: TokenCrossEntropy = token_terms(form, inputs_of(form, problem, None))
        if "predicted_class" not in form.also:
            return terms
        return terms._replace(predicted_class=_predicted_class(form, problem, terms.log_z))

    return partitioned(all_terms, problem.logits, per_token)(problem)


def _predicted_class(form: Form, problem: Problem, log_z: Array) -> Array:
    without = jnp.isnan(log_z)
    if not is_dense(problem.targets):
        without |= problem.targets < 0  # [EXCL-2]
    return jnp.where(without, -1, first_largest(form, jax.lax.stop_gradient(problem.logits)))
