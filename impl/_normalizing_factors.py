"""Normalising factors that depend on the batch, with t5x's names and meanings."""

import enum
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec
from jax.typing import ArrayLike

from lossproof.impl._arguments import ArgumentArray, as_array, cast
from lossproof.impl._common import carried_type, known_size
from lossproof.impl._partitioning import partitioned, total
from lossproof.impl._segments import numbered, row_sums, segment_sums
from lossproof.impl._sums import exact_sum, headroom


@enum.unique
class SpecialLossNormalizingFactor(enum.Enum):
    """Normalising factors that are computed from the batch.

    Attributes:
        NUM_REAL_TARGET_TOKENS: the sum of the weights.
        NUM_TOTAL_TARGET_TOKENS: the number of target tokens, padding included.
        AVERAGE_PER_SEQUENCE: every sequence counts 1, however long it is.
    """

    NUM_REAL_TARGET_TOKENS = 1
    NUM_TOTAL_TARGET_TOKENS = 2
    AVERAGE_PER_SEQUENCE = 3


def convert_special_loss_normalizing_factor_to_enum(x: str) -> SpecialLossNormalizingFactor:
    """The special factor of this name.

    Args:
        x: the name of a member of SpecialLossNormalizingFactor, in any case.

    Returns:
        That member.

    Raises:
        ValueError: there is no such name; the message lists those there are.

    Example:
        >>> from lossproof import convert_special_loss_normalizing_factor_to_enum
        >>> convert_special_loss_normalizing_factor_to_enum("average_per_sequence").name
        'AVERAGE_PER_SEQUENCE'

    References:
        SPEC.md, clause NORM-1.
    """
    try:
        return SpecialLossNormalizingFactor[x.upper()]
    except (KeyError, AttributeError):
        names = ", ".join(SpecialLossNormalizingFactor.__members__)
        raise ValueError(f"x must be the name of a special factor, got x={x!r}: pass one of {names}.") from None


def get_loss_normalizing_factor_and_weights(
    loss_normalizing_factor: float | str | enum.Enum | None,
    batch: Mapping[str, ArrayLike],
) -> tuple[ArrayLike | None, ArrayLike | None]:
    """The number to divide the loss by and the weights of the tokens.

    Args:
        loss_normalizing_factor: a number or None, which pass through, or a special factor or its name in any case. A
            member of another enumeration, such as t5x's own, is taken by its name.
        batch: arrays [..., T] by name. decoder_loss_weights (real) or else decoder_target_tokens (integer, 0 for
            padding) give the weights; NUM_TOTAL_TARGET_TOKENS needs decoder_target_tokens; with decoder_segment_ids
            rows hold several sequences each for AVERAGE_PER_SEQUENCE, which then needs decoder_positions.

    Returns:
        (factor, weights): loss_normalizing_factor and loss weights for compute_weighted_cross_entropy. The factor of
        NUM_TOTAL_TARGET_TOKENS is an int, that of the others a scalar array.

    Raises:
        ValueError: there is no special factor of that name, a key is missing, or shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> from lossproof import get_loss_normalizing_factor_and_weights
        >>> batch = {"decoder_target_tokens": jnp.array([[5, 6, 0, 0]])}
        >>> get_loss_normalizing_factor_and_weights("AVERAGE_PER_SEQUENCE", batch)
        (Array(1., dtype=float32), Array([[0.5, 0.5, 0. , 0. ]], dtype=float32))

    References:
        SPEC.md, clauses NORM-1 to NORM-7 and DIFF-13.
    """
    if isinstance(loss_normalizing_factor, enum.Enum):  # another library's, t5x's own for instance
        loss_normalizing_factor = loss_normalizing_factor.name
    if isinstance(loss_normalizing_factor, str):
        loss_normalizing_factor = convert_special_loss_normalizing_factor_to_enum(loss_normalizing_factor)
    if not isinstance(loss_normalizing_factor, SpecialLossNormalizingFactor):
        return loss_normalizing_factor, batch.get("decoder_loss_weights")  # [NORM-2]
    weights = batch.get("decoder_loss_weights")
    if weights is None:
        tokens = _required("decoder_target_tokens", batch, loss_normalizing_factor)
        weights = jnp.asarray(tokens > 0, jnp.float32)  # [NORM-3]
    match loss_normalizing_factor:
        case SpecialLossNormalizingFactor.NUM_REAL_TARGET_TOKENS:
            return _jitted_sum(_carried(weights)), weights  # [NORM-4]
        case SpecialLossNormalizingFactor.NUM_TOTAL_TARGET_TOKENS:
            shape = _required("decoder_target_tokens", batch, loss_normalizing_factor).shape
            return math.prod(shape), weights  # [NORM-5]
        case SpecialLossNormalizingFactor.AVERAGE_PER_SEQUENCE:
            return _jitted_average(_carried(weights), _packing(weights, batch))  # [NORM-6]


class _Packing(NamedTuple):
    """Where the sequences of packed rows lie, [..., T]: their ids, and where their positions restart at 0."""

    segment_ids: Array
    restarts: Array


def _packing(weights: ArrayLike, batch: Mapping[str, ArrayLike]) -> _Packing | None:
    if batch.get("decoder_segment_ids") is None:
        return None
    special, shape = SpecialLossNormalizingFactor.AVERAGE_PER_SEQUENCE, as_array(weights).shape
    segment_ids = _required("decoder_segment_ids", batch, special, shape)
    positions = _required("decoder_positions", batch, special, shape)
    return _Packing(numbered(segment_ids), jnp.asarray(positions == 0))


@jax.jit
def _jitted_sum(weights: Array) -> Array:
    return partitioned(exact_sum, weights, total)(weights)


@jax.jit
def _jitted_average(weights: Array, packing: _Packing | None) -> tuple[Array, Array]:
    """Each weight as a share of the sum over its sequence, and the sum of the shares, in the order (sum, shares)."""
    return partitioned(_average, weights, lambda spec: (PartitionSpec(), PartitionSpec(*spec)))(weights, packing)


def _average(weights: Array, packing: _Packing | None) -> tuple[Array, Array]:
    if known_size(weights.shape) == 0:
        return exact_sum(weights), weights
    if packing is not None:
        weights = jnp.where(packing.segment_ids == 0, 0.0, weights)
    weights = weights * headroom(weights, (weights.ndim - 1,))  # a power of 2 leaves the shares as they are
    sums = row_sums(weights) if packing is None else segment_sums(weights, packing.segment_ids, packing.restarts)
    shares = jnp.where(sums == 0.0, 0.0, weights / jnp.where(sums == 0.0, 1.0, sums))
    shares = jnp.where(jnp.isfinite(sums), shares, jnp.nan)
    return exact_sum(shares), shares


def _carried(weights: ArrayLike) -> Array:
    array = as_array(weights)
    return cast(array, carried_type(array))


def _required(
    key: str,
    batch: Mapping[str, ArrayLike],
    special: SpecialLossNormalizingFactor,
    shape: tuple[int, ...] | None = None,
) -> ArgumentArray:
    value = batch.get(key)
    if value is None:
        raise ValueError(
            f"{special.name} needs batch[{key!r}], got a batch with the keys {sorted(batch)}: add {key!r} to the batch."
        )
    array = as_array(value)
    if shape is not None and array.shape != shape:
        raise ValueError(
            f"batch[{key!r}] must have the shape of the weights: weights {shape} need {key} {shape}, got {array.shape}."
        )
    return array
