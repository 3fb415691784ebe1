"""How large the error of a token's further results may be: docs/error-analysis.md, section 16."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from lossproof.reference.bounds._bounds import Bounds
from lossproof.reference.bounds._call import Array
from lossproof.reference.bounds._roundings import depth


class PredictionBounds(Bounds):
    """The bounds on target_log_probability, predicted_class and entropy.

    The call must be without label_smoothing and z_loss, of which these results are independent.
    """

    @np.errstate(all="ignore")
    def values(self) -> dict[str, Array]:
        return {
            "target_log_probability": self.loss,
            "predicted_class": np.zeros(self.terms.in_range.shape),
            "entropy": self._excluded(self.u * self._entropy_units + self._entropy_flushed),
        }

    @np.errstate(all="ignore")
    def gradients(self, cotangents: Mapping[str, Any]) -> dict[str, Array]:
        by_target, by_entropy = (
            np.abs(np.asarray(cotangents.get(name, 0.0), np.float64)) * self.terms.in_range
            for name in ("target_log_probability", "entropy")
        )
        nothing = np.zeros_like(by_target)
        rows = self.logits_row(by_target, nothing, nothing) + self._entropy_row(by_entropy[..., None])
        bounds = {"logits": rows} | ({"targets": self._by_targets(by_target)} if self.call.is_dense else {})
        return {name: np.nan_to_num(bound, nan=0.0, posinf=np.inf) for name, bound in bounds.items()}

    def _entropy_row(self, by_entropy: Array) -> Array:
        t = self.terms
        distance = np.abs(t.gaps - t.mean_gap)
        both = t.shortfall + (t.log_sum + t.mean_gap)
        units = (self._p_units + 6) * distance + self._shortfall_units + self._log_sum_units + 2 * both
        row = self.u * by_entropy * t.p * (units + self._entropy_units[..., None])
        row = self._before_cap(row, by_entropy * t.p * distance)
        flushed = self.floor * (2 + by_entropy * (3 + distance)) + by_entropy * self._entropy_flushed[..., None]
        return np.where(by_entropy > 0, row + flushed, 0.0)

    @cached_property
    def _entropy_units(self) -> Array:
        t = self.terms
        terms = t.p * t.gaps * (self._p_units + depth(t.classes) + 3)
        moved = t.p * np.abs(t.gaps - t.mean_gap) * self._capped.logits
        units = self._log_sum_units[..., 0] + 2 * (t.log_sum + t.mean_gap)[..., 0]
        if self.grade == "B":  # section 17
            terms = terms + t.p * (t.log_sum * (self._p_units + depth(t.classes) + 3) + 2 * t.shortfall)
        elif self.grade == "C":
            terms = terms + t.p * (np.abs(t.lse) + np.abs(t.x)) * (self._p_units + depth(t.classes) + 6)
        return units + np.sum(np.where(t.p > 0, terms + moved, 0.0), axis=-1)

    @cached_property
    def _entropy_flushed(self) -> Array:
        t = self.terms
        lost = (t.exps > 0) & (t.exps < self.floor)
        return self.floor * 3 + np.sum(t.exps * (1 + t.gaps), axis=-1, where=lost)
