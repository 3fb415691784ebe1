"""From Python functions to targets."""

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from lossproof.conformance._case import ARGUMENTS, FACTOR, FURTHER, KEYWORDS, OUTPUTS
from lossproof.conformance.targets._declaration import Declaration, declaration_of
from lossproof.conformance.targets._probe import adapter, probe
from lossproof.conformance.targets._python import PythonTarget
from lossproof.conformance.targets._target import Offer, TargetError
from lossproof.reference import Convention


def module_target(name: str, module: ModuleType | Any, convention: Convention | None = None) -> PythonTarget:
    """All of the specification's functions that a module has under their own names.

    Args:
      name: of the target.
      module: anything with such attributes, and perhaps with a declaration.
      convention: what they compute, if not what is declared.

    Raises:
      TargetError: it has none of them, or a wrong declaration.
    """
    declared = declaration_of(name, module)
    functions = {key: getattr(module, key) for key in (*ARGUMENTS, FACTOR) if hasattr(module, key)}
    if not functions:
        raise TargetError(f"target {name!r} has none of the functions {', '.join((*ARGUMENTS, FACTOR))}")
    offers = {
        key: Offer(
            declared.outputs or OUTPUTS[key], ARGUMENTS[key] + _among(_parameters(name, function), KEYWORDS[key])
        )
        for key, function in functions.items()
        if key != FACTOR
    }
    for key, offer in offers.items():
        _check_outputs(name, key, offer.outputs)
    offers |= {FACTOR: Offer((), ())} if FACTOR in functions else {}
    gradients = {key: getattr(module, f"{key}_grad") for key in offers if hasattr(module, f"{key}_grad")}
    return _built(_Parts(name, functions, offers, gradients), declared.framework or "jax", declared, convention, True)


def function_target(
    name: str,
    function: Callable[..., Any],
    convention: Convention | None = None,
    module: ModuleType | Any = None,
) -> PythonTarget:
    """One function of JAX, NumPy or torch arrays: with weights and totals if it has an argument `weights`, else per
    token, with class numbers or, if it accepts none, with the weights of all classes.

    The names of its parameters say what it takes; its first two are logits and targets whatever they are called.
    One that returns a tuple returns the specification's outputs in their order, unless its module declares another.

    Args:
      name: of the target.
      function: it.
      convention: what it computes, if not what is declared.
      module: where it is from, perhaps with a declaration.

    Raises:
      TargetError: it takes or returns something else, or the declaration is wrong.
    """
    declared = declaration_of(name, module)
    parameters = _parameters(name, function)
    if len(parameters) < 2:
        raise TargetError(f"target {name!r} must take logits and targets, but takes {parameters}")
    weighted = "weights" in parameters
    probed = probe(name, function, weighted=weighted, framework=declared.framework, device=declared.device)
    kind = probed.kind
    options = _among(parameters, ARGUMENTS[kind][2:] + KEYWORDS[kind])
    outputs = declared.outputs or OUTPUTS[kind][: probed.results]
    _check_outputs(name, kind, outputs)
    most = len(outputs) + (len(FURTHER) if "also" in options else 0)
    if not len(outputs) <= probed.results <= most:
        raise TargetError(
            f"target {name!r} must return {', '.join(outputs)}, but returns {probed.results} results: "
            'say in its module which they are, as in LOSSPROOF = {"outputs": ["loss", "log_z"]}'
        )
    gradient = getattr(module, f"{getattr(function, '__name__', '')}_grad", None)
    parts = _Parts(
        name,
        {kind: _by_position(function)},
        {kind: Offer(outputs, ("logits", "targets", *options))},
        {kind: _by_position(gradient)} if callable(gradient) else {},
    )
    return _built(parts, probed.framework, declared, convention, False)


class _Parts(NamedTuple):
    """What a target is made of, as `PythonTarget` takes it."""

    name: str
    functions: Mapping[str, Callable[..., Any]]
    offers: Mapping[str, Offer]
    gradients: Mapping[str, Callable[..., Any]]


def _built(
    parts: _Parts, framework: str, declared: Declaration, convention: Convention | None, traced: bool
) -> PythonTarget:
    """A target of a framework; `traced` is whether its scalars may be, unless that is declared."""
    if declared.scalars_differentiable is not None:
        traced = declared.scalars_differentiable
    further: dict[str, dict[str, Any]] = {
        "jax": {"scalars_differentiable": traced},
        "numpy": {"gradients": parts.gradients},
        "torch": {"device": declared.device},
    }
    target = adapter(framework)(*parts[:3], convention or declared.convention, **further[framework])
    target.dtypes = declared.dtypes
    return target


def _by_position(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose first two parameters may have other names."""

    def call(logits: Any, targets: Any, **given: Any) -> Any:
        return function(logits, targets, **given)

    return call


def _parameters(name: str, function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"target {name!r} does not say what it takes: call it from a Python function with named parameters"
        ) from error


def _among(parameters: list[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the names that are parameters."""
    return tuple(name for name in names if name in parameters)


def _check_outputs(name: str, function: str, outputs: tuple[str, ...]) -> None:
    unknown = [output for output in outputs if output not in OUTPUTS[function]]
    if unknown:
        raise TargetError(
            f"target {name!r}: LOSSPROOF['outputs'] names {', '.join(unknown)}, but {function} returns "
            f"some of {', '.join(OUTPUTS[function])}"
        )
