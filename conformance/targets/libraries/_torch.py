"""torch.nn.functional.cross_entropy."""

import torch

from lossproof.conformance.targets._target import Offer
from lossproof.conformance.targets.frameworks.torch import TorchTarget
from lossproof.spec import TOKEN, Convention


def load(name: str) -> TorchTarget:
    """torch.nn.functional.cross_entropy per token: reduction "none"; smoothing over all classes, no entropy, no
    z-loss, ignore_index -100.
    """
    convention = Convention(smoothing="uniform", subtract_entropy=False, add_z_loss=False, ignore_index=-100)
    offer = Offer(("loss",), ("logits", "targets", "label_smoothing"))
    return TorchTarget(name, {TOKEN: _cross_entropy}, {TOKEN: offer}, convention)


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    dense = targets.is_floating_point()  # class probabilities
    shape = targets.shape[:-1] if dense else targets.shape
    flat = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        targets.reshape(-1, targets.shape[-1]) if dense else targets.reshape(-1),
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return flat.reshape(shape)
