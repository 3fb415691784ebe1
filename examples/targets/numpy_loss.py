"""A loss written with NumPy; NumPy differentiates nothing, so the gradient is a function of its own.

A target: lossproof check examples/targets/numpy_loss.py:loss
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def loss(logits: Array, targets: Array) -> Array:
    """Returns each token's loss, [...] of [..., V] and [...]; 0 where the target is no class."""
    is_target, distance, exps = _terms(logits, targets)
    rest = np.sum(np.where(is_target, 0, exps), axis=-1)
    gap = np.sum(np.where(is_target, distance, 0), axis=-1)  # of the target to the maximum
    nll = np.where(gap == 0, np.log1p(rest), gap + np.log(np.sum(exps, axis=-1)))
    return np.where(np.any(is_target, axis=-1), nll, 0).astype(exps.dtype)


def loss_grad(logits: Array, targets: Array) -> Array:
    """Returns the gradient of the sum of the losses by the logits, [..., V]."""
    is_target, _, exps = _terms(logits, targets)
    rest = np.sum(np.where(is_target, 0, exps), axis=-1, keepdims=True)
    total = np.sum(exps, axis=-1, keepdims=True)
    gradient = np.where(is_target, -rest, exps) / total
    return np.where(np.any(is_target, axis=-1, keepdims=True), gradient, 0).astype(logits.dtype)


def _terms(logits: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Which class is the target, [..., V], the distance of each logit to the maximum, and its exponential."""
    if logits.dtype.kind in "iuc" or targets.dtype.kind not in "iu":
        raise TypeError(f"logits must be floats and targets integers, got {logits.dtype} and {targets.dtype}")
    if logits.shape[:-1] != targets.shape or logits.shape[-1] == 0:
        raise ValueError(f"logits {logits.shape} and targets {targets.shape} do not fit")
    x = logits.astype(np.float64 if logits.dtype == np.float64 else np.float32)
    distance = np.max(x, axis=-1, keepdims=True) - x
    return np.arange(x.shape[-1]) == targets[..., None], distance, np.exp(-distance)
