"""What a batch of the normalising factors can be: the model, and batches of its cells."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lossproof.conformance.coverage.model import ABSENT, Cell, Rule
from lossproof.conformance.judging.case import DTYPES, Array
from lossproof.conformance.judging.draw import generator

NAMES = ("NUM_REAL_TARGET_TOKENS", "NUM_TOTAL_TARGET_TOKENS", "AVERAGE_PER_SEQUENCE")

AXES: Mapping[str, tuple[str, ...]] = {
    "factor": (*NAMES, "a number", "None"),
    "said": ("name", "lower case", "member"),
    "shape": ("3x12", "12", "2x3x5", "1x1", "2x300", "5x1"),
    "tokens": ("int32", "uint8", "int64", "int16", "uint32", "with negative ones"),
    "weights": (ABSENT, "float32", "bfloat16", "float16", "float64", "bool", "int32", "int8"),
    "weighing": (ABSENT, "ordinary", "zeros", "negative", "of all sizes", "empty rows"),
    "segments": (
        ABSENT,
        "short",
        "as long as the row",
        "of one token",
        "ids come again",
        "padding in front",
        "cut at the ends",
        "large ids",
    ),
    "segment type": (ABSENT, "int32", "int64", "uint8", "int16"),
    "further keys": ("none", "some"),
    "given": ("numpy", "jax", "fortran", "strided", "read-only", "sharded"),
    "transform": ("eager", "jit", "vmap"),
}

RULES: tuple[Rule, ...] = (
    Rule(("factor", "said"), lambda f, s: f in NAMES or s == "name", "a number has no name"),
    Rule(("weights", "weighing"), lambda w, v: (w == ABSENT) == (v == ABSENT), "no weights"),
    Rule(("weights", "weighing"), lambda w, v: w != "bool" or v in ("zeros", "empty rows", ABSENT), "0 and 1 alone"),
    Rule(("weights", "weighing"), lambda w, v: not w.startswith("int") or v != "of all sizes", "integers alone"),
    Rule(("weights", "weighing"), lambda w, v: w != "float16" or v != "of all sizes", "beyond the type"),
    Rule(("segments", "segment type"), lambda s, t: (s == ABSENT) == (t == ABSENT), "no segments"),
    Rule(("segments", "segment type"), lambda s, t: s != "large ids" or t in ("int32", "int64"), "beyond the type"),
    Rule(
        ("shape", "segments", "segment type"),
        lambda h, s, t: t != "uint8" or s != "of one token" or h != "2x300",
        "ids",
    ),
    Rule(
        ("transform", "given"),
        lambda t, g: t != "vmap" or g in ("numpy", "jax"),
        "the transform makes arrays of its own",
    ),
    Rule(("given", "shape"), lambda g, h: g != "sharded" or h != "1x1", "nothing to share out"),
    Rule(("transform", "shape"), lambda t, h: t != "vmap" or "x" in h, "no axis to map over"),
)


def batch_of(cell: Cell, seed: int) -> tuple[Any, dict[str, Array]]:
    """The factor and the batch of a cell; the factor as a name."""
    rng = generator(seed * 2**32 + zlib.crc32(repr(sorted(cell.items())).encode()))
    shape = tuple(map(int, cell["shape"].split("x")))
    kind = "int32" if cell["tokens"] == "with negative ones" else cell["tokens"]
    lowest = -2 if cell["tokens"] == "with negative ones" else 0
    batch: dict[str, Array] = {"decoder_target_tokens": rng.integers(lowest, 100, shape).astype(kind)}
    batch["decoder_target_tokens"][rng.uniform(size=shape) < 0.3] = 0
    if cell["weights"] != ABSENT:
        batch["decoder_loss_weights"] = _weights(cell, rng, shape)
    if cell["segments"] != ABSENT:
        rows = [_segments(cell["segments"], rng, shape[-1]) for _ in range(int(np.prod(shape[:-1])))]
        ids, positions = (np.array([row[i] for row in rows]).reshape(shape) for i in (0, 1))
        kind = cell["segment type"]
        batch["decoder_segment_ids"] = ids.astype(kind)
        batch["decoder_positions"] = positions.astype("int32" if kind == "uint8" else kind)
    if cell["further keys"] == "some":
        batch["decoder_input_tokens"] = batch["decoder_target_tokens"].copy()
    factor: Any = {"None": None, "a number": 2.5}.get(cell["factor"], cell["factor"])
    return factor.lower() if cell["said"] == "lower case" else factor, batch


def _weights(cell: Cell, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    kind, weighing = cell["weights"], cell["weighing"]
    weights = rng.integers(1, 4, shape) * 1.0 if kind.startswith("int") else rng.integers(1, 17, shape) / 8.0
    if weighing == "zeros":
        weights = weights * (rng.uniform(size=shape) < 0.6)
    elif weighing == "negative":
        weights = weights * np.where(rng.uniform(size=shape) < 0.2, -1.0, 1.0)
    elif weighing == "of all sizes":
        weights = weights * 2.0 ** rng.choice([0, 0, 0, 26, -20], shape)
    elif weighing == "empty rows":
        weights = weights * (rng.uniform(size=(*shape[:-1], 1)) < 0.5)
    return weights != 0 if kind == "bool" else weights.astype(DTYPES.get(kind, kind))


def _segments(kind: str, rng: np.random.Generator, length: int) -> tuple[list[int], list[int]]:
    """Ids and positions of a row."""
    ids: list[int] = []
    positions: list[int] = []
    number = 0
    if kind == "padding in front":
        ids, positions = [0] * min(2, length), list(range(min(2, length)))
    while len(ids) < length:
        run = {"as long as the row": length, "of one token": 1}.get(kind, int(rng.integers(1, 6)))
        number += 1
        name = number + 70000 if kind == "large ids" else 1 + number % 2 if kind == "ids come again" else number
        if kind == "ids come again" and number % 3 == 0:
            name = ids[-1] if ids else 1  # the id goes on, the positions start again
        if kind == "cut at the ends" and len(ids) + run >= length:
            name = 1  # the sequence that the next row begins with, which is another one to NORM-7
        start = 3 if kind == "cut at the ends" and not ids else 0
        ids += [name] * run
        positions += range(start, start + run)
    end = length - length // 6 if kind in ("short", "large ids") else length  # padding behind
    return ids[:end] + [0] * (length - end), positions[:end] + list(range(length - end))
