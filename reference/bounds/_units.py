"""The errors of a token's parts, in units of u: what the bounds are added up from (docs/error-analysis.md)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from lossproof.reference.bounds._call import Array, Call
from lossproof.reference.bounds._profiles import JAX_CPU, Functions, Profile
from lossproof.reference.bounds._roundings import depth, smallest_normal, unit_roundoff
from lossproof.reference.bounds._softcap import Softcap
from lossproof.reference.bounds._terms import Terms
from lossproof.spec import LOSSPROOF, Convention

# "A": relative for confident tokens, independent of a common offset. "B": absolute, but independent of the offset.
# "C": absolute, and grows with the offset. Each allows at least what the one before it does.
Grade = Literal["A", "B", "C"]


@dataclass(frozen=True)
class Units:
    """Arrays [...], [..., 1] or [..., V]; the arguments are those of `Bounds`."""

    call: Call
    convention: Convention = LOSSPROOF
    grade: Grade = "A"
    profile: Profile = JAX_CPU

    def __post_init__(self) -> None:
        if self.convention.reduction != "sum":
            raise ValueError(
                f"bounds are of sums, got reduction={self.convention.reduction!r}: give what it divides by as "
                "loss_normalizing_factor"
            )

    @cached_property
    def terms(self) -> Terms:
        """The quantities of the call."""
        return Terms(self.call, self._convention)

    @cached_property
    def _convention(self) -> Convention:
        return self.call.convention(self.convention)

    @cached_property
    def _capped(self) -> Softcap:
        return Softcap(self.terms, self._functions)

    @cached_property
    def _functions(self) -> Functions:
        return self.profile.of(self.call.carried)

    @property
    def u(self) -> float:
        """The unit roundoff of the carried type."""
        return unit_roundoff(self.call.carried)

    @property
    def k(self) -> float:
        """|k|"""
        return abs(self.call.scalar("z_loss"))

    @property
    def factor(self) -> np.float64:
        """|L|"""
        return np.float64(abs(self.call.scalar("loss_normalizing_factor")))

    @property
    def floor(self) -> float:
        """ACC-7: what a flushed subnormal may cost, before coefficients."""
        return smallest_normal(self.call.carried)

    @cached_property
    def _flushed_terms(self) -> Array:
        """ACC-7: how many terms of r are below the smallest normal number, [..., 1]."""
        exps = self.terms.exps
        return np.sum((exps > 0) & (exps < self.floor), axis=-1, keepdims=True).astype(np.float64)

    @cached_property
    def _sum_units(self) -> Array:
        """Section 2: the relative error of s = 1 + r, [..., 1]."""
        return self.terms.mean_gap + 2 * self._functions.exp + depth(self.terms.classes) + 1

    @cached_property
    def _rest_units(self) -> Array:
        """Section 2: the relative error of r, [..., 1]."""
        return self.terms.mean_gap_of_rest + 2 * self._functions.exp + depth(self.terms.classes)

    @cached_property
    def _log_sum_units(self) -> Array:
        """Section 3: the absolute error of log s by log, [..., 1]."""
        return self._sum_units + 2 * max(self._functions.log, self._functions.log1p) * self.terms.log_sum

    @cached_property
    def _shortfall_units(self) -> Array:
        """Sections 3, 11 and 17: the absolute error of lse - x_j, [..., V]."""
        t = self.terms
        moved = self._capped.moved
        general = t.gaps + self._log_sum_units + t.shortfall + moved
        if self.grade == "C":
            return general + 3 * (np.abs(t.lse) + np.abs(t.x)) + depth(t.classes) * t.shortfall + 4
        if self.grade == "B":
            return general
        confident = self._rest_units * t.rest / (1 + t.rest) + 2 * self._functions.log1p * t.log_sum
        return np.where(t.gaps == 0, confident + moved, general)

    @cached_property
    def _lse(self) -> Array:
        return self.terms.lse[..., 0]

    @cached_property
    def _lse_units(self) -> Array:
        """Section 3: the absolute error of lse, [...]."""
        units = (self._log_sum_units + np.abs(self.terms.lse) + self._capped.lse_moved)[..., 0]
        return 2 * units + 2 * np.abs(self.terms.peak[..., 0]) if self.grade == "C" else units

    @cached_property
    def _p_units(self) -> Array:
        """Sections 8 and 17: the relative error of p_j, [..., V]."""
        t, p = self.terms, self._functions
        units = np.where(t.p > 0, t.gaps + self._capped.moved, 0.0) + 2 * p.exp + self._sum_units + 1
        if self.grade == "B":
            units = units + np.where(t.p > 0, t.shortfall + 2 * max(p.log, p.log1p) * t.log_sum, 0.0)
        elif self.grade == "C":
            units = units + np.where(t.p > 0, 2 * (np.abs(t.lse) + np.abs(t.x)) + self._lse_units[..., None], 0.0)
        return units
