"""A good loss in NumPy: values alone, computed in float64 and rounded once."""

from typing import Any

import numpy as np


def token_cross_entropy(logits: Any, targets: Any) -> Any:
    """The loss, z_loss at a coefficient of 0, and log_z of each token."""
    logits, targets = np.asarray(logits), np.asarray(targets)
    if logits.dtype.name not in ("bfloat16", "float16", "float32", "float64"):
        raise TypeError(f"logits must be bfloat16, float16, float32 or float64, got {logits.dtype}")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets must be integers, got {targets.dtype}")
    if logits.ndim == 0 or logits.shape[-1] == 0 or targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets must have the shape of logits {logits.shape} without the last axis, got {targets.shape}"
        )
    x = logits.astype(np.float64)
    in_range = (targets >= 0) & (targets < x.shape[-1])
    is_target = np.arange(x.shape[-1]) == np.where(in_range, targets, 0).astype(np.int64)[..., None]
    with np.errstate(all="ignore"):
        peak = np.max(x, axis=-1)
        peak = np.where(np.isfinite(peak), peak, np.nan)
        top = np.arange(x.shape[-1]) == np.argmax(x, axis=-1)[..., None]
        rest = np.log1p(np.sum(np.where(top, 0, np.exp(x - peak[..., None])), axis=-1))
        own = np.sum(np.where(is_target, x, 0), axis=-1)
        loss, log_z = (peak - own) + rest, peak + rest
    carried = np.float64 if logits.dtype == np.float64 else np.float32
    z = np.where(in_range & np.isnan(log_z), np.nan, 0).astype(carried)
    with np.errstate(over="ignore"):
        return np.where(in_range, loss, 0).astype(carried), z, np.where(in_range, log_z, 0).astype(carried)
