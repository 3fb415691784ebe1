"""The inputs of a cell's calls: exact numbers of the kinds that it names."""

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes  # noqa: F401  numpy learns the name bfloat16 from it
import numpy as np

from lossproof.conformance.coverage.model import ABSENT, Cell, is_dense, shape_of
from lossproof.conformance.judging.case import DTYPES, Array, Case
from lossproof.conformance.judging.draw import carried_float
from lossproof.spec import DENSE, FORMATS, FURTHER, TOKEN, WEIGHTED

FUNCTIONS = {"token": TOKEN, "weighted": WEIGHTED, "dense": DENSE}
SCALARS = {"label_smoothing": "label_smoothing", "z_loss": "z_loss", "factor": "loss_normalizing_factor"}
NUMBERS = {"tiny": 2.0**-30}
CAPS = {"small": 2.0, "large": 50.0}

# So many different tokens and logits there are in what is large; the reference computes equal ones once.
FEW, _TOKENS, _LOGITS = 66, 7, 24
_EDGES = (63, 64, 127, 128, 511, 512, 1023, 1024, 2047, 2048, 4095, 4096, 32767, 32768, 65535, 65536, 131071, 131072)


def case_of(cell: Cell, rng: np.random.Generator) -> Case:
    """The inputs that a cell names, exact in their types."""
    function, dtype = FUNCTIONS[cell["function"]], cell["logits"]
    shape, classes = shape_of(cell["batch"]), int(cell["classes"])
    count = int(np.prod(shape, dtype=np.int64))
    kinds = max(1, min(count, 3) if classes > 4000 else count if count <= FEW else _TOKENS)
    logits = _logits(cell, rng, kinds, classes)
    targets = _dense(cell, rng, kinds, classes) if is_dense(cell["targets"]) else _hard(cell, rng, kinds, logits)
    logits, targets = _masked(cell, rng, logits, targets)
    chosen = np.arange(count) if kinds >= count else rng.permutation(np.arange(count) % kinds)
    logits, targets = logits[chosen], targets[chosen]
    inputs: dict[str, Any] = {}
    weights = None if cell["weights"] == ABSENT else _weights(cell, rng, count)
    logits = _special(cell, rng, logits, targets, weights)
    inputs["logits"] = logits.reshape((*shape, classes)).astype(DTYPES[dtype])
    inputs["targets"] = targets.reshape((*shape, *targets.shape[1:]))
    if weights is not None:
        inputs["weights"] = weights.reshape(shape)
    for name, argument in SCALARS.items():
        if cell[name] != ABSENT:
            inputs[argument] = carried_float(NUMBERS.get(cell[name]) or float(cell[name]), dtype)
    if cell["smoothing"] != ABSENT:
        inputs["smoothing"] = cell["smoothing"]
    if cell["subtract_entropy"] != ABSENT:
        inputs["subtract_entropy"] = cell["subtract_entropy"] == "True"
    if cell["logit_softcap"] not in (ABSENT, "none"):
        inputs["logit_softcap"] = CAPS[cell["logit_softcap"]]
    if cell["also"] != ABSENT:
        inputs["also"] = tuple(name for letter in cell["also"] for name in FURTHER if name[0] == letter)
    return Case(function, inputs)


def _logits(cell: Cell, rng: np.random.Generator, tokens: int, classes: int) -> Array:
    """Exact in the type of the logits; where there are many classes, of few different numbers."""
    spread = cell["spread"]
    draw: Mapping[str, Callable[[Any], Array]] = {
        "normal": lambda size: rng.normal(size=size) * rng.choice([1.0, 5.0]),
        "confident": lambda size: rng.normal(size=size) * 0.5,
        "offset": lambda size: rng.normal(size=size) * 5 + rng.choice([1e3, -1e4]),
        "ties": lambda size: np.round(rng.normal(size=size) * 2),
        "wide": lambda size: rng.uniform(-100, 100, size),
    }
    if classes <= FEW:
        logits = draw[spread]((tokens, classes))
    else:
        palettes = draw[spread]((tokens, _LOGITS))
        logits = np.take_along_axis(palettes, rng.integers(_LOGITS, size=(tokens, classes)), axis=-1)
    if spread == "confident" and tokens:
        lead = rng.choice([10.0, 20.0, 40.0], size=tokens)
        logits[np.arange(tokens), rng.integers(classes, size=tokens)] += lead
    return logits.astype(DTYPES[cell["logits"]]).astype(np.float64)


