"""The softmax of the last axis, held as a peak and what is left over, so that confident tokens keep their digits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from lossproof.impl._arguments import ArgumentArray


class Softmax(NamedTuple):
    """The class probabilities and their distances from 1, [..., V]."""

    probability: Array
    complement: Array


def carried_type(array: ArgumentArray) -> jnp.dtype:
    """The type the arithmetic is carried in: float64 where that is there to be had, else float32 (SHAPE-3, ACC-5)."""
    return jnp.dtype(jax.dtypes.canonicalize_dtype("float64" if array.dtype == "float64" else "float32"))


def class_index(x: Array) -> Array:
    """The index of each entry along the last axis, in the shape of x."""
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)


def defined(value: Array) -> Array:
    """The value where it is finite, else NaN: arithmetic on inf would give numbers (STATE-3, STATE-8)."""
    return jnp.where(jnp.isfinite(value), value, jnp.nan)


def peak_value(x: Array) -> Array:
    """The largest entry, [..., 1], NaN where a token is undefined; a constant to every derivative.

    The softmax does not change with the number that is subtracted, so nothing is lost by holding it constant.
    """
    x = lax.stop_gradient(x)
    peak = defined(jnp.max(x, axis=-1, keepdims=True))
    # [STATE-3] XLA:CPU's maximum overlooks a NaN among 1009 numbers.
    return jnp.where(jnp.any(jnp.isnan(x), axis=-1, keepdims=True), jnp.nan, peak)


def _at_peak(x: Array) -> Array:
    first = lax.argmax(x, x.ndim - 1, jnp.int32)
    return class_index(x) == jnp.expand_dims(first, -1)


@jax.custom_jvp
def log_total(x: Array) -> Array:
    """log sum_j exp(x_j - peak), [...], with small relative error; lse is the peak plus this.

    The first largest entry contributes exactly 1 to the sum and is left out of it: log1p keeps the digits of the rest
    (ACC-1).
    """
    rest = jnp.sum(jnp.where(_at_peak(x), 0.0, jnp.exp(x - peak_value(x))), axis=-1)
    return jnp.log1p(rest)


@log_total.defjvp
def _log_total_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents

    @jax.checkpoint
    def tangent(x: Array, dx: Array) -> Array:
        return jnp.sum(softmax(x).probability * dx, axis=-1)

    return log_total(x), tangent(x, dx)


def softmax(x: Array) -> Softmax:
    """The probabilities of the last axis and, with small relative error, 1 minus each."""
    at_peak = _at_peak(x)
    exponential = jnp.exp(x - peak_value(x))
    rest = jnp.sum(jnp.where(at_peak, 0.0, exponential), axis=-1, keepdims=True)
    # The peak's own term is exactly 1; it is summed, not written as 1, because it has a derivative.  [GRAD-9]
    total = rest + jnp.sum(jnp.where(at_peak, exponential, 0.0), axis=-1, keepdims=True)
    probability = exponential / total
    # Every other class has p_j <= 1/2, so that 1 - p_j does not cancel.  [ACC-3]
    return Softmax(probability, jnp.where(at_peak, rest / total, 1.0 - probability))


def half_gap(x: Array) -> Array:
    """(peak - x_j) / 2, [..., V]: the gap itself can be twice the largest float (STATE-4)."""
    return 0.5 * peak_value(x) - 0.5 * x


def half_log_loss(x: Array) -> Array:
    """(lse - x_j) / 2, [..., V], as a sum of two numbers that are not negative (ACC-1, ACC-2)."""
    return half_gap(x) + jnp.expand_dims(0.5 * log_total(x), -1)


def log_partition(x: Array) -> Array:
    """lse, [...] (VALUE-8)."""
    return jnp.squeeze(peak_value(x), -1) + log_total(x)
