"""What the derivative rules share: absent tangents and coefficients that may be infinite."""

from typing import TypeGuard

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero


def is_present(tangent: Array | SymbolicZero) -> TypeGuard[Array]:
    """Whether the derivative by this argument was asked for."""
    return not isinstance(tangent, SymbolicZero)


def times(coefficient: Array, tangent: Array) -> Array:
    """coefficient * tangent with 0 * inf = 0, linear in the tangent in both modes.

    An infinite coefficient is split into finite factors whose product with any tangent but 0 overflows, before the last
    of them: a sum may take that product unrounded, as part of an FMA, and inf - inf would be a number. The second
    factor depends on the data, so that the compiler cannot fold them into inf.
    """
    half_way = jnp.asarray(2.0 ** float(np.finfo(coefficient.dtype).maxexp - 1), coefficient.dtype)
    infinite = jnp.isinf(coefficient)
    first = jnp.where(infinite, jnp.copysign(half_way, coefficient), coefficient)
    second = jnp.where(infinite, half_way, jnp.ones_like(coefficient))
    return ((first * tangent) * second) * second
