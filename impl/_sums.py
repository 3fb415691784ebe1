"""A sum whose error does not grow with the number of terms."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b rounded, and the error of that (Knuth)."""
    total = a + b
    b_seen = total - a
    return total, (a - (total - b_seen)) + (b - b_seen)


def _paired_sum(terms: Array) -> Array:
    """The sum of finite terms [n]: a tree of two-sums, its rounding errors summed beside it."""
    size = 1 << (terms.shape[0] - 1).bit_length()
    high = jnp.pad(terms, (0, size - terms.shape[0]))
    low = jnp.zeros_like(high)
    while size > 1:
        size //= 2
        high, error = _two_sum(high[:size], high[size:])
        low = low[:size] + low[size:] + error
    return high[0] + low[0]


@jax.custom_jvp
def exact_sum(terms: Array) -> Array:
    """The sum of all terms, a scalar: the exact one but for its own rounding and a remainder of order u^2 (ACC-4).

    Infinite and NaN terms add up as usual. Partial sums beyond the largest float do no harm.
    """
    if terms.size == 0:
        return jnp.zeros((), terms.dtype)  # [SHAPE-4]
    flat = terms.reshape(-1)
    finite = jnp.isfinite(flat)
    kept = jnp.where(finite, flat, 0.0)
    # 2^64 terms of 2^(maxexp - 65) do not overflow; larger ones are scaled down by 2^64 first.  [STATE-4]
    threshold = jnp.asarray(2.0 ** float(np.finfo(flat.dtype).maxexp - 65), flat.dtype)
    scale = jnp.where(jnp.max(jnp.abs(kept)) > threshold, jnp.asarray(2.0**-64, flat.dtype), 1.0)
    total = _paired_sum(kept * scale) / scale
    # A two-sum turns inf into NaN, so the terms that are not finite go round it.
    return jnp.where(jnp.all(finite), total, jnp.sum(jnp.where(finite, 0.0, flat)))


@exact_sum.defjvp
def _exact_sum_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return exact_sum(*primals), jnp.sum(tangents[0])
