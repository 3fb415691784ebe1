"""torch.nn.functional.cross_entropy as a program for lossproof check --exec (docs/exec-protocol.md)."""

import json
import sys
from typing import Any

import torch

HELLO = {
    "protocol": 1,
    "name": "torch.nn.functional.cross_entropy",
    "functions": {"token_cross_entropy": {"outputs": ["loss"], "arguments": ["logits", "targets", "label_smoothing"]}},
    "dtypes": ["bfloat16", "float32", "float64"],
    "convention": "uniform no-entropy",
    "derivatives": ["logits"],
    "packages": {"torch": torch.__version__},
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What torch makes of the inputs."""
    if request["op"] == "hello":
        return HELLO
    inputs, dtype = request["inputs"], getattr(torch, request["dtype"])
    logits = tensor(inputs["logits"], dtype).reshape(request["shape"]).requires_grad_()
    targets = torch.tensor(inputs["targets"], dtype=torch.int64)
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(len(targets), -1) if len(targets) else logits,
        targets,
        reduction="none",
        label_smoothing=float(inputs.get("label_smoothing", 0)),
    )
    found: dict[str, Any] = {"id": request["id"], "outputs": {"loss": numbers(loss)}}
    if request["op"] == "gradients":
        cotangents = tensor(request["cotangents"].get("loss", [0] * len(targets)), loss.dtype)
        (gradient,) = torch.autograd.grad(loss, logits, cotangents)
        found["gradients"] = {"logits": numbers(gradient)}
    return found


def tensor(items: list[Any], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of numbers, some of which may be "NaN", "Infinity" or "-Infinity"."""
    return torch.tensor([float(item) for item in items], dtype=torch.float64).to(dtype)


def numbers(array: torch.Tensor) -> list[float]:
    """All digits; json writes the bare words NaN and Infinity, which are read too."""
    return array.detach().to(torch.float64).reshape(-1).tolist()


for line in sys.stdin:
    asked = json.loads(line)
    try:
        reply = answer(asked)
    except (IndexError, RuntimeError, ValueError) as error:  # torch refuses a target that is out of range
        reply = {"id": asked["id"], "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
