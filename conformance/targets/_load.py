"""From the name of a target to the target: built-in names, `module:function` and `file.py:function`."""

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from lossproof.conformance._case import ARGUMENTS, DENSE, FACTOR, KEYWORDS, OUTPUTS, TOKEN, WEIGHTED
from lossproof.conformance.targets._target import Offer, Target
from lossproof.reference import LOSSPROOF, Convention


class TargetError(Exception):
    """The target cannot be had; the message says what to do."""


def load_target(name: str, convention: Convention | None = None) -> Target:
    """Finds a target by name.

    Args:
      name: "lossproof", "optax", "torch", "module:function", "file.py:function", or "module:" / "file.py:" for all the
        specification's functions that a module has under their own names.
      convention: what it computes, if not the specification's (optax and torch declare their own).

    Returns:
      The target.

    Raises:
      TargetError: it cannot be imported, or has no such function.
    """
    if name in _BUILTIN:
        target = _BUILTIN[name]()
        if convention is not None:
            raise TargetError(f"{name} declares its own convention: leave the convention options out")
        return target
    module_name, colon, function_name = name.rpartition(":")
    if not colon:
        raise TargetError(
            f"unknown target {name!r}: give one of {', '.join(_BUILTIN)}, or module:function, or file.py:function"
        )
    module = _load_module(module_name)
    if not function_name:
        return module_target(name, module, convention or LOSSPROOF)
    function = getattr(module, function_name, None)
    if not callable(function):
        functions = [
            key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")
        ]
        raise TargetError(
            f"target {name!r}: {module_name} has no function {function_name!r}; "
            f"its functions are: {', '.join(functions) or 'none'}"
        )
    return function_target(name, function, convention or LOSSPROOF)


def parse_convention(words: str) -> Convention | None:
    """A convention from words such as "uniform no-entropy"; None of none.

    Raises:
      TargetError: an unknown word.
    """
    known: Mapping[str, Mapping[str, Any]] = {
        "others": {"smoothing": "others"},
        "uniform": {"smoothing": "uniform"},
        "entropy": {"subtract_entropy": True},
        "no-entropy": {"subtract_entropy": False},
    }
    chosen: dict[str, Any] = {}
    for word in words.split():
        if word not in known:
            raise TargetError(f"unknown convention {word!r}: choose from {', '.join(known)}")
        chosen |= known[word]
    return replace(LOSSPROOF, **chosen) if chosen else None


def module_target(name: str, module: ModuleType | Any, convention: Convention = LOSSPROOF) -> Target:
    """All of the specification's functions that a module has under their own names."""
    from lossproof.conformance.targets._jax import JaxTarget

    functions = {key: getattr(module, key) for key in (*ARGUMENTS, FACTOR) if hasattr(module, key)}
    if not functions:
        raise TargetError(f"target {name!r} has none of the functions {', '.join((*ARGUMENTS, FACTOR))}")
    offers = {
        key: Offer(OUTPUTS[key], ARGUMENTS[key] + _among(function, KEYWORDS[key]))
        for key, function in functions.items()
        if key != FACTOR
    }
    offers |= {FACTOR: Offer((), ())} if FACTOR in functions else {}
    return JaxTarget(name, functions, offers, convention)


def function_target(name: str, function: Callable[..., Any], convention: Convention = LOSSPROOF) -> Target:
    """One JAX function: with weights and totals if it has an argument `weights`, else per token.

    The names of its parameters say what it takes; its first two are logits and targets whatever they are called.
    One that returns a tuple returns the specification's outputs in their order.
    """
    from lossproof.conformance.targets._jax import JaxTarget

    parameters = list(inspect.signature(function).parameters)
    if len(parameters) < 2:
        raise TargetError(f"target {name!r} must take logits and targets, but takes {parameters}")
    kind = WEIGHTED if "weights" in parameters else TOKEN
    options = _among(function, ARGUMENTS[kind][2:] + KEYWORDS[kind])
    outputs = OUTPUTS[kind] if kind == WEIGHTED else OUTPUTS[kind][: _count_outputs(name, function)]

    def call(logits: Any, targets: Any, **given: Any) -> Any:
        return function(logits, targets, **given)

    offer = Offer(outputs, ("logits", "targets", *options))
    return JaxTarget(name, {kind: call}, {kind: offer}, convention, scalars_differentiable=False)


def _among(function: Callable[..., Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the names that are parameters of the function."""
    parameters = inspect.signature(function).parameters
    return tuple(name for name in names if name in parameters)


def _count_outputs(name: str, function: Callable[..., Any]) -> int:
    import jax
    import jax.numpy as jnp

    try:
        result = jax.eval_shape(
            function, jax.ShapeDtypeStruct((2, 3), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TargetError(
            f"target {name!r} must accept logits [2, 3] float32 and targets [2] int32, "
            f"but raised {type(error).__name__}: {reason}"
        ) from error
    return min(len(result), len(OUTPUTS[TOKEN])) if isinstance(result, tuple) else 1


def _load_module(name: str) -> ModuleType:
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise TargetError(
                f"target file {name!r} does not exist: give the path of a Python file, then a colon and a function"
            )
        spec = importlib.util.spec_from_file_location(f"lossproof_target_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        with _explained(name):
            spec.loader.exec_module(module)
        return module
    sys.path.insert(0, "")
    try:
        with _explained(name):
            return importlib.import_module(name)
    finally:
        sys.path.remove("")


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise TargetError(f"target module {name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _lossproof() -> Target:
    return module_target("lossproof", importlib.import_module("lossproof"))


def _optax() -> Target:
    optax = _required("optax")
    return function_target("optax", optax.softmax_cross_entropy_with_integer_labels)


def _optax_dense() -> Target:
    from lossproof.conformance.targets._jax import JaxTarget

    optax = _required("optax")
    offer = Offer(("loss",), ("logits", "targets"))

    def dense(logits: Any, targets: Any) -> Any:
        return optax.softmax_cross_entropy(logits, targets)

    return JaxTarget("optax-dense", {DENSE: dense}, {DENSE: offer}, scalars_differentiable=False)


def _torch() -> Target:
    _required("torch")
    from lossproof.conformance.targets._torch import TorchTarget

    return TorchTarget()


def _required(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise TargetError(f"the target needs the package {name}: pip install {name}") from error


_BUILTIN: Mapping[str, Callable[[], Target]] = {
    "lossproof": _lossproof,
    "optax": _optax,
    "optax-dense": _optax_dense,
    "torch": _torch,
}
