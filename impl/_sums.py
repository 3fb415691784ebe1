"""Sums whose error does not grow with the number of terms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lossproof.impl._common import known_size
from lossproof.impl._digit_sums import digit_sum
from lossproof.impl._pairs import pair_sums
from lossproof.impl._platform import on_platform


def headroom(terms: Array, axes: tuple[int, ...]) -> Array:
    """The power of 2 by which terms are scaled so that no partial sum over these axes, which are kept, overflows.

    It is 1 unless they could, and no smaller than it has to be: small terms beside huge ones may be sums of their own.
    """
    count = known_size(tuple(terms.shape[axis] for axis in axes))
    small = 2.0 ** -(33 if count is None else count.bit_length() + 1)
    largest = jnp.max(jnp.abs(terms), axis=axes, keepdims=True)
    return jnp.where(largest > small * np.finfo(terms.dtype).max, jnp.full_like(largest, small), 1)


def exact_sum(terms: Array, implementation: str | None = None) -> Array:
    """The sum of all terms, a scalar: as `exact_sums`."""
    return exact_sums(terms, implementation=implementation)[0]


def exact_sums(*arrays: Array, axis: int | None = None, implementation: str | None = None) -> tuple[Array, ...]:
    """The sum of each array, exact but for its own rounding and a remainder of order u^2 (ACC-4).

    Infinite and NaN terms add up as usual. Partial sums beyond the largest float do no harm.

    Args:
        *arrays: of one shape and type; summed together, they take hardly longer than one.
        axis: the one to sum over; None for all.
        implementation: None, or "xla" for the sum that is not XLA:CPU's.

    Returns:
        The sums, without the axes that were summed over.
    """
    ndim = arrays[0].ndim
    return _sums(arrays, tuple(range(ndim)) if axis is None else (axis % ndim,), implementation)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _sums(arrays: tuple[Array, ...], axes: tuple[int, ...], implementation: str | None) -> tuple[Array, ...]:
    if known_size(arrays[0].shape) == 0:
        return tuple(jnp.sum(array, axis=axes) for array in arrays)  # [SHAPE-4]
    # Digits cost 35 operations a term, nothing beside the logits of one, but not on a CPU alone with its terms; pairs,
    # gathered from many devices to be added up.
    return on_platform(
        implementation, arrays, cpu=partial(_of_pairs, axes=axes), default=partial(_of_digits, axes=axes)
    )


def _of_digits(arrays: tuple[Array, ...], axes: tuple[int, ...]) -> tuple[Array, ...]:
    totals = digit_sum(jnp.stack(arrays), tuple(axis + 1 for axis in axes))
    return tuple(totals[i] for i in range(len(arrays)))


def _of_pairs(arrays: tuple[Array, ...], axes: tuple[int, ...]) -> tuple[Array, ...]:
    terms = jnp.stack(arrays)  # together they are fewer kernels to compile
    along = tuple(axis + 1 for axis in axes)
    finite = jnp.where(jnp.isfinite(terms), terms, 0)
    scale = headroom(finite, along)  # [STATE-4]
    scaled = finite * scale
    totals = jnp.stack(pair_sums(tuple(scaled[i] for i in range(len(arrays))), axes)) / jnp.squeeze(scale, along)
    # In a two-sum inf would be NaN: terms that are not finite are added on their own.
    totals = totals + jnp.sum(jnp.where(jnp.isfinite(terms), 0, terms), axis=along)
    return tuple(totals[i] for i in range(len(arrays)))


@_sums.defjvp
def _sums_jvp(
    axes: tuple[int, ...],
    implementation: str | None,
    primals: tuple[tuple[Array, ...]],
    tangents: tuple[tuple[Array, ...]],
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return _sums(*primals, axes, implementation), tuple(jnp.sum(tangent, axis=axes) for tangent in tangents[0])
