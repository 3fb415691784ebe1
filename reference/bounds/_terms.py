"""The quantities of SPEC.md's notation for all tokens of a call, in float64: what the bounds are made of.

Bounds are first-order, so a relative error of 1e-13 in them does not matter.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lossproof.reference.bounds._call import Array, Call
from lossproof.spec import Convention


@dataclass(frozen=True)
class Terms:
    """Arrays [..., V] and [...] of a call; rows without a real value hold nan or anything."""

    call: Call
    convention: Convention

    @cached_property
    def x(self) -> Array:
        """The logits behind the soft-cap, 0 in place of what is not finite (its probability is 0, or its row has no
        real value).
        """
        logits, cap = np.where(self.present, self.call.logits.astype(np.float64), 0.0), self.call.softcap
        return logits if cap is None else cap * np.tanh(logits / cap)

    @cached_property
    def present(self) -> Array:
        """Which logits are finite."""
        return np.isfinite(self.call.logits.astype(np.float64))

    @cached_property
    def peak(self) -> Array:
        """m = max x, [..., 1]."""
        return np.max(np.where(self.present, self.x, -np.inf), axis=-1, keepdims=True, initial=-np.inf)

    @cached_property
    def gaps(self) -> Array:
        """d_j = m - x_j; 0 where x_j is not finite."""
        return np.where(self.present, self.peak - self.x, 0.0)

    @cached_property
    def exps(self) -> Array:
        """exp(-d_j)"""
        return np.where(self.present, np.exp(-self.gaps), 0.0)

    @cached_property
    def rest(self) -> Array:
        """r: the sum of exp(-d_j) over all classes but the first maximum, [..., 1]."""
        return np.sum(self._others, axis=-1, keepdims=True)

    @cached_property
    def log_sum(self) -> Array:
        """log(1 + r), [..., 1]."""
        return np.log1p(self.rest)

    @cached_property
    def lse(self) -> Array:
        """m + log(1 + r), [..., 1]."""
        return self.peak + self.log_sum

    @cached_property
    def p(self) -> Array:
        """p_j"""
        return self.exps / (1 + self.rest)

    @cached_property
    def complement(self) -> Array:
        """1 - p_j, without cancellation at the first maximum."""
        return np.where(self.is_top, self.rest / (1 + self.rest), 1 - self.p)

    @cached_property
    def mean_gap(self) -> Array:
        """The mean of d_j under p, [..., 1]."""
        return np.sum(np.where(self.p > 0, self.p * self.gaps, 0.0), axis=-1, keepdims=True)

    @cached_property
    def mean_gap_of_rest(self) -> Array:
        """The mean of d_j under the terms of r, [..., 1]; 0 of none."""
        weighted = np.sum(np.where(self._others > 0, self._others * self.gaps, 0.0), axis=-1, keepdims=True)
        return np.divide(weighted, self.rest, out=np.zeros_like(weighted), where=self.rest > 0)

    @cached_property
    def _others(self) -> Array:
        return np.where(self.is_top, 0.0, self.exps)

    @cached_property
    def is_top(self) -> Array:
        """[..., V]: the first maximum."""
        top = np.argmax(np.where(self.present, self.x, -np.inf), axis=-1)
        return np.arange(self.classes) == top[..., None]

    @cached_property
    def classes(self) -> int:
        """V"""
        return int(self.call.logits.shape[-1])

    @cached_property
    def in_range(self) -> Array:
        """[...]: whether the target is a class that counts (EXCL-2)."""
        if self.call.is_dense:
            return np.ones(self.call.logits.shape[:-1], bool)
        targets = np.asarray(self.call.inputs["targets"])
        ignored = self.convention.ignore_index
        return (targets >= 0) & (targets < self.classes) & (targets != (-1 if ignored is None else ignored))

    @cached_property
    def is_target(self) -> Array:
        """[..., V]: one-hot targets, for hard targets."""
        targets = np.where(self.in_range, np.asarray(self.call.inputs["targets"]), 0).astype(np.int64)
        return np.arange(self.classes) == targets[..., None]

    @cached_property
    def on_off(self) -> tuple[float, float]:
        """The weights of the target and of each other class."""
        return self.convention.on_off(self.call.scalar("label_smoothing"), self.classes)

    @cached_property
    def q(self) -> Array:
        """q_j"""
        if self.call.is_dense:
            return np.asarray(self.call.inputs["targets"], np.float64)
        on, off = self.on_off
        return np.where(self.is_target, on, off)

    @cached_property
    def shortfall(self) -> Array:
        """lse - x_j, 0 where x_j is not finite."""
        return np.where(self.present, self.gaps + self.log_sum, 0.0)

    @cached_property
    def weights(self) -> Array:
        """w_i, [...]; 0 for a target out of range."""
        given: Any = self.call.inputs.get("weights")
        weights = np.ones(self.in_range.shape) if given is None else np.asarray(given, np.float64)
        return np.where(self.in_range, weights, 0.0)

    @cached_property
    def coefficients(self) -> Array:
        """|c_i|, [...]"""
        factor = self.call.scalar("loss_normalizing_factor")
        return np.where(self.weights == 0, 0.0, np.abs(self.weights / np.float64(factor)))
