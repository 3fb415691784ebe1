"""Sums whose error does not grow with the number of terms."""

import itertools
import math
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# high + low, a number to twice the digits of its type: high is the number rounded.
Pair: TypeAlias = tuple[Array, Array]


def add_pairs(a: Pair, b: Pair) -> Pair:
    """a + b to twice the digits: Knuth's two-sum of the high parts, renormalised with what is below (Dekker, 1971).

    To first order its error is at most 3 u^2 (|a| + |b|).
    """
    high = a[0] + b[0]
    b_seen = high - a[0]
    error = (a[0] - (high - b_seen)) + (b[0] - b_seen)
    low = (a[1] + b[1]) + error
    total = high + low
    return total, low - (total - high)


def as_pair(terms: Array) -> Pair:
    """The terms themselves, each with nothing below."""
    return terms, jnp.zeros_like(terms)


def headroom(terms: Array, axes: tuple[int, ...]) -> Array:
    """The power of 2 by which terms are scaled so that no partial sum over these axes, which are kept, overflows.

    It is 1 unless they could, and no smaller than it has to be: small terms beside huge ones may be sums of their own.
    """
    small = 2.0 ** -(math.prod(terms.shape[axis] for axis in axes).bit_length() + 1)
    largest = jnp.max(jnp.abs(terms), axis=axes, keepdims=True)
    return jnp.where(largest > small * np.finfo(terms.dtype).max, jnp.full_like(largest, small), 1)


def exact_sum(terms: Array) -> Array:
    """The sum of all terms, a scalar: as `exact_sums`."""
    return exact_sums(terms)[0]


def exact_sums(*arrays: Array, axis: int | None = None) -> tuple[Array, ...]:
    """The sum of each array, exact but for its own rounding and a remainder of order u^2 (ACC-4).

    Infinite and NaN terms add up as usual. Partial sums beyond the largest float do no harm.

    Args:
        *arrays: of one shape and type. Summed together, they take hardly longer than one: a sum of pairs is a chain of
            dependent operations, and theirs interleave.
        axis: the one to sum over; None for all.

    Returns:
        The sums, without the axes that were summed over.
    """
    shape = arrays[0].shape
    return _sums(arrays, tuple(range(len(shape))) if axis is None else (axis % len(shape),))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _sums(arrays: tuple[Array, ...], axes: tuple[int, ...]) -> tuple[Array, ...]:
    if arrays[0].size == 0:
        return tuple(jnp.sum(array, axis=axes) for array in arrays)  # [SHAPE-4]
    scales = [headroom(array, axes) for array in arrays]  # [STATE-4]
    terms = [as_pair(array * scale) for array, scale in zip(arrays, scales, strict=True)]
    flat = tuple(itertools.chain.from_iterable(terms))
    # A reduction and no tree of halves: it compiles in a third of the time, and where the terms are spread over
    # devices, each sums its own and two numbers travel.
    highs = lax.reduce(flat, tuple(np.zeros((), part.dtype) for part in flat), _add_each, axes)[::2]
    totals = (high / jnp.squeeze(scale, axes) for high, scale in zip(highs, scales, strict=True))
    # A two-sum turns inf into NaN; then the terms that are not finite decide.
    return tuple(
        jnp.where(jnp.isnan(total), jnp.sum(jnp.where(jnp.isfinite(array), 0.0, array), axis=axes), total)
        for total, array in zip(totals, arrays, strict=True)
    )


def _add_each(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    """The sums of pairs that lie flat, one after the other."""
    added = (add_pairs((a[i], a[i + 1]), (b[i], b[i + 1])) for i in range(0, len(a), 2))
    return tuple(itertools.chain.from_iterable(added))


@_sums.defjvp
def _sums_jvp(
    axes: tuple[int, ...], primals: tuple[tuple[Array, ...]], tangents: tuple[tuple[Array, ...]]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return _sums(*primals, axes), tuple(jnp.sum(tangent, axis=axes) for tangent in tangents[0])
