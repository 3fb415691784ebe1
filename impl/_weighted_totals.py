"""The weighted totals of a batch and their derivatives by weights and factor."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lossproof.impl._sums import exact_sums
from lossproof.impl._tangents import is_present, times


class Batch(NamedTuple):
    """The arguments of `weighted_totals`: losses, z_losses, weights and in_range are [...], the factor is a scalar."""

    losses: Array
    z_losses: Array
    weights: Array
    factor: Array
    in_range: Array


def _usable(factor: Array) -> Array:
    # A subnormal factor counts as 0, as it does where the platform flushes it when dividing by it.  [ACC-7]
    return jnp.isfinite(factor) & (jnp.abs(factor) >= jnp.finfo(factor.dtype).smallest_normal)


def _safe_factor(factor: Array) -> Array:
    return jnp.where(_usable(factor), factor, 1.0)


def _coefficients(batch: Batch) -> Array:
    """c_i = w_i / L, 0 for excluded tokens but with the derivative 1 / L at weight 0 (VALUE-5, GRAD-11)."""
    usable = _usable(batch.factor)
    known = usable & jnp.isfinite(batch.weights)
    coefficients = jnp.where(known, batch.weights, 0.0) / _safe_factor(batch.factor)
    undefined = ~known & (batch.weights != 0.0)
    return jnp.where(batch.in_range, jnp.where(undefined, jnp.nan, coefficients), 0.0)  # [STATE-8, EXCL-2, EXCL-3]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def weighted_totals(implementation: str | None, batch: Batch) -> tuple[Array, Array, Array]:
    """sum_i c_i loss_i, sum_i c_i z_i and the sum of the weights (VALUE-5, VALUE-6)."""
    excluded = ~batch.in_range | (batch.weights == 0.0)
    coefficients = _coefficients(batch)
    signs = jnp.sign(batch.weights) * jnp.sign(batch.factor)

    def contribution(value: Array) -> Array:
        value = jnp.where(excluded, 0.0, value)
        # A w / L that underflows to 0 leaves an infinite loss infinite.  [STATE-2]
        scale = jnp.where(jnp.isinf(value) & (coefficients == 0.0), signs, coefficients)
        return scale * value  # [EXCL-1]

    losses, z_losses, weights = (
        contribution(batch.losses),
        contribution(batch.z_losses),
        jnp.where(batch.in_range, batch.weights, 0.0),
    )
    loss, z_loss, weight_sum = exact_sums(losses, z_losses, weights, implementation=implementation)
    return loss, z_loss, weight_sum


def _weighted_totals_jvp(
    implementation: str | None, primals: tuple[Batch], tangents: tuple[Any]
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    (batch,), (dbatch,) = primals, tangents
    out = weighted_totals(implementation, batch)
    dtotals = [jnp.zeros_like(value) for value in out]
    coefficients = _coefficients(batch)
    factor = _safe_factor(batch.factor)
    counted = batch.in_range & jnp.isfinite(batch.losses) & _usable(batch.factor)
    for index, (values, dvalues) in enumerate(
        ((batch.losses, dbatch.losses), (batch.z_losses, dbatch.z_losses)),
    ):
        if is_present(dvalues):
            dtotals[index] += jnp.sum(coefficients * dvalues)
        if is_present(dbatch.weights):
            by_weight = jnp.where(counted, values, 0.0) / factor  # [GRAD-2]
            dtotals[index] += jnp.sum(by_weight * dbatch.weights)
        if is_present(dbatch.factor):
            dtotals[index] -= times(out[index] / factor, dbatch.factor)  # [GRAD-5]
    if is_present(dbatch.weights):
        dtotals[2] += jnp.sum(jnp.where(batch.in_range, dbatch.weights, 0.0))
    return out, (dtotals[0], dtotals[1], dtotals[2])


weighted_totals.defjvp(_weighted_totals_jvp, symbolic_zeros=True)
