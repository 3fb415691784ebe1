"""The derivative of the soft-cap x = c tanh(y / c)."""

import jax.numpy as jnp
from jax import Array

from lossproof.impl._elementary import tanh


def through_cap(logits: Array, tangent: Array, softcap: float | None) -> Array:
    """The tangent of x for one of y, [..., V]: (1 - tanh^2) times it, 0 at -inf."""
    if softcap is None:
        return tangent
    capped = tanh(logits / softcap)
    # 1 - tanh is exact where tanh is near 1; of 1 - tanh^2, the square would be rounded.
    return ((1.0 - jnp.abs(capped)) * (1.0 + jnp.abs(capped))) * tangent
