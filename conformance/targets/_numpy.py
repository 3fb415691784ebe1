"""Targets written with NumPy: values, and a gradient where there is a function for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lossproof.conformance._case import Case
from lossproof.conformance.targets._python import PythonTarget, split_arguments
from lossproof.conformance.targets._target import Arrays, Offer, Unsupported
from lossproof.reference import LOSSPROOF, Convention


class NumpyTarget(PythonTarget):
    """Functions that take and return NumPy arrays.

    Args:
      name, functions, offers, convention: as in `PythonTarget`.
      gradients: by the same names, functions of the same arguments that return the gradient of the sum of the losses by
        the logits.
    """

    array = "a NumPy array"
    packages = ("numpy",)

    def __init__(
        self,
        name: str,
        functions: Mapping[str, Callable[..., Any]],
        offers: Mapping[str, Offer],
        convention: Convention = LOSSPROOF,
        *,
        gradients: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        super().__init__(name, functions, offers, convention)
        self.gradients: Mapping[str, Callable[..., Any]] = gradients or {}

    @classmethod
    def probe(cls, function: Callable[..., Any], arguments: Sequence[Any], device: str) -> Any:
        del device
        with np.errstate(all="ignore"):
            return function(*(value.copy() for value in arguments))

    @classmethod
    def is_array(cls, value: Any) -> bool:
        return isinstance(value, np.ndarray | np.generic)

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.offer(function)
        with np.errstate(all="ignore"):  # special values are what many cases are about
            return self.functions[function](**arguments)

    def values(self, case: Case) -> Arrays:
        results = self.call(case.function, _all(case))
        return {name: np.asarray(value) for name, value in self.named_results(case, results).items()}

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        if case.function not in self.gradients:
            raise Unsupported(f"{self.name} has no derivatives: NumPy knows none, and there is no function for them")
        if any(np.any(cotangent) for name, cotangent in cotangents.items() if name != "loss"):
            raise Unsupported(f"{self.name} has a gradient of loss only")
        with np.errstate(all="ignore"):
            gradient = np.asarray(self.gradients[case.function](**_all(case)))
            scale = np.asarray(cotangents["loss"]).astype(gradient.dtype)
            return self.values(case), {"logits": gradient * scale[..., None]}


def _all(case: Case) -> dict[str, Any]:
    """The arguments, the arrays copied: a target that writes into them has no effect on the others."""
    arrays, others = split_arguments(case)
    return {name: value.copy() for name, value in arrays.items()} | others