def _hard(cell: Cell, rng: np.random.Generator, tokens: int, logits: Array) -> Array:
    kind, place, classes = cell["targets"], cell["place"], logits.shape[-1]
    dtype = np.dtype(kind)
    highest = min(classes - 1, int(np.iinfo(dtype).max))
    targets = rng.integers(highest + 1, size=tokens).astype(np.int64)
    edges = [0, highest, *(edge for edge in _EDGES if edge <= highest)]
    outside = np.arange(tokens) % 2 == 0
    if place == "edge":  # the last class, whatever the others are
        targets = np.array(edges)[(np.arange(tokens) + rng.integers(len(edges))) % len(edges)]
        targets[:1] = highest
        (apart,) = rng.spawn(1)  # what is drawn of this changes nothing that is drawn after
        own = apart.normal(size=tokens).astype(DTYPES[cell["logits"]])  # so that another class taken for it is told
        logits[np.arange(tokens), targets] = own
    elif place == "tied":  # with another one at the maximum
        targets = np.minimum(np.argmax(logits, axis=-1), highest)
        other = (targets + 1 + rng.integers(classes - 1, size=tokens)) % classes
        logits[np.arange(tokens), other] = logits[np.arange(tokens), targets] = np.max(logits, axis=-1)
    elif place == "below":
        lowest = max(int(np.iinfo(dtype).min), -(2**31))  # compiled calls take 32 bits
        targets[outside] = rng.choice([-1, -classes if -classes >= lowest else -1, lowest], size=tokens)[outside]
    elif place == "far":
        largest = int(np.iinfo(dtype).max)
        beyond = min(classes + 65536, largest)
        nearest = min(classes, largest)
        choices = [nearest, beyond, largest if largest < 2**33 else beyond]
        targets[outside] = rng.choice(choices, size=tokens)[outside]
    elif place == "beyond 32 bits":
        targets[outside] += 2**32 * rng.integers(1, 4)
    return targets.astype(dtype)


def _dense(cell: Cell, rng: np.random.Generator, tokens: int, classes: int) -> Array:
    """Multiples of 1/8, which every type holds."""
    kind, place = cell["targets"].removeprefix("dense "), cell["place"]
    rows = np.arange(tokens)
    eighths = np.zeros((tokens, classes))
    step = 1.0 if kind in ("bool", "int32") else 0.125
    if place in ("one-hot", "empty"):
        eighths[rows, rng.integers(classes, size=tokens)] = 1.0
    if place == "empty":
        eighths[::2] = 0.0
    if place in ("any sum", "negative"):
        palette = rng.integers(0, 9, size=5) * step
        signs = rng.choice([-1.0, 1.0], size=5) if place == "negative" else 1.0
        eighths = (palette * signs)[rng.integers(5, size=(tokens, classes))]
        eighths[rng.uniform(size=eighths.shape) < min(0.5, 1 - 8 / max(classes, 9))] = 0.0
    if kind == "bool":
        return eighths > 0
    return eighths.astype(DTYPES.get(kind, kind))


