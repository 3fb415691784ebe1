"""Which clauses a cell of the model is about."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from lossproof.conformance.coverage.cases import FUNCTIONS
from lossproof.conformance.coverage.model import ABSENT, AXES, Cell, is_dense
from lossproof.conformance.judging.case import Array
from lossproof.conformance.judging.charges import (
    DERIVATIVE_TYPES,
    JVP,
    MIXED,
    ORDERS,
    SAME,
    SUBJECTS,
    VALUE_TYPES,
    broken as broken_by,
    concerned,
    plain,
)
from lossproof.conformance.judging.exact import Exact
from lossproof.spec import SCALARS

# By which nothing is said of the derivatives of undefined losses: STATE-3 speaks of rows of the logits gradient alone.
UNTOLD = {*SCALARS, "targets"}
_EXCLUDING = ("below", "far", "beyond 32 bits")
_MAPPING = ("scan", "checkpoint")

# Axes that say how a call is made: the clauses about them are broken whatever deviates.
_WAYS = ("given", "derivative", "transform", "cotangent", "batch")

# What is broken where only the way of differentiating is to blame.
_OF_WAYS = {JVP: "GRAD-8", MIXED: "GRAD-11", **dict.fromkeys(ORDERS, "GRAD-9")}

# By axis: the clauses that its values are about. What is left out is plain.
_BY_AXIS: Mapping[str, Callable[[str], tuple[str, ...]]] = {
    "batch": lambda value: ("SHAPE-4",) if "0" in value.split("x") else ("SHAPE-1",),
    "classes": lambda value: ("STATE-6",) if value == "1" else (),
    "spread": lambda value: {"confident": ("ACC-1",), "offset": ("ACC-2",)}.get(value, ()),
    "masks": lambda _: ("STATE-1", "STATE-2"),
    "special": lambda value: {"huge": ("STATE-4",), "huge apart": ("STATE-4",), "tiny": ("ACC-7",)}.get(
        value, ("STATE-3",)
    ),
    "targets": lambda value: ("VALUE-7", "VALUE-12", "GRAD-6") if is_dense(value) else ("SHAPE-2",),
    "place": lambda value: ("EXCL-2",) if value in _EXCLUDING else ("STATE-2",) if value == "masked" else (),
    "weights": lambda value: ("VALUE-5", "VALUE-6", "GRAD-2") + (("SHAPE-2",) if value != "float32" else ()),
    "weighing": lambda value: ("EXCL-1", "VALUE-5") if value in ("zeros", "minus zero") else ("VALUE-5",),
    "label_smoothing": lambda value: ("VALUE-2", "VALUE-3", "GRAD-4") + (("STATE-7",) if value == "1" else ()),
    "z_loss": lambda value: ("VALUE-4", "GRAD-3") + (("STATE-5",) if value == "0" else ()),
    "factor": lambda _: ("VALUE-5", "GRAD-5"),
    "smoothing": lambda value: ("CONV-2",) if value == "uniform" else (),
    "subtract_entropy": lambda value: ("CONV-2",) if value == "False" else (),
    "logit_softcap": lambda _: ("VALUE-11", "GRAD-12"),
    "also": lambda _: ("VALUE-13", "VALUE-14", "VALUE-15", "GRAD-13"),
    "given": lambda _: ("SHAPE-2",),
    "derivative": lambda value: {
        "vjp twice": ("GRAD-7",),
        "jvp": ("GRAD-8", "DIFF-11"),
        "mixed": ("GRAD-11",),
        "forward over reverse": ("GRAD-9",),
        "reverse over forward": ("GRAD-9",),
    }.get(value, ()),
    "transform": lambda value: (
        ("SPLIT-1", "SPLIT-3")
        if value == "split"
        else ("GRAD-10",)
        if value.startswith("vmap") or value in _MAPPING
        else ("VALUE-9",)
    ),
    "cotangent": lambda value: {"further": ("GRAD-13",), "loss": (), ABSENT: ()}.get(value, ("GRAD-7",)),
}

# What every cell is about, if it compares what they speak of.
_ALWAYS = ("VALUE-8", "GRAD-1", "SHAPE-3", "DIFF-12", "ACC-3", "ACC-5", "ACC-6")
_HARD = {"token": ("VALUE-1",), "weighted": ("VALUE-1", "VALUE-5", "VALUE-6"), "dense": ("VALUE-7",)}


def subjects_of(cell: Cell, compared: Iterable[str]) -> set[str]:
    """What was compared in a cell, in the words of the clauses about the way it was called, too."""
    subjects = set(compared)
    if not subjects:
        return subjects
    transform = cell["transform"]
    if transform.startswith("vmap") or transform in _MAPPING:
        subjects.add("vmap" if transform.startswith("vmap") else transform)
    elif transform != "jit":
        subjects.add(SAME)
    return subjects


def clauses_about(cell: Cell) -> tuple[str, ...]:
    """The clauses that a cell is about."""
    found = [*_ALWAYS, *_HARD[cell["function"]]]
    for axis, clauses in _BY_AXIS.items():
        if cell[axis] != AXES[axis][0] and cell[axis] not in (ABSENT, "none"):
            found += clauses(cell[axis])
    if is_dense(cell["targets"]) or (cell["label_smoothing"] not in (ABSENT, "0")) or cell["logit_softcap"] != ABSENT:
        found = [clause for clause in found if clause != "VALUE-1"]
    if cell["function"] == "dense":
        found = [clause for clause in found if clause != "VALUE-12"]
    elif is_dense(cell["targets"]):
        found = [clause for clause in found if clause != "VALUE-7"]
    if cell["smoothing"] == "uniform" or cell["subtract_entropy"] == "False":
        found = [clause for clause in found if clause not in ("VALUE-2", "VALUE-3")]
    return tuple(dict.fromkeys(found))


def charged(cell: Cell, compared: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """How many comparisons count for each clause that the cell is about, by subject."""
    ledger: dict[str, dict[str, int]] = {}
    for subject in subjects_of(cell, compared):
        count = compared.get(subject, 1)
        for clause in concerned(clauses_about(cell), subject):
            ledger.setdefault(clause, {})[subject] = count
    return ledger


def broken(cell: Cell, subject: str, *, is_small: bool) -> tuple[str, ...]:
    """The clauses that a deviation breaks in a cell that has nothing left but what it needs to be wrong."""
    function = FUNCTIONS[cell["function"]]
    about = clauses_about(cell)
    if is_small:
        named = [clause for clause in about if clause in ("ACC-1", "ACC-2")]
        return tuple(named) or broken_by((), (subject,), function, is_small=True)
    if subject in (VALUE_TYPES, DERIVATIVE_TYPES):
        return (plain(subject, function),)
    special = [
        clause
        for axis, clauses in _BY_AXIS.items()
        if cell[axis] not in (AXES[axis][0], ABSENT)
        for clause in clauses(cell[axis])
        if clause in about and (subject in SUBJECTS[clause] or axis in _WAYS)
    ]
    return tuple(dict.fromkeys(special)) or (plain(subject, function) or _OF_WAYS[subject],)


ALL = tuple(
    dict.fromkeys(
        (
            *_ALWAYS,
            *(clause for clauses in _HARD.values() for clause in clauses),
            *(
                clause
                for axis, clauses in _BY_AXIS.items()
                for value in AXES[axis][1:]
                if value not in (ABSENT, "none")
                for clause in clauses(value)
            ),
        )
    )
)


def unspoken_of(losses: Array, cotangents: Mapping[str, Array], right: Mapping[str, Exact]) -> tuple[str, ...]:
    """The arguments by which there are derivatives of which the specification says nothing."""
    if np.any(np.isnan(losses)):
        return tuple(UNTOLD)
    silent = []
    if "loss" not in cotangents:
        silent.append("label_smoothing")  # GRAD-4 speaks of the loss, whose slope may be infinite
        silent += ["loss_normalizing_factor"] if np.any(np.isinf(losses)) else []  # 0 times an infinite loss
    if "targets" in right and np.any(np.isnan(right["targets"].high)):
        silent.append("targets")  # infinite, of either sign
    return tuple(silent)
