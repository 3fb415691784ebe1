"""A good loss in plain jnp: no derivative by hand, one formula for confident tokens and one for the others."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax


def token_cross_entropy(logits: Any, targets: Any) -> Any:
    """The loss of each token."""
    logits = jnp.asarray(logits)
    if logits.dtype.name not in ("bfloat16", "float16", "float32", "float64"):
        raise TypeError(f"logits must be bfloat16, float16, float32 or float64, got {logits.dtype}")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits must have at least one class, got {logits.shape}")
    targets = _class_numbers(targets, logits)
    in_range = targets >= 0
    x = jnp.where(in_range[..., None], logits, 0).astype(jnp.promote_types(logits.dtype, jnp.float32))
    highest = lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))
    x = x + jnp.where(jnp.isfinite(highest), 0, jnp.nan).astype(x.dtype)
    is_target = jnp.arange(x.shape[-1]) == targets[..., None]
    own = jnp.sum(jnp.where(is_target, x, 0), axis=-1)
    others = jnp.where(is_target, -jnp.inf, x)
    peak = lax.stop_gradient(jnp.max(x, axis=-1))
    # -inf - -inf has no value: a number takes the place of an infinite one that is subtracted.
    middle = jnp.where(jnp.isfinite(peak), peak, 0)
    leads = own == peak
    base = jnp.where(leads & jnp.isfinite(own), own, middle)
    rest = jnp.sum(jnp.where(others == -jnp.inf, 0, jnp.exp(others - base[..., None])), axis=-1)
    mine = jnp.where(leads, 1, jnp.exp(own - base))
    behind = jnp.where(leads, 0, middle - own) + jnp.log(jnp.where(leads, 1, rest + mine))
    loss = jnp.where(leads, jnp.log1p(rest), behind)
    return jnp.where(in_range, loss, 0)


def _class_numbers(targets: Any, logits: Any) -> Any:
    """As int32, -1 where they are out of range."""
    targets = targets if hasattr(targets, "aval") else np.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"targets must be integers, got {targets.dtype}")
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets must have the shape of logits {logits.shape} without the last axis, got {targets.shape}"
        )
    inside = (targets >= 0) & (targets < logits.shape[-1])
    if isinstance(targets, np.ndarray):
        return jnp.asarray(np.where(inside, targets.astype(np.int64), -1).astype(np.int32))
    return jnp.where(inside, targets.astype(jnp.int32), -1)
