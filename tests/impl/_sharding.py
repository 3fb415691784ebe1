"""The losses on a mesh of 8 devices, as a program of its own: how many devices there are is settled when jax starts.

    python tests/impl/_sharding.py DIRECTORY

leaves in the directory results.json, with what each of CASES was compiled to, and arrays.npz, with what it computed.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lossproof.impl._xla_cpu_rows import COPIED

DEVICES = 8
SCALARS: dict[str, dict[str, float]] = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1, "z_loss": 1e-4},
    "weighted": {"label_smoothing": 0.1, "z_loss": 1e-4, "loss_normalizing_factor": 37.0},
    "token": {"label_smoothing": 0.1, "z_loss": 1e-4},
    "predicted": {},
    "dense": {"z_loss": 1e-4},
    "projected": {},
}
TOKENS, FEATURES = 2048, 64


class Case(NamedTuple):
    """One program.

    Attributes:
        mesh: the number of devices along the axes t and v.
        function: "plain", "smoothed" and "weighted" are compute_weighted_cross_entropy, the last with weights and
            factor; "token" is the sum of token_cross_entropy's losses, "predicted" also gives predicted_class; "dense"
            is the sum of cross_entropy_with_logits' losses, for dense targets sharded as the logits; "projected" is
            "plain" on logits that the program itself multiplies out of features and a kernel that is sharded over V.
        dtype, shape: of the logits.
        spec: the mesh axis that each axis of the logits is sharded over.
        explicit: whether the mesh axes are Explicit, else Auto.
        differentiated: whether the gradient by the logits is computed too.
        run: whether it is run, not only compiled.
    """

    mesh: tuple[int, int]
    function: str
    dtype: str
    shape: tuple[int, ...]
    spec: tuple[str | None, ...] = ("t", "v")
    explicit: bool = False
    differentiated: bool = True
    run: bool = False

    @property
    def name(self) -> str:
        words = ["x".join(map(str, self.mesh)), self.function, self.dtype, "x".join(map(str, self.shape))]
        words += ["explicit"] * self.explicit + ["forward"] * (not self.differentiated)
        return "-".join(words)

    @property
    def tokens_of_a_device(self) -> int:
        shards = self.mesh[0] if "t" in self.spec[:-1] else 1
        shards *= self.mesh[1] if "v" in self.spec[:-1] else 1
        return int(np.prod(self.shape[:-1])) // shards

    @property
    def share(self) -> int:
        """The bytes of a device's part of the logits."""
        return int(np.prod(self.shape)) * (2 if self.dtype.endswith("16") else 4) // DEVICES


