"""The columns of the table that need several devices: each a function of (row, batch), whose results it gives by name.

Meshes have the axes data and model. Logits are [B, T, V]; B is split over data, or over both axes, or V over model.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

if __package__:
    from ._where_rows import Arrays, Row, objective, outputs_of, value_and_gradient
else:  # in the program with many devices
    from _where_rows import Arrays, Row, objective, outputs_of, value_and_gradient

DATA, MODEL = "data", "model"
KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}


class Column(NamedTuple):
    """Where the functions run.

    Attributes:
        run: the results for (row, batch).
        parts: into how many parts of its own the batch falls; None where it stays one.
    """

    run: Callable[[Row, Arrays], Arrays]
    parts: int | None


def mesh_of(kind: str, sizes: tuple[int, ...] = (2, 2), names: tuple[str, ...] = (DATA, MODEL)) -> Mesh:
    """A mesh whose axes are all of one kind."""
    devices = jax.devices()[: int(np.prod(sizes))]
    return jax.make_mesh(sizes, names, axis_types=(KINDS[kind],) * len(names), devices=devices)


def placed(mesh: Mesh, batch: Arrays, over_tokens: Any, over_classes: Any = None) -> Arrays:
    """The batch, split over the first axis, and where there are classes over these."""

    def spec(array: np.ndarray) -> PartitionSpec:
        return PartitionSpec(over_tokens, None, over_classes) if array.ndim == 3 else PartitionSpec(over_tokens)

    return {name: jax.device_put(value, NamedSharding(mesh, spec(value))) for name, value in batch.items()}


def in_jit(row: Row, batch: Arrays, *, kind: str, tokens: bool, classes: bool) -> Arrays:
    """Plain jit of arrays that are split: the partitioner's work, or on Explicit axes that of their types."""
    mesh = mesh_of(kind)
    with jax.set_mesh(mesh):
        arrays = placed(mesh, batch, DATA if tokens else None, MODEL if classes else None)
        results = jax.jit(partial(value_and_gradient, row))(arrays)
        assert results["gradient"].sharding.is_equivalent_to(arrays["logits"].sharding, 3)
        return results


def in_shard_map(
    row: Row,
    batch: Arrays,
    *,
    kind: str,
    over: tuple[str, ...],
    check_vma: bool,
    outside: bool = False,
    over_classes: str | None = None,
) -> Arrays:
    """Each device has some sequences of its own; axes of the mesh that are not in `over` stay what they are."""
    mesh = mesh_of(kind)
    split = PartitionSpec(over if len(over) > 1 else over[0])

    def on_shard(batch: Arrays) -> Arrays:
        results = outputs_of(row, batch) if outside else value_and_gradient(row, batch)
        return {name: jnp.asarray(value)[None] if jnp.ndim(value) == 0 else value for name, value in results.items()}

    mapped = jax.shard_map(
        on_shard, mesh=mesh, in_specs=split, out_specs=split, axis_names=set(over), check_vma=check_vma
    )

    def total(logits: jax.Array, others: Arrays) -> tuple[jax.Array, Arrays]:
        results = mapped(others | {"logits": logits})
        return objective(row, results, others), results

    def gradient_outside(batch: Arrays) -> Arrays:
        others = {name: value for name, value in batch.items() if name != "logits"}
        (_, results), gradient = jax.value_and_grad(total, has_aux=True)(batch["logits"], others)
        return results | {"gradient": gradient}

    with jax.set_mesh(mesh):
        arrays = placed(mesh, batch, over if len(over) > 1 else over[0], over_classes)
        return jax.jit(gradient_outside if outside else mapped)(arrays)


def in_pmap(row: Row, batch: Arrays) -> Arrays:
    """The older form, in which the first axis is that of the devices."""
    devices = len(batch["logits"])
    shards = {name: np.reshape(value, (devices, 1, *value.shape[1:])) for name, value in batch.items()}
    results = jax.pmap(partial(value_and_gradient, row), devices=jax.devices()[:devices])(shards)
    return {name: value if value.ndim == 1 else value.reshape(-1, *value.shape[2:]) for name, value in results.items()}


def in_vmap_over_the_mesh(row: Row, batch: Arrays, *, kind: str) -> Arrays:
    """One sequence at a time, mapped over an axis of the mesh."""
    mesh = mesh_of(kind)
    with jax.set_mesh(mesh):
        mapped = jax.vmap(partial(value_and_gradient, row), spmd_axis_name=DATA if kind == "auto" else None)
        return jax.jit(mapped)(placed(mesh, batch, DATA))


def shard_map_columns() -> dict[str, Column]:
    columns = {}
    for kind in KINDS:
        for axes, over in {"all": (DATA, MODEL), "some": (DATA,)}.items():
            for check_vma in (True, False):
                for outside in (False, True):
                    words = ["shard_map", kind, axes, "vma" if check_vma else "no_vma", "grad_outside" * outside]
                    run = partial(in_shard_map, kind=kind, over=over, check_vma=check_vma, outside=outside)
                    columns["_".join(filter(None, words))] = Column(run, 4 if axes == "all" else 2)
        # The other axis has a part of the classes of each shard.
        run = partial(in_shard_map, kind=kind, over=(DATA,), check_vma=True, over_classes=MODEL)
        columns[f"shard_map_{kind}_some_vma_split_classes"] = Column(run, 2)
    return columns


COLUMNS = {
    **{
        f"jit_{kind}_{name}": Column(partial(in_jit, kind=kind, tokens=tokens, classes=classes), None)
        for kind in KINDS
        for name, tokens, classes in (("tokens", True, False), ("classes", False, True), ("both", True, True))
    },
    **shard_map_columns(),
    **{f"vmap_{kind}": Column(partial(in_vmap_over_the_mesh, kind=kind), 4) for kind in KINDS},
    "pmap": Column(in_pmap, 4),
}
