"""The target's entry of a tangent apart from the others, in an operation whose transpose puts it back in its place."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lossproof.impl._common import class_index
from lossproof.impl._form import Form
from lossproof.impl._platform import on_platform


def without_target(form: Form, tangent: Array, targets: Array, logits_dtype: np.dtype) -> tuple[Array, Array]:
    """A tangent [..., V] with 0 in place of its target's entry, and that entry, [...]; 0 for a target outside [0, V).

    Transposed, it writes the gradient: the other entries, and the target's in its place. XLA:CPU takes half as long
    again to write an array of float32 under a select as without one; a scatter into what is written costs nothing, and
    XLA makes one of the sum that the transpose is. For 16-bit logits a select is cheap and a scatter is a copy, and so
    it is where the cap's derivative is still to come.
    """
    cpu = _by_index if logits_dtype.itemsize > 2 and form.softcap is None else _by_mask
    return on_platform(form.implementation, tangent, targets, cpu=cpu, default=_by_mask)


def _by_mask(tangent: Array, targets: Array) -> tuple[Array, Array]:
    is_target = class_index(tangent) == targets[..., None]
    return jnp.where(is_target, 0, tangent), jnp.sum(jnp.where(is_target, tangent, 0), axis=-1)


def _by_index(tangent: Array, targets: Array) -> tuple[Array, Array]:
    *shape, classes = tangent.shape
    index = tuple(lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(len(shape)))
    index += (jnp.where(targets < 0, classes, targets),)  # beyond the end, where nothing is read and nothing written
    at = tangent.at[index]
    without = at.set(0, mode="drop", unique_indices=True, indices_are_sorted=True)
    return without, at.get(mode="fill", fill_value=0, unique_indices=True, indices_are_sorted=True)
