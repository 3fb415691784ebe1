"""Label smoothing: the mass on the target, the mass on each other class, and the entropy of the two."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax


class Smoothing(NamedTuple):
    """on, off and H of SPEC.md for one label_smoothing, scalars of the carried type.

    Derivatives by label_smoothing come from `label_smoothing` in closed form; those of the other three are read by
    second derivatives alone.
    """

    label_smoothing: Array
    on: Array
    off: Array
    entropy: Array


def concrete_smoothing(label_smoothing: float, classes: int, carried: jnp.dtype) -> Smoothing:
    """Smoothing by a known number in [0, 1]: computed in double precision, rounded once."""
    on, off, entropy = 1.0, 0.0, 0.0  # [STATE-6]
    if classes > 1:
        on = 1.0 - label_smoothing
        off = label_smoothing / (classes - 1)
        if 0.0 < label_smoothing < 1.0:  # [VALUE-3] 0 log 0 = 0
            entropy -= on * math.log1p(-label_smoothing)
        if label_smoothing > 0.0:  # [STATE-7]
            entropy -= label_smoothing * (math.log(label_smoothing) - math.log(classes - 1))
    return Smoothing(*(jnp.asarray(np.asarray(value, carried)) for value in (label_smoothing, on, off, entropy)))


def traced_smoothing(label_smoothing: Array, classes: int) -> Smoothing:
    """Smoothing by a number known only when the program runs, in its own type."""
    valid = (label_smoothing >= 0.0) & (label_smoothing <= 1.0)
    if classes == 1:
        zero = jnp.zeros_like(label_smoothing)
        return Smoothing(label_smoothing, jnp.where(valid, 1.0, jnp.nan).astype(zero.dtype), zero, zero)  # [STATE-6]
    on = jnp.where(valid, 1.0 - label_smoothing, jnp.nan)  # [SHAPE-5]
    off = label_smoothing / (classes - 1)
    known = lax.stop_gradient(label_smoothing)
    entropy = -(
        jnp.where(known == 1.0, 0.0, (1.0 - known) * jnp.log1p(-known))
        + jnp.where(known == 0.0, 0.0, known * (jnp.log(known) - math.log(classes - 1)))
    )
    return Smoothing(label_smoothing, on, off, entropy)


def entropy_slope(label_smoothing: Array, classes: int) -> Array:
    """dH/de = log((1 - e)(V - 1) / e); +inf at 0 and -inf at 1 (GRAD-4)."""
    return jnp.log1p(-label_smoothing) + (math.log(classes - 1) - jnp.log(label_smoothing))
