"""The inputs of one call, as NumPy arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lossproof.spec import Convention

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Call:
    """The arguments of one call of `function`.

    Attributes:
      function: TOKEN, WEIGHTED or DENSE.
      inputs: arrays by argument name, logits in their type (that of ml_dtypes for bfloat16); scalars are Python floats,
        keywords (smoothing, subtract_entropy, logit_softcap, also) what they are. What is missing keeps its default.
    """

    function: str
    inputs: Mapping[str, Any]

    @property
    def logits(self) -> Array:
        """[..., V]"""
        return np.asarray(self.inputs["logits"])

    @property
    def dtype(self) -> str:
        """The type of the logits."""
        return self.logits.dtype.name

    @property
    def carried(self) -> str:
        """The type that arithmetic is carried in (ACC-5)."""
        return "float64" if self.dtype == "float64" else "float32"

    def scalar(self, name: str) -> float:
        """A scalar argument, or its default."""
        value = self.inputs.get(name)
        if value is None:
            return 1.0 if name == "loss_normalizing_factor" else 0.0
        return float(value)

    @property
    def is_dense(self) -> bool:
        """Whether targets are weights of all classes (VALUE-7, VALUE-12)."""
        return np.shape(self.inputs["targets"]) == self.logits.shape

    @property
    def softcap(self) -> float | None:
        """The cap of the logits, or None."""
        cap = self.inputs.get("logit_softcap")
        return None if cap is None else float(cap)

    def convention(self, declared: Convention) -> Convention:
        """What is computed: what the function's convention is, but for what the call asks for (CONV-2)."""
        asked = {name: self.inputs[name] for name in ("smoothing", "subtract_entropy") if name in self.inputs}
        return replace(declared, **asked)
