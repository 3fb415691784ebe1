"""From a cell of the model to calls: exact inputs, and the way they are made."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes  # noqa: F401  numpy learns the name bfloat16 from it
import numpy as np

from lossproof.conformance._case import DENSE, DTYPES, FURTHER, TOKEN, WEIGHTED, Array, Case
from lossproof.conformance._draw import carried_float, generator
from lossproof.conformance.coverage._model import ABSENT, MASSES, Cell, is_dense, shape_of
from lossproof.conformance.targets._way import Directions, Way
from lossproof.reference import FORMATS

FUNCTIONS = {"token": TOKEN, "weighted": WEIGHTED, "dense": DENSE}
SCALARS = {"label_smoothing": "label_smoothing", "z_loss": "z_loss", "factor": "loss_normalizing_factor"}
NUMBERS = {"tiny": 2.0**-30}
CAPS = {"small": 2.0, "large": 50.0}
# Ways in which calls are made one by one, and those that map all arrays but keep the scalars.
_ONE_BY_ONE = ("jit", "eager", "checkpoint", "donated", "devices", "split", "x64")
_WHOLE = ("vmap", "scan")
OUTPUTS_IN_PLACE = {"loss": 0, "z_loss": 1, "third": 2}

# So many different tokens and logits there are in what is large; the reference computes equal ones once.
_TOKENS, _LOGITS, _FEW = 7, 24, 66
_EDGES = (63, 64, 127, 128, 511, 512, 1023, 1024, 2047, 2048, 4095, 4096, 32767, 32768, 65535, 65536, 131071, 131072)


@dataclass(frozen=True)
class Calls:
    """The calls of a cell.

    Attributes:
      way: how they are made.
      cases: their inputs: as the cell says; then with other numbers of the same kind, nothing masked or special, so
        that one feature does not hide what another does wrong; and of confident tokens, whose losses are tiny, where
        nothing is added to these.
      directions: of their derivatives.
    """

    way: Way
    cases: tuple[Case, ...]
    directions: tuple[Directions, ...]


def calls(cell: Cell, seed: int, outputs: tuple[str, ...]) -> Calls:
    """The calls of a cell.

    Args:
      cell: a value for every axis.
      seed: of the numbers.
      outputs: those of the function, whose cotangents there are.
    """
    way = way_of(cell)
    digest = zlib.crc32(repr(sorted(cell.items())).encode())
    first = _case(cell, generator(seed * 2**32 + digest))
    second = _calm(cell, generator(seed * 2**32 + digest + 1))
    if way.is_mapped:
        second = _differing(way, first, second)
    cases: tuple[Case, ...] = (first, second)
    if not _adds(cell, way):
        cases += (_confident(cell, generator(seed * 2**32 + digest + 4)),)
    directions = tuple(
        _directions(cell, way, case, generator(digest + 2 + number), outputs) for number, case in enumerate(cases)
    )
    return Calls(way, cases, directions)


def way_of(cell: Cell) -> Way:
    """How the calls of a cell are made."""
    forms = {SCALARS[name]: cell[f"{name} form"] for name in SCALARS if cell[name] != ABSENT}
    return Way(cell["transform"], cell["derivative"], cell["given"], forms, cell["by"])


def _calm(cell: Cell, rng: np.random.Generator, place: str = "") -> Case:
    """Nothing masked, special or out of range; every token counts."""
    place = place or ("any sum" if is_dense(cell["targets"]) else "random")
    weighing = cell["weighing"] if cell["weighing"] in (ABSENT, "negative") else "ordinary"
    changed = {"masks": "none", "special": "none", "place": place, "weighing": weighing}
    spread = {"spread": "normal"} if cell["spread"] == "offset" else {}
    return _case({**cell, **changed, **spread}, rng)


def _adds(cell: Cell, way: Way) -> bool:
    """Whether something that cannot be 0 in another call hides the loss of a confident token, or there is none."""
    if 0 in shape_of(cell["batch"]) or cell["logit_softcap"] == "small" or way.transform not in (*_ONE_BY_ONE, *_WHOLE):
        return True
    scalars = [name for name in ("label_smoothing", "z_loss") if cell[name] not in (ABSENT, "0")]
    return any(cell[f"{name} form"] != "traced" or way.transform in _WHOLE for name in scalars)


def _confident(cell: Cell, rng: np.random.Generator) -> Case:
    """The target's logit is 10, 20 or 40 above all others; equal tokens stay equal."""
    place = "one-hot" if is_dense(cell["targets"]) else "random"
    case = _calm({**cell, "spread": "normal"}, rng, place)
    targets = case.inputs["targets"]
    number = np.argmax(targets, axis=-1) if targets.ndim == case.logits.ndim else targets.astype(np.int64)
    is_target = np.arange(case.logits.shape[-1]) == number[..., None]
    logits = case.logits.astype(np.float64)
    led = np.max(logits, axis=-1, keepdims=True) + np.array([10.0, 20.0, 40.0])[number % 3][..., None]
    nothing = {
        argument: 0.0
        for name, argument in SCALARS.items()
        if name != "factor" and case.inputs.get(argument) is not None
    }
    return case.with_inputs(logits=np.where(is_target, led, logits).astype(case.logits.dtype), **nothing)


