"""What a soft-cap does to errors: docs/error-analysis.md, section 15."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lossproof.reference.bounds._call import Array
from lossproof.reference.bounds._profiles import Functions
from lossproof.reference.bounds._terms import Terms


@dataclass(frozen=True)
class Softcap:
    """The capped logits' own errors, in units of u; all 0 without a cap."""

    terms: Terms
    functions: Functions

    @cached_property
    def logits(self) -> Array:
        """The absolute error of x_j, [..., V]."""
        roundings = 0.0 if self.terms.call.softcap is None else 2 + 2 * self.functions.tanh
        return roundings * np.abs(self.terms.x)

    @cached_property
    def lse_moved(self) -> Array:
        """What those errors do to lse, [..., 1]."""
        return np.sum(self.terms.p * self.logits, axis=-1, keepdims=True)

    @cached_property
    def moved(self) -> Array:
        """What they do to lse - x_j, which is relative to 1 - p_j at the first maximum; and to p_j, relatively."""
        t = self.terms
        others = np.sum(np.where(t.is_top, 0.0, t.p * self.logits), axis=-1, keepdims=True)
        return np.where(t.is_top, t.complement * self.logits + others, self.logits + self.lse_moved)

    @cached_property
    def slope(self) -> Array:
        """1 - tanh^2(y_j / c)"""
        return 1 - np.square(self._tanh)

    @cached_property
    def slope_units(self) -> Array:
        """The absolute error of that."""
        return (7 + 4 * self.functions.tanh) * np.square(self._tanh) + 3 * self.slope

    @cached_property
    def bend(self) -> Array:
        """2 |tanh| (1 - tanh^2) / c, the size of the second derivative."""
        return 2 * np.abs(self._tanh) * self.slope / (self.terms.call.softcap or 1.0)

    @cached_property
    def bend_units(self) -> Array:
        """The absolute error of that."""
        tanh = np.abs(self._tanh)
        moved = tanh * self.slope_units + self.slope * tanh * (2 * self.functions.tanh + 6)
        return 2 * moved / (self.terms.call.softcap or 1.0)

    @property
    def _tanh(self) -> Array:
        return self.terms.x / (self.terms.call.softcap or 1.0)
