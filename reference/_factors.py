"""Normalising factors (SPEC.md, NORM): sums and quotients of rational numbers, exactly."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lossproof.reference._enclosure import Enclosure, EnclosureArray, refine
from lossproof.reference._inputs import ExactArray, exact_array, exact_scalar, is_finite
from lossproof.reference._interval import exact
from lossproof.reference._losses import DIGITS


@enum.unique
class SpecialLossNormalizingFactor(enum.Enum):
    """NORM-1: factors that depend on the batch."""

    NUM_REAL_TARGET_TOKENS = 1
    NUM_TOTAL_TARGET_TOKENS = 2
    AVERAGE_PER_SEQUENCE = 3


@dataclass(frozen=True)
class Normalization:
    """The factor L and the weights; None as in NORM-2."""

    factor: Enclosure | None
    weights: EnclosureArray | None


def convert_special_loss_normalizing_factor_to_enum(x: str) -> SpecialLossNormalizingFactor:
    """The member of that name, in any case.

    Raises:
      ValueError: no such name.
    """
    try:
        return SpecialLossNormalizingFactor[x.upper()]
    except KeyError:
        names = ", ".join(SpecialLossNormalizingFactor.__members__)
        raise ValueError(f"unknown loss normalizing factor {x!r}: choose one of {names}") from None


def get_loss_normalizing_factor_and_weights(
    loss_normalizing_factor: float | str | SpecialLossNormalizingFactor | None,
    batch: Mapping[str, Any],
    *,
    digits: int = DIGITS,
) -> Normalization:
    """The factor L and the weights that compute_weighted_cross_entropy takes.

    Args:
      loss_normalizing_factor: None, a number, a special factor or its name.
      batch: "decoder_target_tokens" [..., T]; optionally "decoder_loss_weights" [..., T], and for packed rows
        "decoder_segment_ids" and "decoder_positions" [..., T].
      digits: decimal digits to settle.

    Returns:
      Enclosures of factor and weights.

    Raises:
      ValueError: unknown name, or a key is missing.

    References:
      SPEC.md NORM.
    """
    given = (
        exact_array("decoder_loss_weights", batch["decoder_loss_weights"]) if "decoder_loss_weights" in batch else None
    )
    if isinstance(loss_normalizing_factor, str):
        loss_normalizing_factor = convert_special_loss_normalizing_factor_to_enum(loss_normalizing_factor)
    if not isinstance(loss_normalizing_factor, SpecialLossNormalizingFactor):
        factor = (
            None
            if loss_normalizing_factor is None
            else _enclose([exact_scalar("loss_normalizing_factor", loss_normalizing_factor)], digits)[0]
        )
        return Normalization(
            factor, None if given is None else EnclosureArray(given.shape, _enclose(given.values, digits))
        )

    if given is None or loss_normalizing_factor is SpecialLossNormalizingFactor.NUM_TOTAL_TARGET_TOKENS:
        if "decoder_target_tokens" not in batch:
            raise ValueError(f"batch must have 'decoder_target_tokens', got the keys {sorted(batch)}")
        tokens = exact_array("decoder_target_tokens", batch["decoder_target_tokens"])
    if given is None:
        given = ExactArray(tokens.shape, tuple(float(token > 0) for token in tokens.values))  # NORM-3
    weights = list(given.values)
    factor_number: Any
    if loss_normalizing_factor is SpecialLossNormalizingFactor.NUM_REAL_TARGET_TOKENS:
        factor_number = _sum(weights)  # NORM-4
    elif loss_normalizing_factor is SpecialLossNormalizingFactor.NUM_TOTAL_TARGET_TOKENS:
        factor_number = math.prod(tokens.shape)  # NORM-5
    else:
        weights = _averaged(given, batch)  # NORM-6
        factor_number = _sum(weights)
    return Normalization(_enclose([factor_number], digits)[0], EnclosureArray(given.shape, _enclose(weights, digits)))


def _averaged(given: ExactArray, batch: Mapping[str, Any]) -> list[Any]:
    weights: list[Any] = [0] * len(given.values)
    for segment in _segments(given, batch):
        norm = _sum([given.values[i] for i in segment])
        for i in segment:
            weights[i] = 0 if norm == 0 else _quotient(given.values[i], norm)
    return weights


def _segments(given: ExactArray, batch: Mapping[str, Any]) -> list[list[int]]:
    """The positions of each sequence, row by row; padding belongs to none (NORM-7)."""
    length = given.shape[-1]
    rows = [list(range(start, start + length)) for start in range(0, len(given.values), length)] if length else []
    if "decoder_segment_ids" not in batch:
        return rows
    if "decoder_positions" not in batch:
        raise ValueError(f"a packed batch must have 'decoder_positions', got the keys {sorted(batch)}")
    ids, positions = (_of_shape(key, batch, given.shape) for key in ("decoder_segment_ids", "decoder_positions"))
    segments: list[list[int]] = []
    for row in rows:
        for i in row:
            if i == row[0] or ids[i] != ids[i - 1] or positions[i] == 0:
                segments.append([])
            segments[-1].append(i)
    return [segment for segment in segments if ids[segment[0]] != 0]


def _of_shape(key: str, batch: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[Any, ...]:
    array = exact_array(key, batch[key])
    if array.shape != shape:
        raise ValueError(f"{key} must have the shape of the weights, {shape}, got {array.shape}")
    return array.values


def _sum(numbers: list[Any]) -> Any:
    specials = [number for number in numbers if not _is_finite(number)]
    return sum(specials) if specials else sum(map(Fraction, numbers), Fraction(0))


def _quotient(numerator: Any, denominator: Any) -> Any:
    if not (_is_finite(numerator) and _is_finite(denominator)):
        return math.nan
    return Fraction(numerator) / denominator


def _is_finite(number: Any) -> bool:
    return isinstance(number, Fraction) or is_finite(number)


def _enclose(numbers: Any, digits: int) -> tuple[Enclosure, ...]:
    def quotients() -> list[Any]:
        return [
            exact(Fraction(number).numerator) / exact(Fraction(number).denominator)
            if _is_finite(number)
            else float(number)
            for number in numbers
        ]

    return refine(quotients, digits)
