"""The columns with classes that are split over mesh axes inside `shard_map`: axis_name."""

from functools import partial
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

if __package__:
    from ._where_meshes import DATA, Column, mesh_of
    from ._where_rows import Arrays, Row, objective, outputs_of, value_and_gradient
else:  # in the program with many devices
    from _where_meshes import DATA, Column, mesh_of
    from _where_rows import Arrays, Row, objective, outputs_of, value_and_gradient


def split(
    row: Row,
    batch: Arrays,
    *,
    sizes: tuple[int, ...],
    names: tuple[str, ...],
    check_vma: bool,
    outside: bool,
    tokens: bool = False,
    kind: str = "auto",
) -> Arrays:
    """Each device has V / n classes of every row; with `tokens` the axis data has a part of the sequences."""
    mesh = mesh_of(kind, ((2,) if tokens else ()) + sizes, ((DATA,) if tokens else ()) + names)
    axis_name = names if len(names) > 1 else names[0]
    data = DATA if tokens else None
    of_classes, of_tokens = PartitionSpec(data, None, axis_name), PartitionSpec(data)
    in_specs = {name: of_classes if value.ndim == 3 else of_tokens for name, value in batch.items()}

    def spec(name: str, value: Any) -> PartitionSpec:
        if name == "gradient":
            return of_classes
        return of_tokens if value.ndim or tokens else PartitionSpec()

    def on_shard(batch: Arrays) -> Arrays:
        if outside:
            results = outputs_of(row, batch, axis_name=axis_name)
        else:
            results = value_and_gradient(row, batch, axis_name=axis_name)
        return {name: value[None] if tokens and value.ndim == 0 else value for name, value in results.items()}

    # The results have the names and axes that whole rows have.
    shapes = jax.eval_shape(partial(value_and_gradient, row), batch)
    out_specs = {name: spec(name, value) for name, value in shapes.items() if name != "gradient" or not outside}
    mapped = jax.shard_map(on_shard, mesh=mesh, in_specs=(in_specs,), out_specs=out_specs, check_vma=check_vma)

    def total(logits: jax.Array, others: Arrays) -> tuple[jax.Array, Arrays]:
        results = mapped(others | {"logits": logits})
        return objective(row, results, others), results

    def gradient_outside(batch: Arrays) -> Arrays:
        others = {name: value for name, value in batch.items() if name != "logits"}
        (_, results), gradient = jax.value_and_grad(total, has_aux=True)(batch["logits"], others)
        return results | {"gradient": gradient}

    with jax.set_mesh(mesh):
        placed = {name: jax.device_put(value, NamedSharding(mesh, in_specs[name])) for name, value in batch.items()}
        return jax.jit(gradient_outside if outside else mapped)(placed)


def on_every_device(row: Row, batch: Arrays) -> Arrays:
    """The results, as each of 4 devices has them, along a new first axis."""
    mesh = mesh_of("auto", (4,), ("model",))

    def on_shard(batch: Arrays) -> Arrays:
        results = outputs_of(row, batch, axis_name="model")
        return {name: value[None] for name, value in results.items()}

    of_classes = PartitionSpec(None, None, "model")
    in_specs = {name: of_classes if value.ndim == 3 else PartitionSpec() for name, value in batch.items()}
    mapped = jax.shard_map(on_shard, mesh=mesh, in_specs=(in_specs,), out_specs=PartitionSpec("model"), check_vma=False)
    return jax.jit(mapped)(batch)


def with_whole_targets(row: Row, batch: Arrays) -> Arrays:
    """An error: the logits are split over 4 devices, dense targets are not."""
    mesh = mesh_of("auto", (4,), ("model",))
    in_specs = {name: PartitionSpec() for name in batch} | {"logits": PartitionSpec(None, None, "model")}
    return jax.shard_map(
        lambda batch: outputs_of(row, batch, axis_name="model"),
        mesh=mesh,
        in_specs=(in_specs,),
        out_specs=PartitionSpec(),
    )(batch)


# Without vma, a gradient that is taken inside does not know what its devices share.
PLACES = {
    "vma": {"check_vma": True, "outside": False},
    "vma_grad_outside": {"check_vma": True, "outside": True},
    "no_vma_grad_outside": {"check_vma": False, "outside": True},
}
MESHES = {
    **{str(devices): {"sizes": (devices,), "names": ("model",)} for devices in (1, 2, 4, 8)},
    "2x4": {"sizes": (2, 4), "names": ("a", "b")},
    "4_and_tokens": {"sizes": (4,), "names": ("model",), "tokens": True},
    "2x2_and_tokens": {"sizes": (2, 2), "names": ("a", "b"), "tokens": True},
    "2_explicit": {"sizes": (2,), "names": ("model",), "kind": "explicit"},
}
COLUMNS = {
    f"{mesh}_{place}": Column(partial(split, **of_mesh, **of_place), 2 if "tokens" in of_mesh else None)
    for mesh, of_mesh in MESHES.items()
    for place, of_place in PLACES.items()
}
OTHERS = {"every_device": Column(on_every_device, None), "whole_targets": Column(with_whole_targets, None)}
