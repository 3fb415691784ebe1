"""Meshes with Explicit axes, where arrays carry their sharding in their type."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec, auto_axes

Results = TypeVar("Results")


def partitioned(
    function: Callable[..., Results], array: Array, results: Callable[[tuple[Any, ...]], Any]
) -> Callable[..., Results]:
    """The function, its inside left to the compiler's partitioner, as it is where no mesh axis is Explicit.

    On Explicit axes a gather, a slice or a reshape along a sharded axis is an error, because its result has no sharding
    that follows from its operands'; the partitioner finds one. Not so inside a `shard_map` over other axes, through
    which jax does not differentiate what is left to the partitioner: there, a function has to do without them.

    Args:
        function: of arrays.
        array: the one whose sharding the results' follows from.
        results: the PartitionSpec of the results, or a tree of several, for that of the array.
    """
    sharding = jax.typeof(array).sharding
    if not sharding.mesh.explicit_axes or inside_manual(array):
        return function
    specs = jax.tree.map(
        lambda spec: NamedSharding(sharding.mesh, spec),
        results(tuple(sharding.spec)),
        is_leaf=lambda each: isinstance(each, PartitionSpec),
    )
    return auto_axes(function, out_sharding=specs)


def inside_manual(array: Array) -> bool:
    """Whether this is inside a `shard_map` over some axes of a mesh, others of which are Explicit."""
    mesh = jax.typeof(array).sharding.mesh
    return bool(mesh.explicit_axes and mesh.manual_axes)


def beside(logits: Array, value: Array) -> Array:
    """An array [...] that was not made from the logits [..., V], sharded as they are."""
    if not inside_manual(logits):
        return value
    return jax.reshard(value, PartitionSpec(*jax.typeof(logits).sharding.spec[:-1]))


def per_token(spec: tuple[Any, ...]) -> PartitionSpec:
    """Of results [...] for logits [..., V]."""
    return PartitionSpec(*spec[:-1])


def total(_: tuple[Any, ...]) -> PartitionSpec:
    """Of scalars."""
    return PartitionSpec()
