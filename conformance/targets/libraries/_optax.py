"""optax's two cross-entropies as targets; neither has label smoothing."""

from typing import Any

import optax

from lossproof.conformance.targets._target import Offer, Target
from lossproof.conformance.targets.frameworks.jax import JaxTarget
from lossproof.spec import DENSE, TOKEN


def load(name: str) -> Target:
    """optax's loss of integer labels or, as "optax-dense", of weights of all classes."""
    kind, function = {"optax": (TOKEN, _integer_labels), "optax-dense": (DENSE, _dense)}[name]
    offer = Offer(("loss",), ("logits", "targets"))
    return JaxTarget(name, {kind: function}, {kind: offer}, scalars_differentiable=False)


def _integer_labels(logits: Any, targets: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def _dense(logits: Any, targets: Any) -> Any:
    return optax.softmax_cross_entropy(logits, targets)
