"""Options: the keywords that choose what is computed, checked."""

import numbers
from collections.abc import Iterable
from typing import TypeGuard

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from lossproof.impl._form import Spread

FURTHER_RESULTS = ("target_log_probability", "predicted_class", "entropy")
_SPREADS = ("others", "uniform")
_IMPLEMENTATIONS = ("xla",)


def canonical_spread(smoothing: object) -> Spread:
    """How label_smoothing is spread (CONV-2)."""
    if not _is_spread(smoothing):
        raise ValueError(
            f"smoothing must be 'others' or 'uniform', got smoothing={smoothing!r}: 'others' spreads label_smoothing "
            "over the V - 1 other classes, 'uniform' over all V."
        )
    return smoothing


def _is_spread(smoothing: object) -> TypeGuard[Spread]:
    return isinstance(smoothing, str) and smoothing in _SPREADS


def canonical_flag(name: str, value: object) -> bool:
    """A known bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(
            f"{name} must be True or False, got {name}={value!r} of type {type(value).__name__}: "
            "it decides what is compiled, so pass a bool that is known then."
        )
    return bool(value)


def canonical_softcap(value: object, carried: jnp.dtype) -> float | None:
    """A known cap, positive and finite in the carried type; None for none."""
    if value is None:
        return None
    if isinstance(value, Tracer):
        raise TypeError(
            f"logit_softcap must be a known number, got a traced one, {value}: it is compiled into the program, so "
            "pass a Python number, or make the argument that it comes from static."
        )
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"logit_softcap must be a real number or None, got logit_softcap={value!r} of type "
            f"{type(value).__name__}: pass a Python number, 30.0 for instance."
        )
    cap, limits = float(value), jnp.finfo(carried)
    if not float(limits.tiny) <= cap <= float(limits.max):
        raise ValueError(
            f"logit_softcap must be positive and finite in {carried.name}, got logit_softcap={cap!r}: pass the "
            "largest size a logit is to have, 30.0 for instance, or None for no cap."
        )
    return cap


def canonical_also(also: object) -> frozenset[str]:
    """The names of further results."""
    if isinstance(also, str) or not isinstance(also, Iterable):
        raise TypeError(f"also must be a sequence of names, got also={also!r}: pass ({also!r},).")
    names = frozenset(also)
    unknown = sorted(map(repr, names.difference(FURTHER_RESULTS)))
    if unknown:
        raise ValueError(
            f"also must name further results, got {', '.join(unknown)}: choose from {_listed(FURTHER_RESULTS)}."
        )
    return names


def canonical_axis_name(axis_name: object) -> tuple[str, ...]:
    """The mesh axes that the classes are split over, all of which the call is inside of; none for None (SHAPE-8)."""
    if axis_name is None:
        return ()
    names = axis_name if isinstance(axis_name, tuple | list) else (axis_name,)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"axis_name must be the name of a mesh axis, a sequence of names or None, got axis_name={axis_name!r}: "
            "pass the axis over which the classes are split, 'model' for instance."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"axis_name must name an axis once, got axis_name={axis_name!r}: leave the repeated one out.")
    for name in names:
        try:
            lax.axis_size(name)
        except NameError:
            raise ValueError(
                f"axis_name must be an axis that the call is inside of, got axis_name={name!r}: call the loss inside "
                "jax.shard_map over a mesh with that axis, with logits split over it in their last axis; or leave "
                "axis_name out, and under jit the compiler splits the work as the logits are split."
            ) from None
    return tuple(names)


def canonical_implementation(implementation: object) -> str | None:
    """An implementation that is there."""
    if implementation is None or (isinstance(implementation, str) and implementation in _IMPLEMENTATIONS):
        return implementation
    raise ValueError(
        f"implementation must be None (the best for the platform) or one of {_listed(_IMPLEMENTATIONS)}, got "
        f"implementation={implementation!r}."
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))
