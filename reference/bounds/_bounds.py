"""How large an error may be: the one place that owns tolerances.

Every bound is a function of the call and the platform profile, derived in docs/error-analysis.md, whose section
numbers are cited here. Errors are absolute, first order in the unit roundoff u; the integers count roundings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lossproof.reference.bounds._call import Array
from lossproof.reference.bounds._roundings import depth
from lossproof.reference.bounds._units import Units
from lossproof.spec import DENSE, TOKEN, WEIGHTED


def _weighed(weights: Array, values: Array) -> Array:
    """|weights| * values, with 0 * inf = 0."""
    return np.abs(weights) * np.where(weights == 0, 0.0, values)


@dataclass(frozen=True)
class Bounds(Units):
    """How far from the exact answer a good algorithm may be, for one call.

    Attributes:
      call: the inputs.
      convention: what is computed; its reduction must be "sum": a mean is a sum with its own factor.
      grade: "A", "B" or "C", see docs/error-analysis.md, sections 11 and 17.
      profile: the platform's elementary functions.

    Example:
      >>> import numpy as np
      >>> from lossproof.reference.bounds import Bounds, Call
      >>> logits = np.array([[20.0, 0.0, 0.0]], np.float32)
      >>> call = Call("token_cross_entropy", {"logits": logits, "targets": np.array([0])})
      >>> loss = Bounds(call).values()["loss"]  # of 4.122307236379037e-09
      >>> print(f"{loss[0]:.3g}")
      8.35e-15
    """

    @np.errstate(all="ignore")
    def values(self) -> dict[str, Array]:
        """The bound on each output."""
        if self.call.function == TOKEN:
            return {"loss": self.loss, "z_loss": self.z_loss, "log_z": self.log_z}
        if self.call.function == DENSE:
            return {"loss": self.loss, "z_loss": self.z_loss}
        weights = np.abs(np.nan_to_num(self.terms.weights))
        weight_sum = 3 * self.u * np.sum(weights) + np.sum(weights, where=weights < self.floor)
        return {"loss": self._total("loss"), "z_loss": self._total("z_loss"), "weight_sum": weight_sum}

    @np.errstate(all="ignore")
    def gradients(self, cotangents: Mapping[str, Any]) -> dict[str, Array]:
        """The bound on the derivative of sum(cotangents * outputs) by each argument."""
        t, function = self.terms, self.call.function
        batched = function == WEIGHTED
        coefficients = t.coefficients if batched else np.where(t.in_range, 1.0, 0.0)
        by = {
            name: np.abs(np.asarray(cotangents.get(name, 0.0), np.float64)) * coefficients
            for name in ("loss", "z_loss", "log_z")
        }
        bounds = {"logits": self.logits_row(by["loss"], by["z_loss"], by["log_z"])}
        in_loss = by["loss"] if self._convention.add_z_loss else 0.0
        by_square, square = in_loss + by["z_loss"], np.square(self._lse)
        bounds["z_loss"] = self._summed(by_square * (self._square_error() + 4 * self.u * square), by_square * square)
        if self.call.is_dense:
            bounds["targets"] = self._by_targets(by["loss"])
        else:
            bounds["label_smoothing"] = self._summed(by["loss"] * self.smoothing, by["loss"] * self._slope_size)
        if batched:
            bounds["weights"] = self._by_weights(cotangents)
            bounds["loss_normalizing_factor"] = self._by_factor(cotangents)
        return {name: np.nan_to_num(bound, nan=0.0, posinf=np.inf) for name, bound in bounds.items()}

    @np.errstate(all="ignore")
    def jvp(
        self, gradient_bounds: Mapping[str, Array], sizes: Mapping[str, Array], tangents: Mapping[str, Any]
    ) -> float:
        """Section 7: the bound on sum(gradient * tangent), from the bounds and the absolute values of the gradients."""
        total = 0.0
        added = (depth(self.terms.classes) + depth(self.terms.in_range.size) + 6) * self.u
        for name, tangent in tangents.items():
            size = np.abs(np.asarray(tangent, np.float64))
            total += float(np.sum(_weighed(size, gradient_bounds[name] + added * sizes[name] + self.floor)))
        return total

    # Tokens: arrays [...], or [..., V] where the name says row.

    @cached_property
    def loss(self) -> Array:
        """Section 4."""
        t, p = self.terms, self._functions
        products = _weighed(t.q, t.shortfall)
        size = np.sum(products, axis=-1)
        error = self.u * (np.sum(_weighed(t.q, self._shortfall_units), axis=-1) + 3 * size)
        if self.call.is_dense:
            taking_part = np.count_nonzero(t.q, axis=-1)
            error = error + self.u * np.minimum(np.maximum(taking_part - 1, 0), depth(t.classes)) * size
        if self._is_smoothed:
            spread = t.on_off[1] * np.sum(t.shortfall, axis=-1)
            if self.grade == "B":  # section 17: the target's product is one term of the sum
                spread = spread + np.sum(np.where(t.is_target, products, 0.0), axis=-1)
            error = error + self.u * (depth(t.classes) * spread + 4 * size)
            inside = 0 < self.call.scalar("label_smoothing") < 1
            error = error + self.u * ((2 * max(p.log, p.log1p) + 5) * self._entropy + (2.0 if inside else 0.0))
        if self._convention.add_z_loss:
            error = error + self.z_loss + self.u * self._z_size
        tiny = np.count_nonzero((products > 0) & (products < 2 * self.floor), axis=-1)
        flushed = self.floor * (2 + 2 * tiny + np.sum(np.abs(t.q), axis=-1) * (2 + self._flushed_terms[..., 0]))
        flushed = flushed + np.sum(products, axis=-1, where=np.abs(t.q) < self.floor)
        return self._excluded(error + flushed)

    @cached_property
    def z_loss(self) -> Array:
        """Section 5."""
        if self.k == 0:
            return np.zeros(self.terms.in_range.shape)
        flushed = self.floor * (2 + np.abs(self._lse)) + (self._z_size if self.k < self.floor else 0.0)
        return self._excluded(self.k * self._square_error() + 4 * self.u * self._z_size + flushed)

    @cached_property
    def log_z(self) -> Array:
        """Section 3."""
        return self._excluded(self.u * self._lse_units + self.floor)

    @cached_property
    def shortfall(self) -> Array:
        """Section 3: lse - x_j, [..., V]."""
        return self.u * (self._shortfall_units + 3 * self.terms.shortfall) + self.floor * (2 + self._flushed_terms)

    @cached_property
    def smoothing(self) -> Array:
        """Section 6: the derivative by label_smoothing."""
        t = self.terms
        if t.classes == 1:
            return np.zeros(t.in_range.shape)
        target = np.sum(np.where(t.is_target, self.shortfall, 0.0), axis=-1)
        others = np.sum(
            np.where(t.is_target, 0.0, self.shortfall + (depth(t.classes) + 4) * self.u * t.shortfall), axis=-1
        )
        constant = 2 * max(self._functions.log, self._functions.log1p) * self._slope_logs
        constant += 6 if self._convention.subtract_entropy else 0
        return self._excluded(target + others / (t.classes - 1) + self.u * (constant + 4 * self._slope_size))

    def logits_row(self, by_loss: Array, by_z: Array, by_log_z: Array) -> Array:
        """Section 8: one row of the gradient before its last rounding, [..., V]; arguments are absolute cotangents
        times |c_i|.
        """
        return self._before_cap(*self._row_after_cap(by_loss, by_z, by_log_z))

    def _row_after_cap(self, by_loss: Array, by_z: Array, by_log_z: Array) -> tuple[Array, Array]:
        """The bound on a row of derivatives by x, and its size."""
        t, u = self.terms, self.u
        k = self.k
        by_loss, by_z, by_log_z = (np.asarray(b)[..., None] for b in (by_loss, by_z, by_log_z))
        mass = np.sum(np.abs(t.q), axis=-1, keepdims=True)
        of_mass = depth(t.classes) if self.call.is_dense else 0
        cross = t.p * mass * (self._p_units + 9 + of_mass) + 10 * np.abs(t.q)
        size = np.abs((np.sum(t.q, axis=-1, keepdims=True) - t.q) * t.p - t.q * t.complement)
        if not self._is_smoothed and not self.call.is_dense:
            rest, whole = self._rest_units, self._sum_units
            top = t.rest / (1 + t.rest) * (rest + whole + 6) + t.p * self._capped.moved
            below = t.p * self._p_units + 6 * (1 - t.p)
            hard = np.where(t.is_target, np.where(t.gaps == 0, top, below), t.p * (self._p_units + 6))
            cross = hard if self.grade == "A" else np.maximum(cross, hard)
        slope = 2 * k * np.abs(t.lse)
        through = t.p * (slope * (self._p_units + 8) + 2 * k * self._lse_units[..., None])
        z_part = (by_loss if self._convention.add_z_loss else 0.0) + by_z
        # Of huge logits any of these may be infinite: 0 where its cotangent is.
        row = _weighed(by_loss, cross) + _weighed(z_part, through) + _weighed(by_log_z, t.p * (self._p_units + 4))
        row = u * row
        lost = self._flushed_terms * t.p + 1
        lost = lost * (by_loss * (2 + mass) + _weighed(z_part, 1 + slope) + by_log_z)
        flushed = self.floor * (1 + 2 * mass + np.where(z_part > 0, slope, 0.0) + lost)
        counted = (by_loss + by_z + by_log_z) > 0
        return np.where(counted, row + flushed, 0.0), by_loss * size + (_weighed(z_part, slope) + by_log_z) * t.p

    @np.errstate(all="ignore")
    def hvp_row(self, vector: Array) -> Array:
        """Sections 9 and 15, [..., V]."""
        t, v, cap = self.terms, np.abs(np.asarray(vector, np.float64)), self._capped
        if self.call.softcap is None:
            return self._hvp_after_cap(v)
        gradient, size = self._row_after_cap(
            t.coefficients, np.zeros_like(t.coefficients), np.zeros_like(t.coefficients)
        )
        curved = cap.slope * self._hvp_after_cap(cap.slope * v) + v * cap.bend * gradient
        moved = (cap.slope_units + 3 * cap.slope) * self._hvp_size(cap.slope * v)
        moved = moved + cap.slope * self._hvp_size((cap.slope_units + cap.slope) * v)
        moved = moved + v * (cap.bend_units + 3 * cap.bend) * size
        return np.where(t.coefficients[..., None] > 0, curved + self.u * moved + self.floor, 0.0)

    def _hvp_size(self, v: Array) -> Array:
        t, k = self.terms, self.k
        mean = np.sum(t.p * v, axis=-1, keepdims=True)
        curvature = np.sum(np.abs(t.q), axis=-1, keepdims=True) + 2 * k * np.abs(t.lse)
        return t.coefficients[..., None] * t.p * (curvature * (v + mean) + 2 * k * mean)

    def _hvp_after_cap(self, v: Array) -> Array:
        """For a vector of absolute values."""
        t, u, k = self.terms, self.u, self.k
        spread = np.sum(
            t.p * v * (self._p_units + depth(t.classes) + 4), axis=-1, keepdims=True
        )  # of the mean of v, in u
        mean = np.sum(t.p * v, axis=-1, keepdims=True)
        mass = np.sum(np.abs(t.q), axis=-1, keepdims=True)
        curvature = mass + 2 * k * np.abs(t.lse)
        curvature_error = 4 * curvature + 2 * k * self._lse_units[..., None]
        size = curvature * (v + mean) + 2 * k * mean
        row = t.p * ((self._p_units + 8) * size + curvature_error * (v + mean) + (curvature + 2 * k) * spread)
        row = row + 10 * np.abs(t.q) * mean
        c = t.coefficients[..., None]
        lost = self._flushed_terms * t.p * (curvature + 2 * k) * np.max(v, axis=-1, keepdims=True)
        flushed = self.floor * (1 + size + c * (size + lost + 2))
        return np.where(c > 0, u * c * row + flushed, 0.0)

    def _before_cap(self, row: Array, size: Array) -> Array:
        """Section 15: the bound on a row of derivatives by the logits y, from that on the row by x and its size."""
        if self.call.softcap is None:
            return row
        through = row * self._capped.slope + self.u * size * (self._capped.slope_units + self._capped.slope)
        return np.where(row > 0, through + self.floor, 0.0)

    def _by_targets(self, by_loss: Array) -> Array:
        """Section 3, [..., V]; exactly 0 for a token that does not count."""
        bound = by_loss[..., None] * (self.shortfall + 2 * self.u * self.terms.shortfall) + self.floor
        return np.where(by_loss[..., None] > 0, bound, 0.0)

    @cached_property
    def _z_size(self) -> Array:
        """|z_i|"""
        return self.k * np.square(self._lse) if self.k else np.zeros_like(self._lse)

    @property
    def _is_smoothed(self) -> bool:
        return not self.call.is_dense and self.call.scalar("label_smoothing") != 0 and self.terms.classes > 1

    @property
    def _entropy(self) -> float:
        on, off = self.terms.on_off
        parts = [weight * -np.log(weight) for weight in (on,) if weight > 0]
        parts += [(self.terms.classes - 1) * off * -np.log(off)] if off > 0 else []
        return float(sum(parts)) if self._convention.subtract_entropy else 0.0

    @property
    def _slope_logs(self) -> float:
        """|log on| + |log off|, as far as dH/de is finite."""
        logs = [abs(np.log(weight)) for weight in self.terms.on_off if weight > 0]
        return float(sum(logs)) if self._convention.subtract_entropy else 0.0

    @cached_property
    def _slope_size(self) -> Array:
        """|dloss_i/de|, from above."""
        t = self.terms
        share = np.where(t.is_target, 1.0, 1.0 / max(t.classes - 1, 1))
        return np.sum(share * t.shortfall, axis=-1) + self._slope_logs

    def _square_error(self) -> Array:
        """The error of lse^2 from that of lse."""
        error = self.u * self._lse_units
        return (2 * np.abs(self._lse) + error) * error

    def _excluded(self, error: Array) -> Array:
        """EXCL: exactly 0 for a token that does not count."""
        return np.where(self.terms.in_range, np.nan_to_num(error, nan=0.0, posinf=np.inf), 0.0)

    def _total(self, name: str) -> Array:
        """Section 10: sum_i c_i y_i."""
        t = self.terms
        bound = getattr(self, name)
        size = self._sizes(name)
        error = (
            t.coefficients * (bound + 3 * self.u * size + self.floor * (size > 0)) + 2 * self.u * t.coefficients * size
        )
        flushed = self.floor + np.where(t.coefficients < self.floor, t.coefficients * size, 0.0)
        return np.asarray(np.sum(np.where(t.coefficients > 0, error + flushed, 0.0)))

    def _sizes(self, name: str) -> Array:
        """|loss_i| or |z_i|, from above."""
        t = self.terms
        z = self._z_size
        if name == "z_loss":
            return np.nan_to_num(z)
        xent = np.sum(t.q * t.shortfall, axis=-1) - self._entropy_constant
        return np.nan_to_num(np.abs(xent + (z if self._convention.add_z_loss else 0.0)))

    @property
    def _entropy_constant(self) -> float:
        return self._entropy if self._is_smoothed else 0.0

    def _summed(self, errors: Array, sizes: Array) -> Array:
        """Section 6: a plain sum over the tokens, from the errors and the absolute values of its terms."""
        added = np.where(sizes > 0, errors + depth(errors.size) * self.u * sizes, errors)
        return np.asarray(np.sum(np.nan_to_num(added, posinf=np.inf)) + np.count_nonzero(errors) * self.floor)

    def _by_weights(self, cotangents: Mapping[str, Any]) -> Array:
        """Section 6."""
        total = 2 * self.u * np.full(self.terms.in_range.shape, abs(float(cotangents.get("weight_sum", 0.0))))
        for name in ("loss", "z_loss"):
            by = abs(float(cotangents.get(name, 0.0)))
            total = total + by / self.factor * (getattr(self, name) + 5 * self.u * self._sizes(name)) + self.floor
        return np.where(self.terms.in_range, np.nan_to_num(total), 0.0)

    def _by_factor(self, cotangents: Mapping[str, Any]) -> Array:
        """Section 6."""
        total = 0.0
        for name in ("loss", "z_loss"):
            by = abs(float(cotangents.get(name, 0.0)))
            size = float(np.sum(self.terms.coefficients * self._sizes(name)))
            total += by / self.factor * (float(self._total(name)) + 5 * self.u * size) + self.floor
        return np.asarray(total)
