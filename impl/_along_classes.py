"""The one pass over the logits that every derivative needs: where a tangent of theirs leads, as a few numbers a token.

Each derivative by the logits is made of exp(x_j - m), of 1 and of the target's entry. So what a tangent becomes is a
few sums over the classes times numbers of the token alone; transposed, the gradient is written in one pass from as many
numbers, whatever results its cotangents are of.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._class_axis import over_devices
from lossproof.impl._elementary import exp
from lossproof.impl._form import Form, Gaps
from lossproof.impl._platform import on_platform
from lossproof.impl._softcap import capped, through_cap
from lossproof.impl._target_entry import without_target
from lossproof.impl._xla_rows import told_apart

Arguments = TypeVar("Arguments")


class Along(NamedTuple):
    """Sums over the classes of a tangent dx of the logits after the cap, each [...] in the carried type.

    Attributes:
        target: dx_t.
        exponentials: the sum of exp(x_j - m) dx_j over the classes but the target.
        others: the sum of dx_j over the classes but the target; None where smoothing has no part.
        gaps: the sum of exp(x_j - m) (m - x_j) dx_j over the classes but the target; None without an entropy.
    """

    target: Array
    exponentials: Array
    others: Array | None
    gaps: Array | None


def along_classes(
    form: Form,
    logits: Array,
    targets: Array,
    largest: Array,
    peak: Array,
    dead: Array,
    dlogits: Array,
    more: Array | None = None,
) -> Along:
    """What a tangent leads along; nothing in the shape of the logits is kept for its transpose.

    Args:
        form: what is asked for.
        logits: [..., V], in their own type.
        targets: int32 [...], numbers of these classes.
        largest: of the logits before the cap, [...].
        peak: m, [...].
        dead: bool [...], where the logits do not matter, and must do no harm.
        dlogits: [..., V], in the type of the logits.
        more: [...], a factor of the exponentials; None for 1.
    """

    @partial(jax.checkpoint, prevent_cse=False)
    def along(
        logits: Array, targets: Array, largest: Array, peak: Array, dead: Array, more: Array | None, dlogits: Array
    ) -> Along:
        y, dx = _tangents(form, read_again(form, logits), peak, dead, dlogits)
        dx, of_target = without_target(form, dx, targets, logits.dtype)
        below = capped(y, form.softcap) - peak[..., None]
        exponential = exp(below) if more is None else exp(below) * more[..., None]
        return Along(
            of_target,
            jnp.sum(exponential * dx, axis=-1),
            None if form.gaps is Gaps.NOTHING else jnp.sum(dx, axis=-1),
            jnp.sum((exponential * _gaps(form, below, largest, y)) * dx, axis=-1) if "entropy" in form.also else None,
        )

    return jax.tree.map(partial(over_devices, form), along(logits, targets, largest, peak, dead, more, dlogits))


class AlongDense(NamedTuple):
    """As `Along`, for dense targets: over all classes.

    Attributes:
        loss, xent: the sum of the slopes times dx_j, with the z-loss and without.
        exponentials, gaps: as in `Along`, but over all classes.
    """

    loss: Array
    xent: Array
    exponentials: Array
    gaps: Array | None


def along_dense_classes(
    form: Form,
    logits: Array,
    rows: tuple[Array, ...],
    mass: Array,
    scalars: tuple[Array, ...],
    largest: Array,
    peak: Array,
    dead: Array,
    dlogits: Array,
    more: Array | None,
    factor: Array | None,
    slopes: Callable[..., Array],
) -> AlongDense:
    """What a tangent leads along, with slopes(y, exponential, rows, scalars) of each class.

    The `factor` of the exponentials in the loss comes in here: as a sum of its own, XLA:CPU would write three copies.
    """

    @partial(jax.checkpoint, prevent_cse=False)
    def along(
        logits: Array,
        rows: tuple[Array, ...],
        mass: Array,
        scalars: tuple[Array, ...],
        largest: Array,
        peak: Array,
        dead: Array,
        more: Array | None,
        factor: Array | None,
        dlogits: Array,
    ) -> AlongDense:
        logits, rows, mass, scalars, largest, peak, dead, more, factor = read_again(
            form, (logits, rows, mass, scalars, largest, peak, dead, more, factor)
        )
        y, dx = _tangents(form, logits, peak, dead, dlogits)
        below = capped(y, form.softcap) - peak[..., None]
        exponential = exp(below)
        alive = (jnp.where(dead[..., None], 0, row) for row in rows)
        of_class = slopes(y, exponential, tuple(alive), (jnp.where(dead, 0, mass), *scalars, largest))
        exponential = exponential if more is None else exponential * more[..., None]
        of_loss = of_class if factor is None else of_class + factor[..., None] * exponential
        return AlongDense(
            jnp.sum(of_loss * dx, axis=-1),
            jnp.sum(of_class * dx, axis=-1),
            jnp.sum(exponential * dx, axis=-1),
            jnp.sum((exponential * _gaps(form, below, largest, y)) * dx, axis=-1) if "entropy" in form.also else None,
        )

    return jax.tree.map(
        partial(over_devices, form), along(logits, rows, mass, scalars, largest, peak, dead, more, factor, dlogits)
    )


def _gaps(form: Form, below: Array, largest: Array, y: Array) -> Array:
    """m - x_j from x_j - m, the largest float for inf: it meets a probability of 0."""
    return told_apart(jnp.minimum(-below, float(jnp.finfo(below.dtype).max)), largest[..., None], y, form.softcap)


def _tangents(form: Form, logits: Array, peak: Array, dead: Array, dlogits: Array) -> tuple[Array, Array]:
    """The logits before the cap and the tangent of those after it, both in the carried type."""
    y = jnp.where(dead[..., None], 1, logits.astype(peak.dtype))
    # [ACC-5] the cotangents meet in the carried type, then are rounded once
    return y, through_cap(y, dlogits.astype(peak.dtype), form.softcap)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def read_again(form: Form, arguments: Arguments) -> Arguments:
    """Arrays, of which XLA:CPU is not to know that it has read them before: it would write what the passes share."""

    def behind_barriers(arguments: Arguments) -> Arguments:
        # One for each: behind a common one, all would vary over the mesh axes that any of them does.
        return jax.tree.map(lax.optimization_barrier, arguments)

    return on_platform(form.implementation, arguments, cpu=behind_barriers, default=lambda arguments: arguments)


@read_again.defjvp
def _read_again_jvp(form: Form, primals: tuple[Arguments], tangents: tuple[Arguments]) -> tuple[Arguments, Arguments]:
    return read_again(form, *primals), tangents[0]
