"""Exact sums in any order: terms cut into digits that add up without rounding, as small integers.

A float is a few digits of a long fixed-point number, here of base 2^w: from the smallest subnormal to the largest float
there are 277 bits in float32. Digits of one place are integers, so their sums over the tokens are exact whatever the
order, on one device or on many, which exchange one small array of integers. (The long accumulator of Kulisch, with room
in each digit for the carries of N terms as in Neal, "Fast exact summation using small and large superaccumulators",
2015.)
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lossproof.impl._common import known_size
from lossproof.impl._pairs import pair_sums

WIDEST = {"float32": 12, "float64": 32}  # digits, in bits


class _Places(NamedTuple):
    """The places of the digits.

    Attributes:
        width: of a digit, in bits.
        exponents: int [B], of the lowest bit of each place.
        integers: the type that sums of digits are in.
        half: the number of bits of it that a float of the carried type holds exactly.
    """

    width: int
    exponents: np.ndarray
    integers: np.dtype
    half: int


def _places(dtype: np.dtype, count: int | None) -> _Places:
    info = np.finfo(dtype)
    bits = 8 * dtype.itemsize
    # Room for the sign and for as many carries as there are terms; where their number is not known, for 2^26 of them.
    room = bits - 2 - (26 if count is None else count.bit_length())
    width = max(1, min(WIDEST[dtype.name], room))
    lowest, highest = info.minexp - info.nmant, info.maxexp
    exponents = np.arange(lowest, highest, width)
    return _Places(width, exponents, np.dtype(f"int{bits}"), bits // 2 - 1)


def digit_sum(terms: Array, axes: tuple[int, ...]) -> Array:
    """The sum over these axes, rounded once but for order u^2."""
    places = _places(np.dtype(terms.dtype), known_size(tuple(terms.shape[axis] for axis in axes)))
    # The places come first: a TPU computes 128 neighbours of the last axis at once.
    counts = jnp.sum(_digits(terms, places), axis=tuple(axis + 1 for axis in axes))
    infinite, negative, undefined = (counts[i] != 0 for i in (-3, -2, -1))
    total = jnp.where(infinite, jnp.inf, jnp.where(negative, -jnp.inf, _value(counts[:-3], places, terms.dtype)))
    return jnp.where(undefined | (infinite & negative), jnp.nan, total)


def _digits(terms: Array, places: _Places) -> Array:
    """The digits [B, ...] of finite terms, of the sign of the term; then whether it is inf, -inf, and NaN.

    Elementwise in [B + 3, ...], so that it is part of the sum and never written.
    """
    dtype = np.dtype(terms.dtype)
    mantissa, w, count = np.finfo(dtype).nmant + 1, places.width, len(places.exponents)
    exponents = np.concatenate([places.exponents, np.full(3, -w)])
    far = np.finfo(dtype).maxexp // 2
    # Far from 1 in two steps, since 2^-e may be out of range; with a select between them, or XLA makes one of the two.
    first = np.select([exponents < -far, exponents > far], [far, -far])
    with np.errstate(over="ignore"):
        # Above, the lowest bit of the term is in a higher place.
        limits = np.ldexp(np.ones((), dtype), exponents + w + mantissa)
    term = terms[None]
    moved = jnp.where(
        _first(first > 0, term), term * 2.0**far, jnp.where(_first(first < 0, term), term * 2.0**-far, term)
    )
    near = jnp.where(jnp.abs(term) < _first(limits, term), moved, 0)
    shifted, above = (near * _first(np.ldexp(np.ones((), dtype), -(exponents + first + more)), term) for more in (0, w))
    digits = (jnp.trunc(shifted) - 2.0**w * jnp.trunc(above)).astype(places.integers)
    place = lax.broadcasted_iota(jnp.int32, digits.shape, 0)
    for flag, is_so in enumerate((term == jnp.inf, term == -jnp.inf, jnp.isnan(term))):
        digits = jnp.where(place == count + flag, is_so.astype(places.integers), digits)
    return digits


def _value(digits: Array, places: _Places, dtype: np.dtype) -> Array:
    """The number that sums of digits [B, ...] stand for."""
    high = digits >> places.half
    low = digits - (high << places.half)
    # Of large, of ordinary and of small numbers, each moved to the middle of the range: nothing overflows there, and
    # what underflows is nothing beside the rest.
    far = np.finfo(dtype).maxexp // 2
    is_large, is_ordinary = (
        jnp.any((digits != 0) & _first(places.exponents >= edge, digits), axis=0) for edge in (far, -far)
    )
    large, ordinary, small = (
        _first(np.ldexp(np.ones((), dtype), np.minimum(places.exponents + shift, far)), digits)
        for shift in (-far, 0, far)
    )
    powers = jnp.where(is_large[None], large, jnp.where(is_ordinary[None], ordinary, small))
    parts = (high.astype(dtype) * powers) * 2.0**places.half, low.astype(dtype) * powers
    (total,) = pair_sums((jnp.concatenate(parts),), (0,))
    return total * jnp.where(is_large, 2.0**far, jnp.where(is_ordinary, 1.0, 2.0**-far)).astype(dtype)


def _first(constants: np.ndarray, beside: Array) -> np.ndarray:
    """Constants along the first axis of an array."""
    return constants.reshape(-1, *(1,) * (beside.ndim - 1))
