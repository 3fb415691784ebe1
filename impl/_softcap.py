"""The soft-cap x = c tanh(y / c), and its derivative."""

import jax.numpy as jnp
from jax import Array

from lossproof.impl._elementary import tanh


def capped(x: Array, softcap: float | None) -> Array:
    """softcap * tanh(x / softcap), but a -inf stays one; x itself without a cap."""
    if softcap is None:
        return x
    # A minimum instead of a select, which XLA:CPU would write: x + the largest float is negative only at -inf.
    return jnp.minimum(softcap * tanh(x / softcap), x + jnp.finfo(x.dtype).max)


def through_cap(logits: Array, tangent: Array, softcap: float | None) -> Array:
    """The tangent of x for one of y, [..., V]: (1 - tanh^2) times it, 0 at -inf."""
    if softcap is None:
        return tangent
    cut = tanh(logits / softcap)
    # 1 - tanh is exact where tanh is near 1; of 1 - tanh^2, the square would be rounded.
    return ((1.0 - jnp.abs(cut)) * (1.0 + jnp.abs(cut))) * tangent
