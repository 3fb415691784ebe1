"""Keras's two cross-entropies as targets, on its JAX backend."""

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is first imported

import keras

from lossproof.conformance.targets._target import Offer, Target, TargetError
from lossproof.conformance.targets.frameworks.jax import JaxTarget
from lossproof.spec import DENSE, TOKEN, Convention

# Smoothing over all classes, no entropy; there is no z-loss. Other targets than classes are not ignored.
_CONVENTION = Convention(smoothing="uniform", subtract_entropy=False, add_z_loss=False)
_PLAIN, _SMOOTHED = ("logits", "targets"), ("logits", "targets", "label_smoothing")


def load(name: str) -> Target:
    """Keras's loss of class numbers, which has no smoothing; or, as "keras-dense", that of weights of all classes, also
    of class numbers made dense by keras.ops.one_hot, with smoothing.

    Raises:
      TargetError: Keras runs on another backend already.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        raise TargetError(f"target {name!r} needs Keras on JAX, but KERAS_BACKEND is {backend!r}: set it to 'jax'")
    if name == "keras":
        offers = {TOKEN: Offer(("loss",), _PLAIN)}
        return JaxTarget(name, {TOKEN: _sparse}, offers, scalars_differentiable=False)
    offers = {TOKEN: Offer(("loss",), _SMOOTHED), DENSE: Offer(("loss",), _PLAIN)}
    return JaxTarget(name, {TOKEN: _smoothed, DENSE: _dense}, offers, _CONVENTION, scalars_differentiable=False)


def _sparse(logits: Any, targets: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)


def _smoothed(logits: Any, targets: Any, label_smoothing: float = 0.0) -> Any:
    dense = keras.ops.one_hot(targets, logits.shape[-1])
    return keras.losses.categorical_crossentropy(dense, logits, from_logits=True, label_smoothing=label_smoothing)


def _dense(logits: Any, targets: Any) -> Any:
    return keras.losses.categorical_crossentropy(targets, logits, from_logits=True)
