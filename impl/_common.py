"""What all losses share: the type of the arithmetic, class numbers, and what is not a number."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._arguments import ArgumentArray


def carried_type(array: ArgumentArray) -> jnp.dtype:
    """The type the arithmetic is carried in: float64 where that is there to be had, else float32 (SHAPE-3, ACC-5)."""
    return jnp.dtype(jax.dtypes.canonicalize_dtype("float64" if array.dtype == "float64" else "float32"))


def known_size(shape: tuple[Any, ...]) -> int | None:
    """The number of elements; None where a size is symbolic, in a program that is exported for many."""
    return math.prod(shape) if all(isinstance(size, int) for size in shape) else None


def class_index(x: Array) -> Array:
    """The index of each entry along the last axis, in the shape of x."""
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)


def defined(value: Array) -> Array:
    """The value where it is finite, else NaN: arithmetic on inf would give numbers (STATE-3, STATE-8)."""
    return jnp.where(jnp.isfinite(value), value, jnp.nan)
