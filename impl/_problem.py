"""The arguments that the losses of tokens and of batches share: checked, and brought together."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lossproof.impl._arguments import (
    as_array,
    canonical_dense_targets,
    canonical_logits,
    canonical_scalar,
    canonical_targets,
    concrete_label_smoothing,
)
from lossproof.impl._form import Form, Spread
from lossproof.impl._options import (
    canonical_also,
    canonical_flag,
    canonical_softcap,
    canonical_spread,
    check_implementation,
)
from lossproof.impl._row_sums import Gaps
from lossproof.impl._smoothing import Smoothing, concrete_smoothing, traced_smoothing
from lossproof.impl._softmax import carried_type, defined
from lossproof.impl._token_terms import Inputs


class Problem(NamedTuple):
    """What a compiled program is given.

    Attributes:
        logits: [..., V], in their own type.
        targets: int32 [...], -1 where out of range; or dense, [..., V] in the carried type.
        smoothing: that of a known label_smoothing, or a scalar to make it from; None for dense targets.
        z_loss: the coefficient, a scalar of the carried type.
    """

    logits: Array
    targets: Array
    smoothing: Smoothing | Array | None
    z_loss: Array


def canonical_problem(
    logits: ArrayLike,
    targets: ArrayLike,
    label_smoothing: float | ArrayLike,
    z_loss: float | ArrayLike,
    *,
    smoothing: Spread,
    subtract_entropy: bool,
    logit_softcap: float | None,
    also: tuple[str, ...] = (),
    implementation: str | None,
) -> tuple[Form, Problem]:
    """The arguments of a loss, checked (SHAPE), as what is compiled and what is computed with."""
    check_implementation(implementation)
    x = canonical_logits(logits)
    carried = carried_type(x)
    form = Form(
        Gaps.NOTHING,
        canonical_softcap(logit_softcap, carried),
        canonical_spread(smoothing),
        canonical_flag("subtract_entropy", subtract_entropy),
        canonical_also(also),
    )
    k = canonical_scalar("z_loss", z_loss, carried)
    if jnp.issubdtype(as_array(targets).dtype, jnp.floating):
        _check_unsmoothed(label_smoothing)
        return form, Problem(x, canonical_dense_targets(targets, x, carried), None, k)
    gaps, smoothed = _canonical_smoothing(label_smoothing, form, x.shape[-1], carried)
    return form._replace(gaps=gaps), Problem(x, canonical_targets(targets, x), smoothed, k)


def _canonical_smoothing(
    label_smoothing: ArrayLike, form: Form, classes: int, carried: jnp.dtype
) -> tuple[Gaps, Smoothing | Array]:
    known = concrete_label_smoothing(label_smoothing)
    if known is None:
        gaps = Gaps.EXACT_SUM if classes > 1 else Gaps.NOTHING
        return gaps, canonical_scalar("label_smoothing", label_smoothing, carried)
    smoothing = concrete_smoothing(known, form, classes, carried)
    if classes == 1 or known == 0.0:
        return Gaps.NOTHING, smoothing
    return Gaps.EXACT_SUM if known == 1.0 and form.smoothing == "others" else Gaps.SUM, smoothing


def _check_unsmoothed(label_smoothing: ArrayLike) -> None:
    known = concrete_label_smoothing(label_smoothing)
    if known != 0.0:
        raise ValueError(
            "label_smoothing must be the constant 0 with dense targets, got "
            f"label_smoothing={label_smoothing if known is None else known!r}: smooth the targets, "
            "targets = (1 - e) * targets + e / V for instance."
        )


def inputs_of(form: Form, problem: Problem, weightless: Array | None) -> Inputs:
    """The inputs of `token_terms`; a traced label_smoothing is made use of here, where it is compiled."""
    smoothing = problem.smoothing
    if smoothing is not None and not isinstance(smoothing, Smoothing):
        smoothing = traced_smoothing(smoothing, form, problem.logits.shape[-1])
    return Inputs(problem.logits, problem.targets, weightless, smoothing, defined(problem.z_loss))
