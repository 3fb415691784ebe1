"""What a function takes and returns, found by calling it with a small batch, as JAX, NumPy and torch would."""

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from lossproof.conformance.targets._limits import Limits
from lossproof.conformance.targets._target import Offer, TargetError
from lossproof.conformance.targets.frameworks.python import PythonTarget
from lossproof.conformance.targets.probing._bound import Bound
from lossproof.conformance.targets.probing._results import Item, items_of, place_of
from lossproof.conformance.targets.probing._signature import Signature
from lossproof.spec import DENSE, SCALARS, TOKEN, WEIGHTED

_CLASSES = {"jax": "JaxTarget", "numpy": "NumpyTarget", "torch": "TorchTarget"}

# How a function says that it does not take a call; anything else is a function that breaks.
REFUSALS = (ValueError, TypeError, NotImplementedError)

# The first is what every loss should take; the others are for kernels that say they do not.
_SHAPES = ((2, 3), (8, 128), (1, 8, 128), (128, 1024), (1, 128, 1024))


@dataclass(frozen=True)
class Probed:
    """What came of it.

    Attributes:
      kind: the function of the specification that it stands for.
      framework: whose arrays it takes and returns.
      signature: what its parameters are.
      shape: of logits that it accepted.
      items: what it returned for them.
    """

    kind: str
    framework: str
    signature: Signature
    shape: tuple[int, ...]
    items: tuple[Item, ...]


def adapter(framework: str) -> type[PythonTarget]:
    """The class for functions of a framework, "jax", "numpy" or "torch"."""
    module = importlib.import_module(f"lossproof.conformance.targets.frameworks.{framework}")
    found: type[PythonTarget] = getattr(module, _CLASSES[framework])
    return found


def batch(shape: tuple[int, ...], *, dense: bool = False, weighted: bool = False) -> dict[str, Any]:
    """Logits of 0 and what goes with them, by the specification's words."""
    targets = np.full(shape, 0.5, np.float32) if dense else np.zeros(shape[:-1], np.int32)
    weights = {"weights": np.ones(shape[:-1], np.float32)} if weighted else {}
    return {"logits": np.zeros(shape, np.float32), "targets": targets, **weights}


def ask(of_framework: type[PythonTarget], bound: Bound, given: Mapping[str, Any], device: str) -> Any:
    """What a function returns for arrays by the specification's words, or only its shapes; it may raise anything."""
    return of_framework.probe(lambda *arrays: bound(**dict(zip(given, arrays, strict=True))), [*given.values()], device)


def probe(
    name: str,
    function: Callable[..., Any],
    signature: Signature,
    *,
    limits: Limits | None = None,
    framework: str = "",
    device: str = "cpu",
) -> Probed:
    """Calls a function until it accepts what it is given.

    Args:
      name: of the target, for messages.
      function: it.
      signature: what its parameters are.
      limits: what it is said to take; None to find out.
      framework: the only one to try; "" for all, first the one that its module has imported.
      device: for torch's tensors.

    Raises:
      TargetError: it rejects everything, or returns no arrays.
    """
    rejections: list[str] = []
    shapes = _SHAPES if limits is None else (limits.nearest(_SHAPES[0]),)
    for tried in (framework,) if framework else _likely(function):
        of_framework = adapter(tried)
        for shape in shapes:
            is_refusal = False
            for chosen, kind in _ways(signature):
                given = batch(shape, dense=kind == DENSE, weighted="weights" in chosen.parameters)
                try:
                    result = ask(of_framework, Bound(function, chosen, bool(limits and limits.masks)), given, device)
                except Exception as error:  # noqa: BLE001  a target may raise anything
                    reason = next(iter(str(error).strip().splitlines()), "")
                    rejections.append(
                        f"must accept logits {list(shape)} float32 and targets {list(shape[:-1])} int32, "
                        f"but raised {type(error).__name__}{reason and ': '}{reason}"
                    )
                    is_refusal = is_refusal or isinstance(error, REFUSALS)
                    continue
                items = tuple(items_of(result))
                if _are_arrays(of_framework, items):
                    return Probed(_kind(kind, chosen, shape, items), tried, chosen, shape, items)
                rejections.append(
                    f"must return {of_framework.array} or a tuple of such, but returns {_outline(result)}"
                )
            if not is_refusal:
                break
    advice = "" if signature.is_order_known else _ADVICE
    raise TargetError(f"target {name!r} {rejections[0]}{advice}")


_ADVICE = (
    "; if its first two parameters are no logits and targets, say in its module which are, as in LOSSPROOF = "
    '{"arguments": {"truth": "targets"}}'
)


def tracing_error(function: Callable[..., Any], kind: str, offer: Offer) -> str:
    """What a JAX function says of scalars that are traced; "" if it takes them, or has none."""
    scalars = {word: np.asarray(0.5, np.float32) for word in offer.arguments if word in SCALARS}
    given = batch((2, 3), dense=kind == DENSE) | scalars
    try:
        adapter("jax").probe(lambda *arrays: function(**dict(zip(given, arrays, strict=True))), [*given.values()], "")
    except Exception as error:  # noqa: BLE001  a target may raise anything
        reason = next(iter(str(error).strip().splitlines()), "")
        return f"{type(error).__name__}: {reason}" if scalars else ""
    return ""


def _ways(signature: Signature) -> Iterator[tuple[Signature, str]]:
    """How it may be called: as its names say, with class numbers; with targets first, where no name says which they
    are; with the weights of all classes; without a parameter that may be something else than weights.
    """
    yield signature, TOKEN
    if not signature.is_order_known:
        yield signature.swapped(), TOKEN
    if "weights" not in signature.parameters:
        yield signature, DENSE
    elif signature.parameters["weights"] != "weights" and "weights" not in signature.required:
        yield signature.without("weights"), TOKEN
        yield signature.without("weights"), DENSE


def _are_arrays(of_framework: type[PythonTarget], items: tuple[Item, ...]) -> bool:
    """Whether there is a loss, and no result without a name that is none."""
    loss = place_of("loss", list(items))
    unnamed = [item.value for item in items if not item.label]
    return (
        loss is not None
        and of_framework.is_array(items[loss].value)
        and all(value is None or of_framework.is_array(value) for value in unnamed)
    )


def _kind(kind: str, signature: Signature, shape: tuple[int, ...], items: tuple[Item, ...]) -> str:
    """A total of numbers without axes; what has another shape than the tokens is judged as what it takes."""
    found = tuple(items[place_of("loss", list(items)) or 0].value.shape)
    if kind == TOKEN and math.prod(shape[:-1]) != 1:
        if found == ():
            return WEIGHTED
        if found != shape[:-1] and "weights" in signature.parameters:
            return WEIGHTED
    return kind


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
