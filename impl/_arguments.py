"""Arguments: checked for type and shape, then brought to the carried type."""

import numbers
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from lossproof.impl._partitioning import beside

_LOGITS_TYPES = ("bfloat16", "float16", "float32", "float64")
_FACTOR_HINT = "; get_loss_normalizing_factor_and_weights turns a special factor into one"

ArgumentArray: TypeAlias = Array | np.ndarray[Any, Any]


def as_array(value: object) -> ArgumentArray:
    """An array as it came, in the byte order of this machine, or what numpy makes of a number or a list."""
    if isinstance(value, Array):
        return value
    if isinstance(value, np.ndarray):
        return value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
    if hasattr(value, "__jax_array__"):
        return jnp.asarray(value)
    try:
        return np.asarray(value)
    except jax.errors.TracerArrayConversionError:
        return jnp.asarray(value)


def _is_real(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer))


def canonical_logits(value: object) -> Array:
    """Logits as an array in their own type (SHAPE-1, SHAPE-2)."""
    logits = as_array(value)
    if logits.dtype.name not in _LOGITS_TYPES:
        raise TypeError(
            f"logits must be {', '.join(_LOGITS_TYPES[:-1])} or {_LOGITS_TYPES[-1]}, got logits.dtype={logits.dtype}: "
            "convert them with logits.astype(jnp.float32)."
        )
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(
            f"logits must have a last axis of one class or more, got logits.shape={logits.shape}: put the classes last."
        )
    return cast(logits, jnp.dtype(jax.dtypes.canonicalize_dtype(logits.dtype)))


def canonical_targets(value: object, logits: Array, classes: int) -> Array:
    """Targets as int32, -1 where they are outside [0, V) (SHAPE-1, SHAPE-2, EXCL-2)."""
    targets = as_array(value)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(
            "targets must be class numbers of an integer type or dense targets of a floating type, got "
            f"targets.dtype={targets.dtype}: convert them with targets.astype(jnp."
            f"{'float32' if targets.shape == logits.shape else 'int32'})."
        )
    _check_shape("targets", targets, logits)
    if targets.dtype.itemsize < np.dtype(np.int32).itemsize:  # in int8, V itself would wrap
        targets = targets.astype(np.int32)
    if isinstance(targets, Array):
        return jnp.where((targets >= 0) & (targets < classes), targets.astype(jnp.int32), -1)
    # Judged before jax sees them: without x64 it would read 2^32 as 0. The -1 comes after the change of type, because
    # numpy refuses it beside unsigned integers.
    in_range = (targets >= 0) & (targets < classes)
    return jnp.asarray(np.where(in_range, np.where(in_range, targets, 0).astype(np.int32), np.int32(-1)))


def canonical_weights(value: object, logits: Array, carried: jnp.dtype) -> Array:
    """Weights [...] in the carried type; 1 without weights (SHAPE-1, SHAPE-2)."""
    if value is None:
        return beside(logits, jnp.ones(logits.shape[:-1], carried))  # [VALUE-5]
    weights = _real_array("weights", value)
    _check_shape("weights", weights, logits)
    return cast(weights, carried)


def canonical_dense_targets(value: object, logits: Array, carried: jnp.dtype) -> Array:
    """Dense targets [..., V] in the carried type (SHAPE-1, SHAPE-2)."""
    targets = _real_array("targets", value)
    if targets.shape != logits.shape:
        raise ValueError(
            f"dense targets must have the shape of logits: logits {logits.shape} need targets {logits.shape}, "
            f"got {targets.shape}: class numbers, one for each token, are of an integer type."
        )
    return cast(targets, carried)


def canonical_scalar(name: str, value: object, carried: jnp.dtype) -> Array:
    """A real number as a scalar of the carried type (SHAPE-6)."""
    return cast(_checked_scalar(name, value), carried)


def concrete_label_smoothing(value: object) -> float | None:
    """A known label_smoothing in [0, 1]; None for one that is traced (SHAPE-5, SHAPE-6)."""
    array = _checked_scalar("label_smoothing", value)
    if isinstance(array, Tracer):
        return None
    number = float(np.asarray(array, np.float64))
    if not 0.0 <= number <= 1.0:
        raise ValueError(
            f"label_smoothing must be a number from 0 to 1, got label_smoothing={number!r}: pass the probability to "
            "take from the target, 0.1 for instance."
        )
    return number


def _checked_scalar(name: str, value: object) -> ArgumentArray:
    if isinstance(value, numbers.Real) and not isinstance(value, int | float | np.generic):
        value = float(value)  # numpy would keep a fraction as an object
    array = as_array(value)
    if array.ndim != 0:
        raise ValueError(
            f"{name} must be a real scalar, got an array: {name}.shape={array.shape}: pass one number, "
            "and use weights for what differs from token to token."
        )
    if not _is_real(array.dtype):
        raise TypeError(
            f"{name} must be a real scalar, got {name}={value!r} of type {type(value).__name__} ({array.dtype}): "
            f"pass a number{_FACTOR_HINT if name == 'loss_normalizing_factor' else ''}."
        )
    return array


def _real_array(name: str, value: object) -> ArgumentArray:
    array = as_array(value)
    if not _is_real(array.dtype) and array.dtype != bool:
        raise TypeError(
            f"{name} must be of a real or bool type, got {name}.dtype={array.dtype}: convert them with "
            f"{name}.astype(jnp.float32)."
        )
    return array


def _check_shape(name: str, array: ArgumentArray, logits: Array) -> None:
    if array.shape != logits.shape[:-1]:
        dense = name == "targets" and array.shape == logits.shape
        hint = ": weights over the classes, one-hot ones too, are of a floating type: targets.astype(jnp.float32)"
        raise ValueError(
            f"{name} must have the shape of logits without its last axis: logits {logits.shape} need {name} "
            f"{logits.shape[:-1]}, got {array.shape}{hint if dense else ''}."
        )


def cast(array: ArgumentArray, carried: jnp.dtype) -> Array:
    """The array in the carried type, rounded once from its own."""
    if isinstance(array, Array):
        return array.astype(carried)
    with np.errstate(over="ignore", under="ignore"):  # a number beyond the carried type is inf, STATE-8's business
        return jnp.asarray(array.astype(carried))
