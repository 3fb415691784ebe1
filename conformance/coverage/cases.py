"""From a cell of the model to calls: exact inputs, and the way they are made."""

import zlib
from dataclasses import dataclass, replace

import ml_dtypes  # noqa: F401  numpy learns the name bfloat16 from it
import numpy as np

from lossproof.conformance.coverage._inputs import FEW, FUNCTIONS as FUNCTIONS, SCALARS as SCALARS, case_of
from lossproof.conformance.coverage.model import ABSENT, MASSES, Cell, is_dense, shape_of
from lossproof.conformance.coverage.way import Directions, Way
from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.judging.draw import generator
from lossproof.spec import FORMATS, WEIGHTED

# Ways in which calls are made one by one, and those that map all arrays but keep the scalars.
_ONE_BY_ONE = ("jit", "eager", "checkpoint", "donated", "devices", "split", "x64")
_WHOLE = ("vmap", "scan")
OUTPUTS_IN_PLACE = {"loss": 0, "z_loss": 1, "third": 2}


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
    first = case_of(cell, generator(seed * 2**32 + digest))
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
    return case_of({**cell, **changed, **spread}, rng)


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
    most = 9 if np.prod(shape, dtype=np.int64) <= FEW else 3
    return np.asarray(rng.integers(1, most, shape) * rng.choice([-1, 1], shape) / 8.0)


def _row_by_row(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """The same for arrays [..., V]: where there are many tokens, equal rows, so that equal tokens stay equal."""
    if np.prod(shape[:-1], dtype=np.int64) <= FEW:
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
