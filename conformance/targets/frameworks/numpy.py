"""Targets written with NumPy: values, and a gradient where there is a function for it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from lossproof.conformance.coverage.way import Buffers
from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets._target import Arrays, Offer, Unsupported
from lossproof.conformance.targets.frameworks._layouts import LAYOUTS, laid_out, layout_of, require_unchanged
from lossproof.conformance.targets.frameworks._recall import Recall
from lossproof.conformance.targets.frameworks.python import PythonTarget, split_arguments, target_code
from lossproof.spec import LOSSPROOF, Convention


class NumpyTarget(PythonTarget):
    """Functions that take and return NumPy arrays.

    Args:
      name, functions, offers, convention: as in `PythonTarget`.
      gradients: by the same names, functions of the same arguments that return the gradient of the sum of the losses by
        the logits.
    """

    array = "a NumPy array"
    packages: Sequence[str] | Mapping[str, str] = ("numpy",)

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
        self._recall: Recall = Recall()
        self._buffers: dict[str, Buffers] = {layout: Buffers(partial(laid_out, layout=layout)) for layout in LAYOUTS}
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
        with np.errstate(all="ignore"):
            return self.functions[function](**arguments)

    def values(self, case: Case) -> Arrays:
        answer = self._values(case)
        self._recall.check(case, answer, self._values)
        return answer

    def _values(self, case: Case) -> Arrays:
        results = self._asked(case.function, self.functions[case.function], case)
        # Copies: a result may lie where an argument does.
        return {name: np.array(value) for name, value in self.named_results(case, results).items()}

    def _asked(self, what: str, function: Callable[..., Any], case: Case) -> Any:
        """What a function returns; its arguments are copies, in any layout, and must stay what they are."""
        arrays, others = split_arguments(case)
        given = self._buffers[layout_of(arrays)].filled(arrays)
        with target_code(), np.errstate(all="ignore"):  # special values are what many cases are about
            results = function(**given, **others)
        require_unchanged(what, arrays, given)
        return results

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        if case.function not in self.gradients:
            raise Unsupported(f"{self.name} has no derivatives: NumPy knows none, and there is no function for them")
        if any(np.any(cotangent) for name, cotangent in cotangents.items() if name != "loss"):
            raise Unsupported(f"{self.name} has a gradient of loss only")
        found = self._asked(f"the gradient of {case.function}", self.gradients[case.function], case)
        gradient = np.asarray(found)
        if gradient.shape != case.logits.shape:
            raise Violation(f"the gradient must have the shape of logits, {case.logits.shape}, got {gradient.shape}")
        with np.errstate(all="ignore"):
            scale = np.asarray(cotangents["loss"]).astype(gradient.dtype)
            return self.values(case), {"logits": gradient * scale[..., None]}
