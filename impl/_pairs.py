"""Numbers to twice the digits of their type, as sums of two."""

import itertools
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# high + low: high is the number rounded.
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


def pair_sums(arrays: tuple[Array, ...], axes: tuple[int, ...]) -> tuple[Array, ...]:
    """The sum of each array over these axes, rounded once but for order u^2; NaN if a partial sum overflows.

    All are of one shape and type. A sum of pairs is a chain of dependent operations, and theirs interleave.
    """
    flat = tuple(itertools.chain.from_iterable(map(as_pair, arrays)))
    # A reduction and no tree of halves: it compiles in a third of the time, and where the terms are spread over
    # devices, each sums its own and two numbers travel.
    return tuple(lax.reduce(flat, tuple(np.zeros((), part.dtype) for part in flat), _add_each, axes)[::2])


def _add_each(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    """The sums of pairs that lie flat, one after the other."""
    added = (add_pairs((a[i], a[i + 1]), (b[i], b[i + 1])) for i in range(0, len(a), 2))
    return tuple(itertools.chain.from_iterable(added))
