"""The gradient by the logits, block by block; docs/oracle-proof.md, section 8."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossproof.reference._inputs import exact_scalar, is_finite
from lossproof.reference.oracle import _exp
from lossproof.reference.oracle._ball import Ball, Value, ball, scaled, words
from lossproof.reference.oracle._double_double import Array, U, add, multiply
from lossproof.reference.oracle._losses import Bracket
from lossproof.reference.oracle._problem import Problem, make_problem
from lossproof.reference.oracle._row_sums import TILE
from lossproof.reference.oracle._tokens import Token, tokens
from lossproof.spec import LOSSPROOF, Convention

_LARGEST = 2.0**900  # of a coefficient, so that the splitting in products cannot overflow (section 2)
_UNDERFLOW = 2.0**-1060  # what subnormal numbers may cost an entry (section 8.2)
_ROUNDED = 1 + 2.0**-40  # covers the roundings of the radius itself (section 8.3)


@dataclass(frozen=True)
class _Row:
    """Entries slope * exp(x_j - m) - offset, but for the few that have a formula of their own.

    Attributes:
      slope: (b Q + 2 k lse (b + b_z)) / (1 + r), where b and b_z are the cotangents of loss and z_loss times c_i.
      offset: b off.
      entries: the target's and the first maximum's, by class; of an undefined row, all.
      omitted: whether a finite logit lies more than 620 below the largest.
    """

    slope: Ball
    offset: Ball
    entries: Mapping[int, Value]
    omitted: bool

    def coefficients(self) -> tuple[float, ...]:
        """Slope and offset in two words each, and the radius of an entry: spread * exp(x_j - m) + floor (section 8)."""
        slope, slope_low, slope_radius = words(self.slope)
        offset, offset_low, offset_radius = words(self.offset)
        size = self.slope.size() + slope_radius
        spread = slope_radius + size * (_exp.ERROR + 11 * U**2)
        floor = offset_radius + 4 * U**2 * self.offset.size() + self.omitted * size * _exp.NEGLIGIBLE + _UNDERFLOW
        return slope, slope_low, offset, offset_low, spread * _ROUNDED, floor * _ROUNDED


def logits_gradient_rows(
    logits: Any,
    targets: Any,
    weights: Any = None,
    label_smoothing: Any = 0.0,
    z_loss: Any = 0.0,
    loss_normalizing_factor: Any = None,
    *,
    cotangents: Mapping[str, Any],
    convention: Convention = LOSSPROOF,
) -> Iterator[tuple[slice, Bracket]]:
    """The gradient of sum(cotangent * output) of compute_weighted_cross_entropy by the logits.

    Args:
      logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention: as in the function itself.
      cotangents: finite numbers for "loss" and "z_loss"; 0 where missing. weight_sum does not depend on logits.

    Yields:
      Slices of the tokens in row-major order, all in turn, with brackets [tokens of the slice, V]; about 2^20 entries
      at a time, so that memory does not grow with the number of tokens.

    Raises:
      ValueError: shapes do not fit, label_smoothing is outside [0, 1], a cotangent is not finite, or a coefficient of
        the gradient is beyond 2^900.
      TypeError: an input is not of the kind named above.

    References:
      SPEC.md GRAD-1, GRAD-7, STATE, EXCL; docs/oracle-proof.md.
    """
    problem = make_problem(logits, targets, weights, label_smoothing, z_loss, loss_normalizing_factor, convention)
    by_loss, by_z_loss = (_cotangent(name, cotangents.get(name, 0.0)) for name in ("loss", "z_loss"))
    return ((slice(block.start, block.stop), _block(problem, block, by_loss, by_z_loss)) for block in problem.blocks())


def _cotangent(name: str, number: Any) -> Fraction:
    value = exact_scalar(f"cotangents[{name!r}]", number)
    if not is_finite(value):
        raise ValueError(f"cotangents[{name!r}] must be finite, got {value}")
    return Fraction(value)


def _block(problem: Problem, block: range, by_loss: Fraction, by_z_loss: Fraction) -> Bracket:
    counted = [i for i in block if not problem.excluded(i)]
    exps = np.empty((2, len(counted), problem.classes))
    found = tokens(problem, counted, exps)
    rows = [_row(problem, i, token, by_loss, by_z_loss) for i, token in zip(counted, found, strict=True)]
    result = np.zeros((3, len(block), problem.classes))  # EXCL-1, EXCL-2
    places = np.array(counted, np.int64) - block.start
    _fill(result, places, exps, np.array([row.coefficients() for row in rows]).reshape(-1, 6))
    for place, row in zip(places, rows, strict=True):
        for j, entry in row.entries.items():
            result[:, place, j] = words(entry)
    return Bracket(*result)


def _row(problem: Problem, i: int, token: Token | None, by_loss: Fraction, by_z_loss: Fraction) -> _Row:
    c = problem.coefficient(i)
    b, b_z = scaled(ball(by_loss), c), scaled(ball(by_z_loss), c)
    k = problem.z_coefficient
    if token is None or not (isinstance(b, Ball) and isinstance(b_z, Ball) and isinstance(k, Ball)):
        return _Row(Ball(0), Ball(0), dict.fromkeys(range(problem.classes), math.nan), omitted=False)
    on, off = problem.on_off
    whole, total = problem.target_sum, Ball(1) + token.rest
    by_lse_squared = b + b_z if problem.convention.add_z_loss else b_z
    through_lse = Ball(2) * k * token.log_z * by_lse_squared

    def entry(q: Ball, p: Ball, complement: Ball) -> Ball:
        return b * ((whole - q) * p - q * complement) + through_lse * p

    target, top = problem.targets[i], token.top
    entries: dict[int, Value] = {top: entry(on if top == target else off, Ball(1) / total, token.rest / total)}
    if target != top:
        entries[target] = entry(on, token.target_exp / total, (total - token.target_exp) / total)
    row = _Row((b * whole + through_lse) / total, b * off, entries, token.omitted)
    if max(coefficient.size() for coefficient in (row.slope, row.offset, b)) > _LARGEST:
        raise ValueError(
            f"the gradient's coefficients must be below 2^900 in magnitude, those of token {i} are not: "
            "scale weights, z_loss, loss_normalizing_factor or cotangents"
        )
    return row


def _fill(result: Array, places: NDArray[np.int64], exps: Array, coefficients: Array) -> None:
    rows, classes = exps.shape[1:]
    step, width = max(1, TILE // classes), min(classes, TILE)
    buffers = np.empty((6, min(step, rows), width))
    for first in range(0, rows, step):
        group = slice(first, first + step)
        slope, slope_low, offset, offset_low, spread, floor = coefficients[group].T[:, :, None]
        for start in range(0, classes, width):
            tile = slice(start, start + width)
            exp = exps[:, group, tile]
            spare = buffers[:, : exp.shape[1], : exp.shape[2]]
            high, low = multiply(exp, (slope, slope_low), tuple(spare))
            if offset.any():
                high, low = add((high, low), (-offset, -offset_low))
            result[0, places[group], tile], result[1, places[group], tile] = high, low
            result[2, places[group], tile] = exp[0] * spread + floor
