"""From Python functions to targets."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.targets._limits import Limits
from lossproof.conformance.targets._target import Offer, TargetError
from lossproof.conformance.targets.frameworks.python import PythonTarget
from lossproof.conformance.targets.probing._bound import Bound
from lossproof.conformance.targets.probing._probe import adapter, probe, tracing_error
from lossproof.conformance.targets.probing._probe_limits import found_dtypes, found_limits
from lossproof.conformance.targets.probing._probe_values import Asker, found_outputs, found_reduction
from lossproof.conformance.targets.probing._results import OTHER, Item, is_named, place_of, reader
from lossproof.conformance.targets.probing._signature import read_signature
from lossproof.conformance.targets.probing.declaration import Declaration, declaration_of
from lossproof.spec import ARGUMENTS, DENSE, FACTOR, FURTHER, KEYWORDS, OUTPUTS, TOKEN, WEIGHTED, Convention


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
    signatures = {key: read_signature(name, function, {}) for key, function in functions.items() if key != FACTOR}
    offers = {}
    for key, signature in signatures.items():
        arguments = ARGUMENTS[key] + _among(list(signature.parameters), KEYWORDS[key])
        required = tuple(word for word in signature.required if (key, word) != (DENSE, "z_loss"))
        offers[key] = Offer(declared.outputs or OUTPUTS[key], arguments, required)
        if required:
            functions[key] = Bound(functions[key], signature)
    for key, offer in offers.items():
        _check_outputs(name, key, offer.outputs)
    offers |= {FACTOR: Offer((), ())} if FACTOR in functions else {}
    gradients = {key: getattr(module, f"{key}_grad") for key in offers if hasattr(module, f"{key}_grad")}
    computed = convention or declared.convention
    if declared.reduction:
        computed = replace(computed, reduction=declared.reduction)  # type: ignore[arg-type]  # one of REDUCTIONS
    return _built(_Parts(name, functions, offers, gradients), declared.framework or "jax", declared, computed, True)


def function_target(
    name: str,
    function: Callable[..., Any],
    convention: Convention | None = None,
    module: ModuleType | Any = None,
) -> PythonTarget:
    """One function of JAX, NumPy or torch arrays: a batch's total, or mean, if it returns one number; else the loss of
    each token, with class numbers or, if it accepts none, with the weights of all classes.

    The names of its parameters say what it takes (`_signature.py`), those of its results what it returns; what names
    do not say, a small batch does (`_probe.py`, `_probe_values.py`, `_probe_limits.py`), or the declaration.

    Args:
      name: of the target.
      function: it.
      convention: what it computes, if not what is declared.
      module: where it is from, perhaps with a declaration.

    Raises:
      TargetError: it takes or returns something else, or the declaration is wrong.
    """
    declared = declaration_of(name, module)
    signature = read_signature(name, function, declared.arguments)
    probed = probe(
        name, function, signature, limits=declared.limits, framework=declared.framework, device=declared.device
    )
    kind, signature = probed.kind, probed.signature
    limits = declared.limits or found_limits(function, probed, declared.device)
    computed = convention or declared.convention
    asker = Asker(function, probed, limits, computed, declared.device)
    if kind == WEIGHTED:
        reduction, masks = found_reduction(asker)
        limits = replace(limits, masks=limits.masks or masks)
        asker = replace(asker, limits=limits)
        reduction = declared.reduction or reduction
        computed = replace(computed, reduction=reduction)  # type: ignore[arg-type]  # one of REDUCTIONS
    elif declared.reduction:
        raise TargetError(
            f"target {name!r}: LOSSPROOF['reduction'] is {declared.reduction!r}, but it returns an array: leave it out"
        )
    options = _among(list(signature.parameters), ARGUMENTS[kind][2:] + KEYWORDS[kind])
    outputs, read = _read_results(name, asker, declared.outputs, computed.reduction, has_further="also" in options)
    bound = Bound(function, signature, limits.masks, read)
    gradient = getattr(module, f"{getattr(function, '__name__', '')}_grad", None)
    required = tuple(word for word in signature.required if word in options)
    parts = _Parts(
        name,
        {kind: bound},
        {kind: Offer(outputs, ("logits", "targets", *options), required)},
        {kind: replace(bound, function=gradient, read=None)} if callable(gradient) else {},
    )
    dtypes = declared.dtypes or found_dtypes(function, probed, declared.device)
    return _built(parts, probed.framework, replace(declared, dtypes=dtypes, limits=limits), computed, False)


def _read_results(
    name: str, asker: Asker, declared: tuple[str, ...], reduction: str, *, has_further: bool
) -> tuple[tuple[str, ...], Callable[[Any], Any] | None]:
    """The outputs of a function, and what picks them out of its results; None for all, in their order."""
    kind, items = asker.probed.kind, list(asker.probed.items)
    if is_named(items) and not declared:
        found = tuple(output for output in OUTPUTS[kind] if _has(items, output))
        further = FURTHER if has_further and kind == TOKEN else ()
        return found, reader((*found, *further), None)
    several = len(items) > 1
    too_many = len(items) > len(OUTPUTS[kind]) + (len(FURTHER) if has_further else 0)
    outputs = declared or OUTPUTS[kind][: len(items)]
    if several and not declared and not too_many and not has_further:
        outputs = found_outputs(asker, reduction)
    kept = tuple(output for output in outputs if output != OTHER)
    _check_outputs(name, kind, kept)
    most = len(outputs) + (len(FURTHER) if has_further else 0)
    if not len(outputs) <= len(items) <= most:
        raise TargetError(
            f"target {name!r} must return {', '.join(outputs)}, but returns {len(items)} results: "
            'say in its module which they are, as in LOSSPROOF = {"outputs": ["loss", "log_z", "other"]}'
        )
    if kept == outputs and not is_named(items):
        return kept, None
    return kept, reader(kept, tuple(outputs.index(output) for output in kept))


def _has(items: list[Item], output: str) -> bool:
    place = place_of(output, items)
    return place is not None and items[place].value is not None


class _Parts(NamedTuple):
    """What a target is made of, as `PythonTarget` takes it."""

    name: str
    functions: Mapping[str, Callable[..., Any]]
    offers: Mapping[str, Offer]
    gradients: Mapping[str, Callable[..., Any]]


def _built(parts: _Parts, framework: str, declared: Declaration, convention: Convention, traced: bool) -> PythonTarget:
    """A target of a framework; `traced` is whether its scalars may be, unless that is declared, or they cannot be."""
    is_declared = declared.scalars_differentiable is not None
    if declared.scalars_differentiable is not None:
        traced = declared.scalars_differentiable
    if traced and framework == "jax":
        # Only what is compiled by itself can have arguments that it must know; the others are not called for this.
        compiled = [
            key for key in parts.offers if key != FACTOR and (is_declared or _is_compiled(parts.functions[key]))
        ]
        errors = [error for key in compiled if (error := tracing_error(parts.functions[key], key, parts.offers[key]))]
        if errors and is_declared:
            raise TargetError(
                f"target {parts.name!r}: LOSSPROOF['scalars_differentiable'] is True, but its scalars cannot be "
                f"traced: {errors[0]}; leave it out, or leave them out of static_argnames"
            )
        traced = not errors
    further: dict[str, dict[str, Any]] = {
        "jax": {"scalars_differentiable": traced},
        "numpy": {"gradients": parts.gradients},
        "torch": {"device": declared.device},
    }
    target = adapter(framework)(*parts[:3], convention, **further[framework])
    target.dtypes = declared.dtypes or tuple(DTYPES)
    target.limits = declared.limits or Limits()
    return target


def _is_compiled(function: Any) -> bool:
    """Whether a function, or what it calls, is one of jax.jit."""
    return hasattr(getattr(function, "function", function), "lower")


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
