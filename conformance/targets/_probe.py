"""What a function takes and returns, found by calling it with a small batch, as JAX, NumPy and torch would."""

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from lossproof.conformance._case import DENSE, TOKEN, WEIGHTED
from lossproof.conformance.targets._python import PythonTarget
from lossproof.conformance.targets._target import TargetError

_CLASSES = {"jax": "JaxTarget", "numpy": "NumpyTarget", "torch": "TorchTarget"}

_LOGITS, _CLASS_NUMBERS = np.zeros((2, 3), np.float32), np.zeros(2, np.int32)
_BATCHES = {
    TOKEN: (_LOGITS, _CLASS_NUMBERS),
    DENSE: (_LOGITS, np.full((2, 3), 0.5, np.float32)),
    WEIGHTED: (_LOGITS, _CLASS_NUMBERS, np.ones(2, np.float32)),
}


@dataclass(frozen=True)
class Probed:
    """What came of it.

    Attributes:
      kind: the function of the specification that it stands for.
      framework: whose arrays it takes and returns.
      results: how many it returns.
    """

    kind: str
    framework: str
    results: int


def adapter(framework: str) -> type[PythonTarget]:
    """The class for functions of a framework, "jax", "numpy" or "torch"."""
    module = importlib.import_module(f"lossproof.conformance.targets._{framework}")
    found: type[PythonTarget] = getattr(module, _CLASSES[framework])
    return found


def probe(
    name: str, function: Callable[..., Any], *, weighted: bool, framework: str = "", device: str = "cpu"
) -> Probed:
    """Calls a function until it accepts what it is given.

    Args:
      name: of the target, for messages.
      function: of logits and targets, by position.
      weighted: whether it takes `weights` too, and returns totals.
      framework: the only one to try; "" for all, first the one that its module has imported.
      device: for torch's tensors.

    Raises:
      TargetError: it rejects everything, or returns no arrays.
    """

    def on_batch(logits: Any, targets: Any, *weights: Any) -> Any:
        return function(logits, targets, **dict(zip(("weights",), weights, strict=False)))

    rejections: list[str] = []
    for tried in (framework,) if framework else _likely(function):
        of_framework = adapter(tried)
        for kind in (WEIGHTED,) if weighted else (TOKEN, DENSE):
            try:
                result = of_framework.probe(on_batch, _BATCHES[kind], device)
            except Exception as error:  # noqa: BLE001  a target may raise anything
                reason = next(iter(str(error).strip().splitlines()), "")
                rejections.append(
                    "must accept logits [2, 3] float32 and targets [2] int32, "
                    f"but raised {type(error).__name__}{reason and ': '}{reason}"
                )
                continue
            results = result if isinstance(result, tuple) else (result,)
            if any(map(of_framework.is_array, results[:1])) and all(
                item is None or of_framework.is_array(item) for item in results
            ):
                return Probed(kind, tried, len(results))
            rejections.append(f"must return {of_framework.array} or a tuple of such, but returns {_outline(result)}")
    raise TargetError(f"target {name!r} {rejections[0]}")


def _outline(result: Any) -> str:
    if isinstance(result, tuple):
        return f"a tuple of {', '.join(type(item).__name__ for item in result) or 'nothing'}"
    return f"a {type(result).__name__}"


def _likely(function: Callable[..., Any]) -> list[str]:
    """The frameworks to try: JAX, unless the function's module has imported torch but not JAX."""
    known = getattr(inspect.unwrap(function), "__globals__", {}).values()
    imported = {value.__name__.partition(".")[0] for value in known if isinstance(value, ModuleType)}
    if "torch" in imported and "jax" not in imported:
        return ["torch", "numpy"]
    return ["jax", "numpy", *(["torch"] if "torch" in sys.modules else [])]