def _differing(way: Way, first: Case, second: Case) -> Case:
    """The first case with what is mapped taken from the second."""
    names = way.mapped(first.inputs)
    if way.transform == "vmap scalars":
        halves = {name: first.inputs[name] / 2 for name in names}
        return first.with_inputs(**halves)
    return first.with_inputs(**{name: second.inputs[name] for name in names})


def _case(cell: Cell, rng: np.random.Generator) -> Case:
    function, dtype = FUNCTIONS[cell["function"]], cell["logits"]
    shape, classes = shape_of(cell["batch"]), int(cell["classes"])
    count = int(np.prod(shape, dtype=np.int64))
    kinds = max(1, min(count, 3) if classes > 4000 else count if count <= _FEW else _TOKENS)
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
    if classes <= _FEW:
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


def _directions(cell: Cell, way: Way, case: Case, rng: np.random.Generator, outputs: tuple[str, ...]) -> Directions:
    if way.derivative == "values":
        return Directions()
    if way.derivative in ("vjp", "vjp twice"):
        pulls = 2 if way.derivative == "vjp twice" else 1
        return Directions(tuple(_cotangents(cell, case, rng, outputs) for _ in range(pulls)))
    if way.derivative == "jvp":
        named = [
            name for name, value in case.inputs.items() if isinstance(value, np.ndarray) and value.dtype.name in FORMATS
        ]
        names = [name for name in (*named, *way.traced(case.inputs)) if way.is_by(name)]
        shapes = {name: np.shape(case.inputs[name]) for name in names}
        wide = case.logits.shape
        tangents = {name: (_row_by_row if shape == wide else _eighths)(rng, shape) for name, shape in shapes.items()}
        if shapes.get("targets") == wide:  # a mass on a mask does not move, where its slope is infinite
            tangents["targets"] = np.where(np.isneginf(case.logits), 0.0, tangents["targets"])
        return Directions(tangents=tangents)
    return Directions(vector=_row_by_row(rng, case.logits.shape))


def _cotangents(cell: Cell, case: Case, rng: np.random.Generator, outputs: tuple[str, ...]) -> dict[str, Array]:
    shape = () if case.function == WEIGHTED else case.logits.shape[:-1]
    further = tuple(name for name in case.also if name != "predicted_class")
    chosen: tuple[str, ...] = (*outputs, *further)
    if cell["cotangent"] == "further":
        chosen = further
    elif cell["cotangent"] != "together":
        place = OUTPUTS_IN_PLACE[cell["cotangent"]]
        chosen = tuple(
            name for name in outputs if name in ("loss", "z_loss", ("log_z", "weight_sum")[case.function == WEIGHTED])
        )
        chosen = tuple(name for name in chosen if {"loss": 0, "z_loss": 1}.get(name, 2) == place)
    return {name: _eighths(rng, shape) for name in chosen}


def _eighths(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Small exact numbers, none of them 0; few different ones where there are many."""
    most = 9 if np.prod(shape, dtype=np.int64) <= _FEW else 3
    return np.asarray(rng.integers(1, most, shape) * rng.choice([-1, 1], shape) / 8.0)


def _row_by_row(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """The same for arrays [..., V]: where there are many tokens, equal rows, so that equal tokens stay equal."""
    if np.prod(shape[:-1], dtype=np.int64) <= _FEW:
        return _eighths(rng, shape)
    return np.broadcast_to(_eighths(rng, shape[-1:]), shape).copy()


def simplified(cell: Cell, axis: str, value: str) -> dict[str, str]:
    """The cell with one axis at another value, and what depends on it along: of a scalar its form, of targets their
    place, of weights their numbers, of a derivative its cotangent.
    """
    changed = {**cell, axis: value}
    if axis in SCALARS:
        changed[f"{axis} form"] = (
            ABSENT if value == ABSENT else "float" if changed[f"{axis} form"] == ABSENT else changed[f"{axis} form"]
        )
    if axis == "targets" and is_dense(value) != (changed["place"] in MASSES):
        changed["place"] = "any sum" if is_dense(value) else "random"
    if axis == "weights":
        changed["weighing"] = (
            ABSENT if value == ABSENT else "ordinary" if changed["weighing"] == ABSENT else changed["weighing"]
        )
    if axis == "derivative":
        pulled = value in ("vjp", "vjp twice")
        changed["cotangent"] = (
            ABSENT if not pulled else "loss" if changed["cotangent"] == ABSENT else changed["cotangent"]
        )
    return changed


def exact_case(case: Case) -> Case:
    """The case as the reference takes it: dense targets of a type that is no float, in one."""
    targets = case.inputs["targets"]
    if case.is_dense and targets.dtype.kind in "biu":
        return case.with_inputs(targets=targets.astype(np.float32))
    return case


def total_of(case: Case) -> Case:
    """The same tokens as a batch total, which is what Hessians are taken of."""
    return replace(case, function=WEIGHTED)
