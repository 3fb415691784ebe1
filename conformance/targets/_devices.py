"""Tokens spread over the devices there are."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lossproof.conformance.targets._target import Unsupported


def spread(*arguments: Any) -> tuple[Any, ...]:
    """Asks the compiler to keep the first axis of each array on as many devices as divide it; for use under jit.

    Raises:
      Unsupported: there is one device, or no number of them fits.
    """
    arrays = [array for array in jax.tree.leaves(arguments) if array.ndim]
    tokens = arrays[0].shape[0]
    count = max(n for n in range(1, jax.device_count() + 1) if tokens % n == 0)
    if count == 1:
        raise Unsupported(f"{tokens} tokens cannot be spread over {jax.device_count()} device(s)")
    mesh = Mesh(np.array(jax.devices()[:count]), ("tokens",))
    sharding = NamedSharding(mesh, PartitionSpec("tokens"))

    def place(array: Any) -> Any:
        return jax.lax.with_sharding_constraint(array, sharding) if array.ndim else array

    return tuple(jax.tree.map(place, argument) for argument in arguments)
