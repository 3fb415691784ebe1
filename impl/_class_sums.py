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
from lossproof.impl._xla_rows import capped, told_apart


def _class_sum(form: Form, terms: Callable[..., Array], rows: tuple[Array, ...], scalars: tuple[Array, ...]) -> Array:
    """The sum over the classes of what an elementwise function makes of rows [..., V] and of scalars [...] beside them.

    XLA:CPU's sum is fast where the function is arithmetic, without a select.
    """

    def whole(rows: tuple[Array, ...], scalars: tuple[Array, ...]) -> Array:
        return jnp.sum(terms(*rows, *(scalar[..., None] for scalar in scalars)), axis=-1)

    return over_devices(
        form, on_platform(form.implementation, rows, scalars, cpu=partial(cut_sum, terms), default=whole)
    )


def half_dense_loss(form: Form, logits: Array, targets: Array, largest: Array, peak: Array, log_total: Array) -> Array:
    """sum_j q_j (m - x_j + log s) / 2, [...], with 0 * inf = 0 (VALUE-7, STATE-1, STATE-2).

    A quarter of a gap is finite unless x_j is -inf. Where it is not, q_j is multiplied by a large number, twice, which
    is too much for any q_j but 0. The last product has to be infinite before it is added: it may be part of an FMA,
    where inf and a finite number too large to be rounded add up to inf.
    """
    most = float(jnp.finfo(peak.dtype).max)

    def terms(y: Array, q: Array, top: Array, m: Array, log_s: Array) -> Array:
        y = y.astype(peak.dtype)
        x = capped(y, None if form.softcap is None else -form.softcap)
        quarter = told_apart(jnp.minimum(0.25 * m - 0.25 * x, most), top, y, form.softcap)
        more = jnp.maximum(quarter - 0.5 * most, 1.0)
        return ((q * more) * more) * (quarter + 0.25 * log_s)

    return 2.0 * _class_sum(form, terms, (logits, targets), (largest, peak, log_total))


def mass(form: Form, targets: Array) -> Array:
    """Q, [...]."""
    return _class_sum(form, lambda q: q, (targets,), ())


def all_finite(form: Form, targets: Array) -> Array:
    """Whether each of q_j is finite, bool [...]."""
    return _class_sum(form, lambda q: 0.0 * q, (targets,), ()) == 0.0


def first_largest(form: Form, logits: Array) -> Array:
    """The index of the first largest logit, int32 [...]; any number where a logit is NaN."""
    own = on_platform(form.implementation, logits, cpu=_xla_cpu_rows.first_largest, default=_xla_rows.first_largest)
    return first_of_devices(form, logits, own)
