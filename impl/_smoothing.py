"""Label smoothing: the mass on the target, the mass on each other class, and the entropy of the two."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lossproof.impl._elementary import log, log1p
from lossproof.impl._form import Form


class Smoothing(NamedTuple):
    """on, off and H of SPEC.md for one label_smoothing, scalars of the carried type.

    Derivatives by label_smoothing come from `label_smoothing` in closed form; those of the other three are read by
    second derivatives alone.
    """

    label_smoothing: Array
    on: Array
    off: Array
    entropy: Array


def receivers(form: Form, classes: int) -> int:
    """The number of classes that label_smoothing is spread over (VALUE-2, CONV-2)."""
    return classes if form.smoothing == "uniform" else classes - 1


def concrete_smoothing(label_smoothing: float, form: Form, classes: int, carried: jnp.dtype) -> Smoothing:
    """Smoothing by a known number in [0, 1]: computed in double precision, rounded once."""
    on, off, entropy = 1.0, 0.0, 0.0  # [STATE-6]
    if classes > 1:
        off = label_smoothing / receivers(form, classes)
        on = 1.0 - label_smoothing + (off if form.smoothing == "uniform" else 0.0)
        moved = (classes - 1) * off
        if form.subtract_entropy and on > 0.0:  # [VALUE-3] 0 log 0 = 0; on may have been rounded to 1
            entropy -= on * (math.log1p(-moved) if moved < 0.5 else math.log(on))
        if form.subtract_entropy and label_smoothing > 0.0:  # [STATE-7]
            entropy -= moved * (math.log(label_smoothing) - math.log(receivers(form, classes)))
    return Smoothing(*(jnp.asarray(np.asarray(value, carried)) for value in (label_smoothing, on, off, entropy)))


def traced_smoothing(label_smoothing: Array, form: Form, classes: int) -> Smoothing:
    """Smoothing by a number known only when the program runs, in its own type."""
    valid = (label_smoothing >= 0.0) & (label_smoothing <= 1.0)
    zero = jnp.zeros_like(label_smoothing)
    if classes == 1:
        return Smoothing(label_smoothing, jnp.where(valid, 1.0, jnp.nan).astype(zero.dtype), zero, zero)  # [STATE-6]
    spread = jnp.where(valid, label_smoothing, jnp.nan)  # [SHAPE-5]
    off = spread / receivers(form, classes)
    on = 1.0 - spread
    if form.smoothing == "uniform":
        on = on + off
    if not form.subtract_entropy:
        return Smoothing(label_smoothing, on, off, zero)
    known, known_on = lax.stop_gradient((label_smoothing, on))
    moved = known if form.smoothing == "others" else known * ((classes - 1) / classes)
    entropy = -(
        jnp.where(known_on == 0.0, 0.0, known_on * _log_on(known, form, classes))
        + jnp.where(known == 0.0, 0.0, moved * _log_off(known, form, classes))
    )
    return Smoothing(label_smoothing, on, off, entropy)


def entropy_slope(label_smoothing: Array, form: Form, classes: int) -> Array:
    """dH/de = ((V - 1) / S) (log on - log off) with S receivers, +inf at 0 (GRAD-4); 0 where H is not subtracted."""
    if not form.subtract_entropy:
        return jnp.zeros_like(label_smoothing)
    share = (classes - 1) / receivers(form, classes)
    return share * (_log_on(label_smoothing, form, classes) - _log_off(label_smoothing, form, classes))


def _log_on(label_smoothing: Array, form: Form, classes: int) -> Array:
    if form.smoothing == "others":
        return log1p(-label_smoothing)
    return log((1.0 - label_smoothing) + label_smoothing / classes)  # 1 / V at 1, which log1p(-moved) has no digits of


def _log_off(label_smoothing: Array, form: Form, classes: int) -> Array:
    return log(label_smoothing) - math.log(receivers(form, classes))
