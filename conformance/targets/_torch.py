"""torch.nn.functional.cross_entropy as a target."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import torch

from lossproof.conformance._case import TOKEN, Case
from lossproof.conformance.targets._target import Arrays, Offer, Target
from lossproof.reference import Convention


class TorchTarget(Target):
    """Per-token losses: reduction "none"; smoothing over all classes, no entropy, no z-loss, ignore_index -100."""

    name = "torch"
    convention = Convention(smoothing="uniform", subtract_entropy=False, add_z_loss=False, ignore_index=-100)
    offers: Mapping[str, Offer] = {TOKEN: Offer(("loss",), ("logits", "targets", "label_smoothing"))}

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.offer(function)
        logits = _tensor(np.asarray(arguments["logits"]))
        return self._loss(logits, np.asarray(arguments["targets"]), arguments.get("label_smoothing", 0.0))

    def values(self, case: Case) -> Arrays:
        loss = self._loss(_tensor(case.logits), case.inputs["targets"], case.scalar("label_smoothing"))
        return {"loss": _array(loss)}

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        logits = _tensor(case.logits).requires_grad_()
        loss = self._loss(logits, case.inputs["targets"], case.scalar("label_smoothing"))
        cotangent = _tensor(np.asarray(cotangents["loss"], np.float64)).to(loss.dtype)
        (gradient,) = torch.autograd.grad(loss, logits, cotangent)
        return {"loss": _array(loss)}, {"logits": _array(gradient)}

    def _loss(self, logits: torch.Tensor, targets: Any, label_smoothing: float) -> torch.Tensor:
        flat = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),
            torch.as_tensor(np.asarray(targets).astype(np.int64)).reshape(-1),
            reduction="none",
            label_smoothing=label_smoothing,
        )
        return flat.reshape(np.shape(targets))


def _tensor(array: Any) -> torch.Tensor:
    """The same numbers; bfloat16, which numpy knows only through ml_dtypes, goes through float32."""
    name = array.dtype.name
    wide = np.asarray(array, np.float32) if name == "bfloat16" else np.ascontiguousarray(array)
    tensor = torch.from_numpy(wide.copy())
    return tensor.to(torch.bfloat16) if name == "bfloat16" else tensor


def _array(tensor: torch.Tensor) -> Any:
    detached = tensor.detach()
    if detached.dtype == torch.bfloat16:
        return detached.float().numpy().astype(ml_dtypes.bfloat16)
    return detached.numpy()