def _masked(cell: Cell, rng: np.random.Generator, logits: Array, targets: Array) -> tuple[Array, Array]:
    """Logits of -inf; classes with mass stay, but for targets whose place says so."""
    tokens, classes = logits.shape
    block = 64 if classes >= 128 else max(1, classes // 4)
    column = np.arange(classes)
    dense = targets.ndim == 2
    kept = targets.astype(np.float64) != 0 if dense else column == np.asarray(targets, np.float64)[:, None]
    patterns: Mapping[str, Callable[[], Array]] = {
        "none": lambda: np.zeros((tokens, classes), bool),
        "some": lambda: rng.uniform(size=(tokens, classes)) < 0.3,
        "first block": lambda: np.broadcast_to(
            column < max(block, classes // 2 if classes < 128 else block), logits.shape
        ),
        "whole blocks": lambda: np.broadcast_to(column // block % 2 == 1, logits.shape),
        "all but one": lambda: np.broadcast_to(column != classes // 2, logits.shape),
    }
    hidden = patterns[cell["masks"]]()
    if dense and np.any(hidden):
        # One class in each row keeps its mass; the masked others lose theirs.
        first = column == np.argmax(kept, axis=-1)[:, None]
        only = kept & (first if cell["masks"] == "all but one" else True)
        hidden = hidden & ~(first & kept)
        targets = np.where(hidden | ~only, targets.dtype.type(0), targets)
    else:
        hidden = hidden & ~kept
        if cell["masks"] == "all but one" and not dense:
            single = np.where(np.any(kept, axis=-1), np.argmax(kept, axis=-1), classes // 2)
            hidden = column != single[:, None]
    logits = np.where(hidden, -np.inf, logits)
    if cell["place"] == "masked":
        third = np.arange(tokens) % 3 == 0
        logits = np.where(kept & third[:, None], -np.inf, logits)
    return logits, targets


def _weights(cell: Cell, rng: np.random.Generator, tokens: int) -> Array:
    kind, weighing = cell["weights"], cell["weighing"]
    dtype = np.dtype(DTYPES.get(kind, kind))
    whole = kind.startswith("int")
    few = rng.integers(1, 17, size=min(tokens, _TOKENS)) / 8.0
    weights = rng.integers(1, 4, size=tokens) * 1.0 if whole else rng.choice(few, tokens) if tokens else np.zeros(0)
    if weighing == "huge":
        weights = weights * (2.0**12 if kind == "float16" else 2.0**90)
    if weighing == "tiny":
        weights = weights * (2.0**-11 if kind == "float16" else 2.0**-100)
    if weighing == "negative":
        weights = weights * rng.choice([-1.0, 1.0], size=tokens)
    if weighing in ("zeros", "minus zero") or kind == "bool":
        gone = rng.uniform(size=tokens) < 0.4
        gone[: tokens // 3] = True
        weights = np.where(gone, -0.0 if weighing == "minus zero" else 0.0, weights)
    return weights.astype(dtype) if kind != "bool" else weights != 0


def _special(cell: Cell, rng: np.random.Generator, logits: Array, targets: Array, weights: Array | None) -> Array:
    """One token with something special in it: one that does not count if there are such, in two draws of three."""
    special, (tokens, classes) = cell["special"], logits.shape
    if special == "none" or not tokens:
        return logits
    token = int(rng.integers(tokens))
    excluded = np.zeros(tokens, bool) if weights is None else weights.astype(np.float64) == 0
    if targets.ndim == 1:
        excluded = excluded | (targets < 0) | (targets.astype(np.float64) >= classes)
    if np.any(excluded) and rng.uniform() < 2 / 3:
        token = int(rng.choice(np.flatnonzero(excluded)))
    places = [0, classes - 1, classes // 2, *(edge for edge in _EDGES if edge < classes), int(rng.integers(classes))]
    logits = logits.copy()
    exponent = FORMATS[cell["logits"]].max_exponent - (2 if cell["logits"] == "float64" else 0)
    if special in ("nan", "inf"):
        logits[token, places[int(rng.integers(len(places)))]] = np.nan if special == "nan" else np.inf
    elif special == "all masked":
        logits[token] = -np.inf
    elif special in ("huge", "huge apart"):
        sign = rng.choice([-1.0, 1.0])
        pattern = [1.0, -1.0] if special == "huge apart" else [1.0, rng.choice([0.0, 0.25, 1.0])]
        finite = np.isfinite(logits[token])
        logits[token, finite] = (sign * 2.0**exponent * np.resize(pattern, classes))[finite]
    else:
        finite = np.isfinite(logits[token])
        smallest = (
            float(np.finfo(DTYPES[cell["logits"]]).smallest_normal) if cell["logits"] != "bfloat16" else 2.0**-126
        )
        palette = rng.uniform(-1, 1, min(classes, _LOGITS)) * smallest
        logits[token, finite] = rng.choice(palette, classes)[finite]
    return logits.astype(DTYPES[cell["logits"]]).astype(np.float64)
