"""Sums over the classes of each token that only some losses ask for."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import Array

from lossproof.impl import _xla_cpu_rows, _xla_rows
from lossproof.impl._class_axis import first_of_devices, over_devices
from lossproof.impl._form import Form
from lossproof.impl._platform import on_platform
from lossproof.impl._xla_cpu_sums import cut_sum


def class_sum(form: Form, terms: Callable[..., Array], rows: tuple[Array, ...], scalars: tuple[Array, ...]) -> Array:
    """The sum over the classes of what an elementwise function makes of rows [..., V] and of scalars [...] beside them.

    XLA:CPU's sum is fast where the function is arithmetic, without a select.
    """

    def whole(rows: tuple[Array, ...], scalars: tuple[Array, ...]) -> Array:
        return jnp.sum(terms(*rows, *(scalar[..., None] for scalar in scalars)), axis=-1)

    return over_devices(
        form, on_platform(form.implementation, rows, scalars, cpu=partial(cut_sum, terms), default=whole)
    )


def first_largest(form: Form, logits: Array) -> Array:
    """The index of the first largest logit, int32 [...]; any number where a logit is NaN."""
    own = on_platform(form.implementation, logits, cpu=_xla_cpu_rows.first_largest, default=_xla_rows.first_largest)
    return first_of_devices(form, logits, own)
