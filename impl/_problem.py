"""The arguments that the losses of tokens and of batches share: checked, and brought together."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from lossproof.impl._arguments import (
    as_array,
    canonical_dense_targets,
    canonical_logits,
    canonical_scalar,
    canonical_targets,
    concrete_label_smoothing,
)
from lossproof.impl._class_axis import number_of_classes
from lossproof.impl._common import carried_type, defined
from lossproof.impl._form import Form, Gaps, Spread
from lossproof.impl._options import (
    canonical_also,
    canonical_axis_name,
    canonical_flag,
    canonical_implementation,
    canonical_softcap,
    canonical_spread,
)
from lossproof.impl._partitioning import inside_manual
from lossproof.impl._smoothing import Smoothing, concrete_smoothing, traced_smoothing
from lossproof.impl._token_terms import Inputs


class Problem(NamedTuple):
    """What a compiled program is given.

    Attributes:
        logits: [..., V], in their own type.
        targets: int32 [...], -1 where out of range; or dense, [..., V] in the carried type.
        smoothing: that of a known label_smoothing, or a scalar to make it from; None for a known 0 and dense targets.
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
    smoothing: Spread = "others",
    subtract_entropy: bool = True,
    logit_softcap: float | None = None,
    also: tuple[str, ...] = (),
    axis_name: str | tuple[str, ...] | None,
    implementation: str | None,
    dense: bool = False,
) -> tuple[Form, Problem]:
    """The arguments of a loss, checked (SHAPE), as what is compiled and what is computed with.

    With `dense` targets are dense whatever their type.
    """
    implementation = canonical_implementation(implementation)
    x = canonical_logits(logits)
    carried = carried_type(x)
    k = canonical_scalar("z_loss", z_loss, carried)
    form = Form(
        has_z_loss=isinstance(k, Tracer) or bool(np.asarray(k) != 0),
        softcap=canonical_softcap(logit_softcap, carried),
        smoothing=canonical_spread(smoothing),
        subtract_entropy=canonical_flag("subtract_entropy", subtract_entropy),
        also=canonical_also(also),
        axis_name=canonical_axis_name(axis_name),
        implementation="xla" if inside_manual(x) else implementation,  # without reshapes and gathers of the logits
    )
    if dense or jnp.issubdtype(as_array(targets).dtype, jnp.floating):
        _check_unsmoothed(label_smoothing)
        return form, Problem(x, canonical_dense_targets(targets, x, carried), None, k)
    classes = number_of_classes(form, x)
    gaps, smoothed = _canonical_smoothing(label_smoothing, form, classes, carried)
    return form._replace(gaps=gaps), Problem(x, canonical_targets(targets, x, classes), smoothed, k)


def _canonical_smoothing(
    label_smoothing: ArrayLike, form: Form, classes: int, carried: jnp.dtype
) -> tuple[Gaps, Smoothing | Array | None]:
    known = concrete_label_smoothing(label_smoothing)
    if known is None:
        gaps = Gaps.EXACT_SUM if classes > 1 else Gaps.NOTHING
        return gaps, canonical_scalar("label_smoothing", label_smoothing, carried)
    if classes == 1 or known == 0.0:
        return Gaps.NOTHING, None  # [STATE-6]
    gaps = Gaps.EXACT_SUM if known == 1.0 and form.smoothing == "others" else Gaps.SUM
    return gaps, concrete_smoothing(known, form, classes, carried)


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
        smoothing = traced_smoothing(smoothing, form, number_of_classes(form, problem.logits))
    return Inputs(problem.logits, problem.targets, weightless, smoothing, defined(problem.z_loss))
