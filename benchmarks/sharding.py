"""What the losses cost on 8 devices: the collectives of their compiled programs, and the memory of each device.

    python benchmarks/sharding.py
    python benchmarks/sharding.py --json sharding.json
    python benchmarks/sharding.py --vocabularies 32128 --dtypes bfloat16 --axes explicit

Nothing is run: programs are compiled for 8 CPU devices under plain jit, for N tokens sharded over the first number of a
mesh and V over the second. A V that the second does not divide cannot be sharded so: jax refuses it.

"collectives" counts them, those in a loop once for each step; "bytes per token" is what each device receives for each
token it has; "temp" is what a device allocates besides arguments and results, in percent of its part of the logits;
"gradient" says whether it is sharded as the logits are.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from _collectives import collectives
from _report import machine, show, store
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lossproof import compute_weighted_cross_entropy, token_cross_entropy

DEVICES = 8
TOKENS = 2048
VOCABULARIES = [4096, 32128, 50304, 50257, 128256, 32003]
DTYPES = ["float32", "bfloat16", "float16"]
MESHES = [(8, 1), (1, 8), (2, 4), (4, 2)]
AXES = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}

# Of (logits, targets, weights).
LOSSES: dict[str, Callable[..., Any]] = {
    "plain": lambda x, t, _: compute_weighted_cross_entropy(x, t)[0],
    "smoothed": lambda x, t, _: compute_weighted_cross_entropy(x, t, None, 0.1, 1e-4)[0],
    "weighted": lambda x, t, w: compute_weighted_cross_entropy(x, t, w, 0.1, 1e-4, 37.0)[0],
    "token": lambda x, t, _: token_cross_entropy(x, t, label_smoothing=0.1, z_loss=1e-4).loss.sum(),
}


@dataclass(frozen=True)
class Program:
    """A compiled program's cost.

    Attributes:
      loss, mode: a name of LOSSES; forward or value_and_grad.
      mesh: the numbers of devices that share the tokens, and V.
      collectives: how many are carried out.
      bytes_per_token: what a device receives for each token it has.
      temporaries: a device's, as a share of its part of the logits.
      keeps_sharding: whether the gradient is sharded as the logits are; None in forward.
    """

    loss: str
    mode: str
    mesh: tuple[int, int]
    collectives: int
    bytes_per_token: float
    temporaries: float
    keeps_sharding: bool | None


def measure(loss: str, mode: str, shape: tuple[int, int], dtype: str, mesh: tuple[int, int], kind: AxisType) -> Program:
    """Compiles a loss for logits of this shape and type."""
    devices = jax.make_mesh(mesh, ("tokens", "classes"), axis_types=(kind, kind))
    by_token = NamedSharding(devices, PartitionSpec("tokens"))
    logits = jax.ShapeDtypeStruct(
        shape, dtype, sharding=NamedSharding(devices, PartitionSpec("tokens", "classes" if mesh[1] > 1 else None))
    )
    targets, weights = (jax.ShapeDtypeStruct(shape[:1], each, sharding=by_token) for each in ("int32", "float32"))
    function = LOSSES[loss] if mode == "forward" else jax.value_and_grad(LOSSES[loss])
    with jax.set_mesh(devices):
        compiled = jax.jit(function).lower(logits, targets, weights).compile()
    found = collectives(compiled.as_text(), DEVICES)
    part = logits.size * np.dtype(logits.dtype).itemsize / DEVICES
    return Program(
        loss,
        mode,
        mesh,
        sum(each.times for each in found),
        sum(each.size * each.times for each in found) / (shape[0] / mesh[0]),
        compiled.memory_analysis().temp_size_in_bytes / part,
        None if mode == "forward" else compiled.output_shardings[1].is_equivalent_to(logits.sharding, len(shape)),
    )


def print_programs(title: str, programs: Iterable[Program]) -> None:
    """Prints a line for each."""
    columns = ["", "mesh", "collectives", "bytes per token", "temp", "gradient"]
    words = {None: "", True: "kept", False: "changed"}
    rows = [
        [
            f"{each.loss} {each.mode}",
            "x".join(map(str, each.mesh)),
            str(each.collectives),
            f"{each.bytes_per_token:.1f}",
            f"{each.temporaries:.1%}",
            words[each.keeps_sharding],
        ]
        for each in programs
    ]
    show(title, columns, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for each V and type, and stores them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="N, a multiple of 8")
    parser.add_argument("--vocabularies", type=int, nargs="+", default=VOCABULARIES)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--axes", choices=list(AXES), default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.tokens < DEVICES or options.tokens % DEVICES:
        parser.error(f"--tokens must be a multiple of {DEVICES}, got {options.tokens}")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    groups = []
    for classes in options.vocabularies:
        for dtype in options.dtypes:
            programs = [
                measure(loss, mode, (options.tokens, classes), dtype, mesh, AXES[options.axes])
                for loss in options.losses
                for mode in ("forward", "value_and_grad")
                for mesh in MESHES
                if classes % mesh[1] == 0
            ]
            print_programs(f"V = {classes}, N = {options.tokens}, {dtype}, {options.axes} axes", programs)
            groups.append({"classes": classes, "dtype": dtype, "programs": [asdict(each) for each in programs]})
    if options.json is not None:
        names = {"tokens": options.tokens, "axes": options.axes}
        store(options.json, {"machine": machine(), "options": names, "groups": groups})


if __name__ == "__main__":
    main()
