"""Questions to the reference, and its answers by name: what the oracles are asked as well."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lossproof import reference


@dataclass(frozen=True)
class Tokens:
    """token_cross_entropy and its gradients."""

    logits: Sequence[Any]
    targets: Sequence[int]
    smoothing: Any
    k: Any
    cotangents: dict[str, Sequence[Any]]
    convention: reference.Convention = reference.LOSSPROOF

    def answers(self, digits=20):
        """Each answer by (name, index)."""
        scalars = {"label_smoothing": self.smoothing, "z_loss": self.k, "convention": self.convention, "digits": digits}
        values = reference.token_cross_entropy(self.logits, self.targets, **scalars)
        gradients = reference.token_cross_entropy_gradients(
            self.logits, self.targets, cotangents=self.cotangents, **scalars
        )
        return _named(values) | _named(gradients, "by ")


@dataclass(frozen=True)
class Weighted:
    """compute_weighted_cross_entropy and its gradients."""

    logits: Sequence[Any]
    targets: Sequence[int]
    weights: Sequence[Any]
    smoothing: Any
    k: Any
    factor: Any
    cotangents: dict[str, Any]
    convention: reference.Convention = reference.LOSSPROOF

    def answers(self, digits=20):
        """Each answer by (name, index)."""
        inputs = (self.logits, self.targets, self.weights, self.smoothing, self.k, self.factor)
        how = {"convention": self.convention, "digits": digits}
        values = reference.compute_weighted_cross_entropy(*inputs, **how)
        gradients = reference.compute_weighted_cross_entropy_gradients(*inputs, cotangents=self.cotangents, **how)
        return _named(values) | _named(gradients, "by ")


@dataclass(frozen=True)
class Dense:
    """cross_entropy_with_logits and its gradients."""

    logits: Sequence[Any]
    targets: Sequence[Any]
    k: Any
    cotangents: dict[str, Sequence[Any]]

    def answers(self, digits=20):
        """Each answer by (name, index)."""
        inputs = (self.logits, self.targets, self.k)
        values = reference.cross_entropy_with_logits(*inputs, digits=digits)
        gradients = reference.cross_entropy_with_logits_gradients(*inputs, cotangents=self.cotangents, digits=digits)
        return _named(values) | _named(gradients, "by ")


@dataclass(frozen=True)
class Hessian:
    """weighted_hessian_vector_product."""

    logits: Sequence[Any]
    targets: Sequence[int]
    weights: Sequence[Any]
    smoothing: Any
    k: Any
    factor: Any
    vector: Sequence[Any]
    convention: reference.Convention = reference.LOSSPROOF

    def answers(self, digits=20):
        """Each answer by (name, index)."""
        inputs = (self.logits, self.targets, self.weights, self.smoothing, self.k, self.factor)
        product = reference.weighted_hessian_vector_product(
            *inputs, vector=self.vector, convention=self.convention, digits=digits
        )
        return {("product", j): entry for j, entry in enumerate(product)}


@dataclass(frozen=True)
class Predictions:
    """prediction and its gradients."""

    logits: Sequence[Any]
    targets: Sequence[int]
    cotangents: dict[str, Sequence[Any]]

    def answers(self, digits=20):
        """Each answer by (name, index)."""
        values = reference.prediction(self.logits, self.targets, digits=digits)
        gradients = reference.prediction_gradients(self.logits, self.targets, cotangents=self.cotangents, digits=digits)
        return _named(values) | _named(gradients, "by ")


def _named(outputs, prefix=""):
    answers = {}
    for name, output in outputs._asdict().items():
        if output is None:  # the derivative by dense targets, of those that are none
            continue
        entries = [output] if isinstance(output, reference.Enclosure) else output
        answers |= {(prefix + name, i): entry for i, entry in enumerate(entries)}
    return answers