def copied(classes: int) -> int:
    """The fewest tokens, a multiple of 8, whose rows are copied a few at a time if their V or type asks for it."""
    return (COPIED // classes // DEVICES + 1) * DEVICES


RUN = [
    *(Case(mesh, "weighted", "float32", (64, 4096), run=True) for mesh in ((8, 1), (1, 8), (2, 4), (4, 2))),
    Case((2, 4), "weighted", "bfloat16", (64, 4096), run=True),
    *(Case(mesh, "weighted", "float16", (copied(4096), 4096), run=True) for mesh in ((8, 1), (2, 4))),
    Case((8, 1), "weighted", "float32", (copied(1009), 1009), run=True),
    Case((2, 4), "weighted", "float32", (16, 4, 4096), ("t", None, "v"), run=True),
    Case((2, 4), "weighted", "float32", (64, 4096), explicit=True, run=True),
]
COMPILED = [
    *(Case(mesh, "smoothed", dtype, (TOKENS, 32128))
      for mesh in ((8, 1), (1, 8), (2, 4)) for dtype in ("float32", "bfloat16", "float16")),
    *(Case((2, 4), "smoothed", "float32", (TOKENS, classes)) for classes in (50304, 128256)),
    *(Case((8, 1), "smoothed", "float32", (TOKENS, classes)) for classes in (50257, 32003)),
    Case((2, 4), "plain", "float32", (TOKENS, 128256), differentiated=False),
    Case((2, 4), "plain", "float32", (16, 128, 32128), ("t", "v", None)),
    Case((8, 1), "token", "float32", (TOKENS, 32128), explicit=True, differentiated=False),
    Case((2, 4), "token", "bfloat16", (TOKENS, 32128), explicit=True),
    Case((2, 4), "predicted", "float32", (TOKENS, 32128)),
    Case((2, 4), "dense", "float32", (TOKENS, 32128)),
    Case((8, 1), "dense", "float32", (TOKENS, 32128), explicit=True),
    Case((2, 4), "projected", "float32", (TOKENS, 32128), differentiated=False),
]  # fmt: skip
CASES = RUN + COMPILED


def collectives_of_benchmarks() -> Callable[[str, int], list[Any]]:
    """The function that benchmarks/sharding.py reads the compiled programs with."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "_collectives.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.collectives


def inputs_of(case: Case) -> dict[str, Any]:
    """Logits as the case has them, some confident, some masked; targets, one out of range; weights, some 0."""
    rng = np.random.default_rng(0)
    tokens = case.shape[:-1]
    logits = 3 * rng.normal(size=(int(np.prod(tokens)), case.shape[-1]))
    targets = rng.integers(0, case.shape[-1], len(logits))
    logits[0, targets[0]] += 20
    logits[1] += 1e3
    logits[2, (targets[2] + 1) % case.shape[-1]] = 60  # not -inf: with smoothing that is an infinite loss
    targets[3] = -1
    weights = rng.integers(0, 4, len(logits)) / 2
    dtype = importlib.import_module("ml_dtypes").bfloat16 if case.dtype == "bfloat16" else case.dtype
    return {
        "logits": logits.reshape(case.shape).astype(dtype),
        "targets": targets.reshape(tokens).astype(np.int32),
        "weights": weights.reshape(tokens).astype(np.float32),
    }


def loss_of(case: Case) -> Callable[..., Any]:
    """The function of (logits, targets, weights), or of ((features, kernel), targets, weights)."""
    import jax
    from jax.sharding import PartitionSpec

    from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

    scalars = SCALARS[case.function]
    if case.function == "predicted":

        def with_class(x, t, _):
            terms = token_cross_entropy(x, t, also=("predicted_class",), **scalars)
            return terms.loss.sum(), terms.predicted_class

        return with_class
    if case.function == "dense":
        return lambda x, q, _: cross_entropy_with_logits(x, q, **scalars)[0].sum()
    if case.function == "token":
        return lambda x, t, _: token_cross_entropy(x, t, **scalars).loss.sum()
    if case.function == "weighted":
        return lambda x, t, w: compute_weighted_cross_entropy(x, t, w, **scalars)[0]
    if case.function == "projected":
        spec = PartitionSpec(*case.spec) if case.explicit else None
        return lambda x, t, _: compute_weighted_cross_entropy(jax.numpy.matmul(*x, out_sharding=spec), t)[0]
    return lambda x, t, _: compute_weighted_cross_entropy(x, t, **scalars)[0]


def main(directory: Path) -> None:
    """Compiles all cases, and runs those that are to be run."""
    import jax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    collectives = collectives_of_benchmarks()
    jax.config.update("jax_num_cpu_devices", DEVICES)
    results, arrays = {}, {}
    for case in CASES:
        kind = AxisType.Explicit if case.explicit else AxisType.Auto
        mesh = jax.make_mesh(case.mesh, ("t", "v"), axis_types=(kind, kind))
        by_logits, by_token = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (case.spec, case.spec[:-1]))

        def abstract(shape, dtype, sharding):
            return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

        logits = abstract(case.shape, case.dtype, by_logits)
        if case.function == "projected":
            features = abstract((*case.shape[:-1], FEATURES), case.dtype, by_token)
            kernel = abstract((FEATURES, case.shape[-1]), case.dtype, NamedSharding(mesh, PartitionSpec(None, "v")))
            logits = (features, kernel)
        targets = abstract(case.shape[:-1], "int32", by_token) if case.function != "dense" else logits
        weights = abstract(case.shape[:-1], "float32", by_token)
        loss = loss_of(case)
        if case.differentiated:
            loss = jax.value_and_grad(loss, has_aux=case.function == "predicted")
        with jax.set_mesh(mesh):
            compiled = jax.jit(loss).lower(logits, targets, weights).compile()
        results[case.name] = {
            "collectives": collectives(compiled.as_text(), DEVICES),
            "temporaries": compiled.memory_analysis().temp_size_in_bytes,
            "keeps_sharding": not case.differentiated
            or compiled.output_shardings[1].is_equivalent_to(by_logits, len(case.shape)),
        }
        if case.run:
            placed = [
                jax.device_put(each, sharding)
                for each, sharding in zip(inputs_of(case).values(), (by_logits, by_token, by_token), strict=True)
            ]
            value, gradient = compiled(*placed)
            arrays[f"{case.name} value"] = np.asarray(value, np.float64)
            arrays[f"{case.name} gradient"] = np.asarray(gradient, np.float64)
    np.savez(directory / "arrays.npz", **arrays)
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
