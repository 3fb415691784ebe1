"""Several devices: tokens spread over them, and classes split over them."""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lossproof.conformance.targets._target import Split, Unsupported

CPU_DEVICES = 8
_OPTION = "jax_num_cpu_devices"


def provide_devices() -> None:
    """Has JAX make several devices of a CPU, unless it has been told how many, or has started."""
    by_flag = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not by_flag and getattr(jax.config, _OPTION) < 0:
        with contextlib.suppress(RuntimeError):  # it has started
            jax.config.update(_OPTION, CPU_DEVICES)


def spread(*arguments: Any) -> tuple[Any, ...]:
    """Asks the compiler to keep the first axis of each array on as many devices as divide it; for use under jit.

    Raises:
      Unsupported: there is one device, or no number of them fits.
    """
    arrays = [array for array in jax.tree.leaves(arguments) if array.ndim]
    sharding = _by_tokens(arrays[0].shape[0])

    def place(array: Any) -> Any:
        return jax.lax.with_sharding_constraint(array, sharding) if array.ndim else array

    return tuple(jax.tree.map(place, argument) for argument in arguments)


def sharded(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays that lie on as many devices as divide their first axis.

    Raises:
      Unsupported: there is one device, or no number of them fits.
    """
    return {name: jax.device_put(array, _by_tokens(array.shape[0])) for name, array in arrays.items()}


def _by_tokens(tokens: int) -> NamedSharding:
    count = max(n for n in range(1, jax.device_count() + 1) if tokens % n == 0)
    if count == 1:
        raise Unsupported(f"{tokens} tokens cannot be spread over {jax.device_count()} device(s)")
    return NamedSharding(Mesh(np.array(jax.devices()[:count]), ("tokens",)), PartitionSpec("tokens"))


def axis_names(split: Split) -> tuple[str, ...]:
    """The names of the mesh axes, in the order of the classes, which is not that of the alphabet."""
    return tuple("cab"[: len(split.sizes)])


def on_split_classes(
    split: Split,
    answer: Callable[..., tuple[dict[str, Any], dict[str, Any]]],
    floats: Mapping[str, Any],
    others: Mapping[str, Any],
    *cotangents: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What each device answers, with its part of every array that has the shape of the logits.

    Args:
      split: how the classes are split.
      answer: outputs and gradients of floats, others and cotangents; inside shard_map.
      floats: arguments, logits among them.
      others: arguments without a derivative.
      *cotangents: of the outputs, the same on every device.

    Returns:
      The outputs with an axis of devices in front, those that share the tokens, and the gradients, put together.

    Raises:
      Unsupported: there are not as many devices.
    """
    if split.devices > jax.device_count():
        raise Unsupported(f"classes cannot be split over {split.devices} devices, as JAX has {jax.device_count()}")
    names = axis_names(split)
    # The mesh has the axes in another order than the classes, so that the names alone tell which it is.
    devices = np.array(jax.devices()[: split.devices]).reshape(*split.sizes[::-1], split.tokens)
    shape = floats["logits"].shape
    token = ("tokens",) if split.tokens > 1 else None

    def spec(array: Any) -> PartitionSpec:
        if array.shape == shape:
            return PartitionSpec(*[token, *[None] * (len(shape) - 2)][: len(shape) - 1], names)
        return PartitionSpec(token) if array.ndim and token else PartitionSpec()

    def specs(arguments: Mapping[str, Any]) -> dict[str, PartitionSpec]:
        return {name: spec(value) for name, value in arguments.items()}

    def each(*arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs, gradients = answer(*arguments)
        return {name: value[None] for name, value in outputs.items()}, gradients

    mapped: Callable[..., tuple[dict[str, Any], dict[str, Any]]] = jax.shard_map(
        each,
        mesh=Mesh(devices, (*names[::-1], "tokens")),
        in_specs=(specs(floats), specs(others), *map(specs, cotangents)),
        out_specs=(PartitionSpec(names, token) if token else PartitionSpec(names), specs(floats) if cotangents else {}),
    )
    return mapped(floats, others, *cotangents)
