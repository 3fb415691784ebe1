"""Meshes with Explicit axes, where arrays carry their sharding in their type."""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec, auto_axes

Results = TypeVar("Results")


def partitioned(function: Callable[..., Results], logits: Array, *, per_token: bool) -> Callable[..., Results]:
    """The function, its inside left to the compiler's partitioner, as it is where no mesh axis is Explicit.

    On Explicit axes a gather, a slice or a reshape along a sharded axis is an error, because its result has no sharding
    that follows from its operands'; the partitioner finds one.

    Args:
        function: of arrays.
        logits: [..., V], one of them.
        per_token: whether all results are [...], sharded as logits are but for the last axis; else scalars.
    """
    sharding = jax.typeof(logits).sharding
    if not sharding.mesh.explicit_axes:
        return function
    spec = PartitionSpec(*sharding.spec[:-1]) if per_token else PartitionSpec()
    return auto_axes(function, out_sharding=NamedSharding(sharding.mesh, spec))
