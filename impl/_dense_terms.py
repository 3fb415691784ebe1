"""The formulas of dense targets."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._along_classes import read_again
from lossproof.impl._class_axis import over_devices
from lossproof.impl._class_sums import class_sum
from lossproof.impl._form import Form
from lossproof.impl._partitioning import beside
from lossproof.impl._softcap import capped
from lossproof.impl._softmax_row import SoftmaxRow, softmax_row
from lossproof.impl._tangents import times
from lossproof.impl._xla_rows import is_below, told_apart


def is_dense(targets: Array) -> bool:
    """Whether targets are weights over the classes, not class numbers."""
    return bool(jnp.issubdtype(targets.dtype, jnp.floating))


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

    return 2.0 * class_sum(form, terms, (logits, targets), (largest, peak, log_total))


def mass(form: Form, targets: Array) -> Array:
    """Q, [...]."""
    return class_sum(form, lambda q: q, (targets,), ())


def all_finite(form: Form, targets: Array) -> Array:
    """Whether each of q_j is finite, bool [...]."""
    return class_sum(form, lambda q: 0.0 * q, (targets,), ()) == 0.0


def dense_row(form: Form, logits: Array, targets: Array) -> SoftmaxRow:
    """The row of each token, undefined where a target is not finite (STATE-3); do not use its fields about a target."""
    row = softmax_row(form, logits, beside(logits, jnp.zeros(logits.shape[:-1], jnp.int32)))
    return row._replace(is_defined=row.is_defined & all_finite(form, targets))


def xent_slopes(y: Array, exponential: Array, rows: tuple[Array, ...], scalars: tuple[Array, ...]) -> Array:
    """The derivative of xent by the logits after the cap, [..., V].

    Q p_j - q_j, in the form that keeps the digits where q_j is all of Q (GRAD-1, ACC-3, DIFF-9).

    Args:
        y: the logits before the cap.
        exponential: exp(x_j - m).
        rows: the targets q, [..., V].
        scalars: Q, s, s without the peak, and the largest logit before the cap, each [...].
    """
    (targets,), (mass, total, rest, largest) = rows, (scalar[..., None] for scalar in scalars)
    probability = exponential / total
    # At the peak 1 - p_j is r / s; what is added there has the derivative by the peak's own term.  [GRAD-9]
    of_peak = (rest - _nothing_but_derivative(exponential)) / total
    below = is_below(largest, y)
    complement = below * (1.0 - probability) + (1.0 - below) * of_peak
    return (mass - targets) * probability - targets * complement


@jax.custom_jvp
def _nothing_but_derivative(value: Array) -> Array:
    """0 with the derivative of the value. As value - stop_gradient(value), XLA:CPU would write the value."""
    return jnp.zeros_like(value)


@_nothing_but_derivative.defjvp
def _nothing_but_derivative_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return jnp.zeros_like(primals[0]), tangents[0]


def along_targets(form: Form, logits: Array, dead: Array, row: SoftmaxRow, dtargets: Array) -> Array:
    """The tangent of xent by the targets (GRAD-6)."""

    @partial(jax.checkpoint, prevent_cse=False)
    def along(logits: Array, dead: Array, largest: Array, peak: Array, log_total: Array, dtargets: Array) -> Array:
        logits, dead, largest, peak, log_total = read_again(form, (logits, dead, largest, peak, log_total))
        y = jnp.where(dead[..., None], 1.0, logits.astype(peak.dtype))
        half = 0.5 * peak[..., None] - 0.5 * capped(y, form.softcap)
        half = told_apart(half, largest[..., None], y, form.softcap) + (0.5 * log_total)[..., None]
        return jnp.sum(times(2.0 * half, dtargets), axis=-1)

    return over_devices(form, along(logits, dead, row.largest, row.peak, row.log_total, dtargets))
