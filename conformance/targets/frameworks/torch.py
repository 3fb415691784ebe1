"""Targets written with torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch

from lossproof.conformance.coverage.way import Answer, Directions, Way
from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets._target import Arrays, Offer, Unsupported
from lossproof.conformance.targets.frameworks._layouts import layout_of, require_unchanged
from lossproof.conformance.targets.frameworks._recall import Recall
from lossproof.conformance.targets.frameworks.python import PythonTarget, split_arguments, target_code
from lossproof.spec import LOSSPROOF, Convention


class TorchTarget(PythonTarget):
    """Functions that take and return torch tensors; integers come as int64.

    Args:
      name, functions, offers, convention: as in `PythonTarget`.
      device: where the tensors are put.
    """

    array = "a torch tensor"
    packages: Sequence[str] | Mapping[str, str] = ("torch",)

    def __init__(
        self,
        name: str,
        functions: Mapping[str, Callable[..., Any]],
        offers: Mapping[str, Offer],
        convention: Convention = LOSSPROOF,
        *,
        device: str = "cpu",
    ) -> None:
        super().__init__(name, functions, offers, convention)
        self.device: str = device
        self._recall: Recall = Recall()
        self._held: dict[tuple[str, str], torch.Tensor] = {}

    @classmethod
    def probe(cls, function: Callable[..., Any], arguments: Sequence[Any], device: str) -> Any:
        return function(*(_tensor(value, device) for value in arguments))

    @classmethod
    def evaluate(cls, function: Callable[..., Any], arguments: Sequence[Any], device: str) -> Any:
        with torch.no_grad():
            return cls.probe(function, arguments, device)

    @classmethod
    def to_numpy(cls, value: Any) -> Any:
        return _array(value)

    @classmethod
    def is_array(cls, value: Any) -> bool:
        return isinstance(value, torch.Tensor)

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.offer(function)
        converted = {
            name: _tensor(np.asarray(value), self.device) if hasattr(value, "dtype") else value
            for name, value in arguments.items()
        }
        return self.functions[function](**converted)

    def values(self, case: Case) -> Arrays:
        answer = self._values(case)
        self._recall.check(case, answer, self._values)
        return answer

    def _values(self, case: Case) -> Arrays:
        arrays, others = split_arguments(case)
        tensors = self._tensors(arrays)
        before = _arrays(tensors)
        with target_code(), torch.no_grad():
            results = self.functions[case.function](**tensors, **others)
        answer = _arrays(self.named_results(case, results))
        require_unchanged(case.function, before, _arrays(tensors))
        return answer

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        arrays, others = split_arguments(case)
        tensors = self._tensors(arrays)
        before = _arrays(tensors)
        leaves = {name: value.requires_grad_() for name, value in tensors.items() if value.is_floating_point()}
        with target_code():
            results = self.functions[case.function](**tensors, **others)
        outputs = self.named_results(case, results)
        # What is no function of any argument has no gradient, and torch takes no cotangent for it.
        pulled = {name: value for name, value in outputs.items() if value.requires_grad}
        if not pulled:
            raise Unsupported(f"{self.name} has no derivatives: what it returns does not require grad")
        seeds = [
            torch.as_tensor(np.asarray(cotangents.get(name, 0.0), np.float64), device=value.device)
            .to(value.dtype)
            .expand(value.shape)
            for name, value in pulled.items()
        ]
        values = _arrays(outputs)

        def pull_back() -> Arrays:
            with target_code():
                found = torch.autograd.grad(
                    [*pulled.values()], [*leaves.values()], seeds, allow_unused=True, retain_graph=True
                )
            return {name: _array(value) for name, value in zip(leaves, found, strict=True) if value is not None}

        # Copies: what comes first may be what a second pull-back writes into.
        gradients = {name: value.copy() for name, value in pull_back().items()}
        for name, value in pull_back().items():
            if value.tobytes() != gradients[name].tobytes():
                raise Violation(f"the derivative by {name} differs when it is asked for twice; {case.describe()}")
        require_unchanged(f"the gradient of {case.function}", before, _arrays(tensors))
        return values, gradients

    def perform(self, way: Way, cases: Sequence[Case], directions: Sequence[Directions]) -> list[Answer]:
        if way.given == "big-endian":
            raise Unsupported(f"{self.name} takes tensors, which have the byte order of the machine")
        return super().perform(way, cases, directions)

    def _tensors(self, arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Where one fits, in the memory of an earlier call, filled anew, as a loader of data does."""
        layout = layout_of(arrays)
        return {name: self._filled((name, layout), _tensor(value, self.device)) for name, value in arrays.items()}

    def _filled(self, key: tuple[str, str], tensor: torch.Tensor) -> torch.Tensor:
        held, fresh = self._held.get(key), _laid_out(tensor, key[1])
        if held is None or (held.shape, held.dtype, held.stride()) != (fresh.shape, fresh.dtype, fresh.stride()):
            held = self._held[key] = fresh
        else:
            held.copy_(fresh)
        return held.detach()


def _tensor(array: Any, device: str) -> torch.Tensor:
    """The same numbers; bfloat16, which numpy knows only through ml_dtypes, goes through float32."""
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64)).to(device)
    name = array.dtype.name
    wide = np.asarray(array, np.float32) if name == "bfloat16" else np.ascontiguousarray(array)
    tensor = torch.from_numpy(wide.copy())
    return tensor.to(device, torch.bfloat16 if name == "bfloat16" else tensor.dtype)


def _laid_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """The same numbers in a layout; torch has no read-only tensors."""
    if layout == "strided" and tensor.dim():
        return torch.stack([tensor, torch.zeros_like(tensor)], dim=-1)[..., 0]
    if layout == "by columns" and tensor.dim() > 1:
        backwards = [*range(tensor.dim())][::-1]
        return tensor.permute(backwards).contiguous().permute(backwards)
    return tensor


def _arrays(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    """Copies."""
    return {name: np.array(_array(value)) for name, value in tensors.items()}


def _array(tensor: torch.Tensor) -> Any:
    detached = tensor.detach().cpu()
    if detached.dtype == torch.bfloat16:
        return detached.float().numpy().astype(ml_dtypes.bfloat16)
    return detached.numpy()
