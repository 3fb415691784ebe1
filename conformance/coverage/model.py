"""What a call of a loss can be, as data: axes, their values, and what excludes what.

A cell is one value for each axis. `cases.py` makes calls of cells; the covering arrays in rows.json choose the cells.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Cell: TypeAlias = Mapping[str, str]

# Written for an argument that is not given, and where an axis has no meaning.
ABSENT = "absent"

HARD = ("int32", "int8", "uint8", "uint16", "uint32", "int64")
DENSE = ("dense float32", "dense bfloat16", "dense float64", "dense bool")
PLACES = ("random", "edge", "tied", "masked", "below", "far", "beyond 32 bits")
MASSES = ("any sum", "one-hot", "negative", "empty")
FORMS = (ABSENT, "traced", "float", "int", "numpy", "array")
FLOATING = ("float32", "bfloat16", "float16", "float64")
MAPPED = ("vmap", "vmap logits", "vmap targets", "vmap weights", "vmap scalars", "scan")
PULLED = ("vjp", "vjp twice")

# The first value of each axis is the plain one, to which a failing cell is simplified.
AXES: Mapping[str, tuple[str, ...]] = {
    "function": ("token", "weighted", "dense"),
    "logits": FLOATING,
    "batch": ("5", "scalar", "1", "0x3", "2x3", "1x3x2", "2x1x2x2", "4100"),
    "classes": ("13", "1", "2", "64", "65", "127", "129", "32128", "131101"),
    "spread": ("normal", "confident", "offset", "ties", "wide"),
    "masks": ("none", "some", "first block", "whole blocks", "all but one"),
    "special": ("none", "nan", "inf", "all masked", "huge", "huge apart", "tiny"),
    "targets": (*HARD, *DENSE),
    "place": (*PLACES, *MASSES),
    "weights": (ABSENT, "float32", "bool", "int8", "int32", "bfloat16", "float64"),
    "weighing": (ABSENT, "ordinary", "negative", "zeros", "minus zero", "huge", "tiny"),
    "label_smoothing": (ABSENT, "0", "tiny", "0.1", "0.5", "1"),
    "label_smoothing form": FORMS,
    "z_loss": (ABSENT, "0", "0.0001", "0.5", "-0.1"),
    "z_loss form": FORMS,
    "factor": (ABSENT, "37", "0.125", "-3"),
    "factor form": FORMS,
    "smoothing": (ABSENT, "others", "uniform"),
    "subtract_entropy": (ABSENT, "True", "False"),
    "logit_softcap": (ABSENT, "small", "large"),
    "also": (ABSENT, "t", "p", "e", "tp", "et", "ep", "ept"),  # their first letters, in the order asked for
    "given": ("numpy", "jax", "fortran", "strided", "read-only", "sharded", "big-endian", "list"),
    "derivative": ("values", "vjp", "vjp twice", "jvp", "forward over reverse", "reverse over forward", "mixed"),
    "transform": ("jit", "eager", *MAPPED, "checkpoint", "donated", "devices", "split", "x64"),
    "cotangent": (ABSENT, "loss", "z_loss", "third", "further", "together"),
    "by": ("all", "logits", "others", "scalars"),  # which arguments are differentiated
}


@dataclass(frozen=True)
class Rule:
    """What a cell must satisfy.

    Attributes:
      axes: that it speaks of.
      holds: of their values, in this order.
      why: what it would mean otherwise.
    """

    axes: tuple[str, ...]
    holds: Callable[..., bool]
    why: str


def is_dense(targets: str) -> bool:
    """Whether targets are weights of all classes."""
    return targets.startswith("dense")


def tokens(batch: str) -> int:
    """How many tokens a batch has."""
    count = 1
    for length in shape_of(batch):
        count *= length
    return count


def shape_of(batch: str) -> tuple[int, ...]:
    """The shape of the tokens."""
    return () if batch == "scalar" else tuple(map(int, batch.split("x")))


def _range(targets: str) -> tuple[int, int]:
    bits = int(targets.removeprefix("u").removeprefix("int"))
    return (0, 2**bits - 1) if targets.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _fits(targets: str, place: str, classes: str) -> bool:
    if is_dense(targets):
        return place in MASSES
    if place not in PLACES:
        return False
    lowest, highest = _range(targets)
    wanted = {"far": int(classes), "below": -1, "beyond 32 bits": 2**33}
    return lowest <= wanted.get(place, 0) <= highest


_SCALARS = ("label_smoothing", "z_loss", "factor")


def _whole(value: str, form: str) -> bool:
    return (value == ABSENT) == (form == ABSENT) and (form != "int" or value in ("0", "1", "37", "-3"))


RULES: tuple[Rule, ...] = (
    *(
        Rule((name, f"{name} form"), _whole, "an argument has a form if it is given; an int is whole")
        for name in _SCALARS
    ),
    Rule(("targets", "place", "classes"), _fits, "the type holds no such number"),
    Rule(("function", "targets"), lambda f, t: f != "dense" or is_dense(t), "the function takes dense targets alone"),
    Rule(
        ("function", "targets"),
        lambda f, t: f == "dense" or t != "dense bool",
        "only floating-point targets are dense here (VALUE-12)",
    ),
    Rule(("targets", "place"), lambda t, p: t != "dense bool" or p in ("one-hot", "any sum", "empty"), "0 and 1 alone"),
    Rule(("function", "weights"), lambda f, w: f == "weighted" or w == ABSENT, "no such argument"),
    Rule(("weights", "weighing"), lambda w, v: (w == ABSENT) == (v == ABSENT), "no weights"),
    Rule(("weights", "weighing"), lambda w, v: w != "bool" or v in ("ordinary", "zeros", ABSENT), "0 and 1 alone"),
    Rule(
        ("weights", "weighing"),
        lambda w, v: not w.startswith("int") or v in ("ordinary", "negative", "zeros", ABSENT),
        "integers alone",
    ),
    Rule(("function", "factor"), lambda f, v: f == "weighted" or v == ABSENT, "no such argument"),
    Rule(("function", "label_smoothing"), lambda f, e: f != "dense" or e == ABSENT, "no such argument"),
    Rule(("function", "z_loss"), lambda f, k: f != "dense" or k != ABSENT, "the argument has no default"),
    *(
        Rule(("function", name), lambda f, v: f != "dense" or v == ABSENT, "no such argument")
        for name in ("smoothing", "subtract_entropy", "logit_softcap")
    ),
    Rule(("function", "also"), lambda f, a: f == "token" or a == ABSENT, "no such argument"),
    Rule(
        ("targets", "label_smoothing"),
        lambda t, e: not is_dense(t) or e in (ABSENT, "0"),
        "dense targets are not smoothed (SHAPE-7)",
    ),
    Rule(
        ("targets", "label_smoothing form"),
        lambda t, form: not is_dense(t) or form in (ABSENT, "float", "int"),
        "with dense targets the smoothing is the constant 0 (SHAPE-7)",
    ),
    Rule(("batch", "classes"), lambda b, v: tokens(b) < 4000 or int(v) <= 65, "more than the level has time for"),
    Rule(("batch", "classes"), lambda b, v: tokens(b) <= 6 or int(v) < 4000 or tokens(b) > 4000, "likewise"),
    Rule(("classes", "masks"), lambda v, m: m == "none" or int(v) > 2, "too few classes to mask"),
    Rule(("classes", "place"), lambda v, p: p not in ("masked", "tied") or int(v) > 1, "one class"),
    Rule(("place", "targets"), lambda p, t: p != "masked" or not is_dense(t), "dense targets have no such place"),
    Rule(("derivative", "cotangent"), lambda d, c: (d in PULLED) == (c != ABSENT), "cotangents are pulled back"),
    Rule(("derivative", "by"), lambda d, b: d in (*PULLED, "jvp") or b == "all", "derivatives are by the logits"),
    Rule(
        ("by", "weights", "targets", "label_smoothing form", "z_loss form", "factor form"),
        lambda b, w, t, *forms: b != "others" or w in FLOATING or t.startswith("dense float") or "traced" in forms,
        "no other argument has derivatives",
    ),
    Rule(
        ("by", "targets", "label_smoothing form", "z_loss form"),
        lambda b, t, *forms: b != "scalars" or set(forms[is_dense(t) :]) == {"traced"},
        "all scalars that there can be",
    ),
    Rule(
        ("by", "function", "factor form"),
        lambda b, f, v: b != "scalars" or f != "weighted" or v == "traced",
        "likewise",
    ),
    Rule(
        ("by", "cotangent"), lambda b, c: b != "scalars" or c in (ABSENT, "loss", "together"), "not all depend on them"
    ),
    Rule(
        ("by", "special"),
        lambda b, s: b != "scalars" or s in ("none", "tiny"),
        "undefined losses have no derivatives by scalars (STATE-3)",
    ),
    Rule(("by", "transform"), lambda b, t: b == "all" or t != "split", "each device has derivatives of all"),
    Rule(("function", "cotangent"), lambda f, c: f != "dense" or c != "third", "two outputs"),
    Rule(("also", "cotangent"), lambda a, c: c != "further" or a not in (ABSENT, "p"), "no such result"),
    Rule(
        ("smoothing", "targets", "label_smoothing"),
        lambda s, t, e: s != "uniform" or is_dense(t) or e not in (ABSENT, "0"),
        "nothing to spread",
    ),
    Rule(
        ("subtract_entropy", "targets", "label_smoothing"),
        lambda s, t, e: s != "False" or is_dense(t) or e not in (ABSENT, "0"),
        "no entropy",
    ),
    Rule(("cotangent", "z_loss"), lambda c, k: c != "z_loss" or k not in (ABSENT, "0"), "its derivatives are 0"),
    Rule(
        ("derivative", "logits"),
        lambda d, x: d != "reverse over forward" or x in ("float32", "float64"),
        "parts have been rounded to 16 bits (GRAD-9)",
    ),
    Rule(("function", "derivative"), lambda f, d: d != "mixed" or f == "weighted", "by weights"),
    Rule(("weights", "derivative"), lambda w, d: d != "mixed" or w in FLOATING, "by weights"),
    Rule(
        ("weighing", "derivative"),
        lambda w, d: w != "tiny" or "over" not in d,
        "products of tiny weights may be flushed on the way (ACC-7)",
    ),
    Rule(
        ("weighing", "special", "derivative"),
        lambda w, s, d: w != "huge" or not s.startswith("huge") or "over" not in d,
        "their product is beyond the largest float (GRAD-9)",
    ),
    Rule(("transform", "weights"), lambda t, w: t != "vmap weights" or w != ABSENT, "no weights"),
    Rule(
        ("transform", "label_smoothing form", "z_loss form", "factor form"),
        lambda t, *forms: t != "vmap scalars" or "traced" in forms,
        "no traced scalar",
    ),
    Rule(("transform", "derivative"), lambda t, d: t != "checkpoint" or d != "values", "nothing to save"),
    Rule(
        ("transform", "derivative"),
        lambda t, d: t != "split" or d in ("values", *PULLED[:1]),
        "values and gradients are what SPLIT speaks of",
    ),
    Rule(("transform", "classes"), lambda t, v: t != "split" or int(v) % 4 == 0, "no equal shares"),
    Rule(("transform", "batch"), lambda t, b: t != "split" or tokens(b) > 0, "no tokens"),
    Rule(
        ("transform", "batch"),
        lambda t, b: t != "devices" or (tokens(b) > 1 and shape_of(b)[0] > 1),
        "nothing to share out",
    ),
    Rule(("transform", "logits"), lambda t, x: t != "x64" or x != "float64", "always so"),
    Rule(
        ("transform", "given"),
        lambda t, g: g in ("numpy", "jax") or t in ("jit", "eager", "x64", "checkpoint"),
        "the transform makes arrays of its own",
    ),
    Rule(("transform", "given"), lambda t, g: t != "donated" or g == "jax", "buffers of the framework are donated"),
    Rule(
        ("transform", "place"),
        lambda t, p: p != "beyond 32 bits" or t in ("eager", "x64"),
        "compiled calls take 32 bits",
    ),
    Rule(("given", "place"), lambda g, p: p != "beyond 32 bits" or g not in ("jax", "sharded", "list"), "32 bits"),
    Rule(
        ("given", "batch"),
        lambda g, b: g != "sharded" or (tokens(b) > 1 and shape_of(b)[0] > 1),
        "nothing to share out",
    ),
    Rule(
        ("given", "transform", "derivative"), lambda g, t, d: g != "list" or (t, d) == ("eager", "values"), "no arrays"
    ),
    Rule(("given", "logits"), lambda g, x: g != "list" or x == "float32", "lists have no type"),
    Rule(("given", "targets"), lambda g, t: g != "list" or t in ("int32", "dense float32"), "lists have no type"),
    Rule(
        ("given", "weights"),
        lambda g, w: g != "list" or w in (ABSENT, "float32", "bool", "int32"),
        "lists have no type",
    ),
    Rule(("given", "batch"), lambda g, b: g != "list" or tokens(b) > 0, "empty lists have no shape"),
    Rule(("given", "classes"), lambda g, v: g != "list" or int(v) < 1000, "more than one writes down"),
    Rule(
        ("given", "transform", "derivative"),
        lambda g, t, d: g != "big-endian" or (t, d) == ("eager", "values"),
        "compiled calls take the byte order of the machine",
    ),
    Rule(("given", "logits"), lambda g, x: g != "big-endian" or x != "bfloat16", "the type has one byte order"),
)

_EVERY_SCALAR = {"label_smoothing": "0.1", "z_loss": "0.5", "label_smoothing form": "traced", "z_loss form": "traced"}
_OF_TOTALS = {"weights": "float32", "weighing": "ordinary", "factor": "37", "factor form": "traced"}
_ARGUMENTS = {
    "weighted": {**_EVERY_SCALAR, **_OF_TOTALS},
    "token": {**_EVERY_SCALAR, "also": "ept"},
    "dense": {"z_loss": "0.5", "z_loss form": "traced"},
}

_PULLED_BACK = {"derivative": "vjp", "cotangent": "together"}
_NOTHING_HIDDEN = {
    "logits": "float32",
    "spread": "normal",
    "masks": "none",
    "special": "none",
    "place": "random",
    "smoothing": "uniform",
    "by": "all",
}

# What the first cells have: three things and more, of which pairs are not enough.
BEGUN: tuple[Cell, ...] = (
    # Frameworks differentiate eager calls in another way than compiled ones: each derivative, every argument given.
    *(
        {"function": function, **arguments, "transform": "eager", "batch": "2x3", "derivative": derivative}
        | ({"cotangent": "together"} if derivative == "vjp" else {})
        for function, arguments in _ARGUMENTS.items()
        for derivative in ("vjp", "jvp", "forward over reverse", "reverse over forward")
    ),
    {"function": "weighted", **_ARGUMENTS["weighted"], "transform": "eager", "batch": "2x3", "derivative": "mixed"},
    # Derivatives of what is summed block by block, values where one thing alone is mapped, the last class beyond 2^17:
    # each with nothing beside it that would hide it.
    {**_NOTHING_HIDDEN, "function": "weighted", **_ARGUMENTS["weighted"], "batch": "4100", **_PULLED_BACK},
    {**_NOTHING_HIDDEN, **_EVERY_SCALAR, "transform": "vmap targets", "derivative": "values"},
    {**_NOTHING_HIDDEN, **_EVERY_SCALAR, "transform": "vmap scalars", "derivative": "values"},
    {**{axis: values[0] for axis, values in AXES.items()}, "classes": "131101", "place": "edge"},
    # The function with dense targets alone has few cells, and converts these itself.
    *(
        {"function": "dense", "targets": targets, "transform": transform}
        for targets in ("dense float64", "dense bfloat16", "dense bool")
        for transform in ("x64", "eager", "jit")
    ),
)

# What level smoke makes pairs of.
CORE: Mapping[str, tuple[str, ...]] = {
    **{name: values[:1] for name, values in AXES.items()},
    "function": AXES["function"],
    "batch": ("5", "scalar", "2x3"),
    "classes": ("13", "129"),
    "masks": ("none", "first block"),
    "special": ("none", "nan"),
    "targets": ("int32", "uint8", "dense float32"),
    "place": ("random", "edge", "below", "any sum"),
    "weights": (ABSENT, "float32", "int32"),
    "weighing": (ABSENT, "ordinary", "zeros"),
    "label_smoothing": (ABSENT, "0.1"),
    "label_smoothing form": (ABSENT, "traced", "float"),
    "z_loss": (ABSENT, "0.5"),
    "z_loss form": (ABSENT, "traced", "float"),
    "factor": (ABSENT, "37"),
    "factor form": (ABSENT, "traced"),
    "logit_softcap": (ABSENT, "small"),
    "also": (ABSENT, "t", "ept"),
    "derivative": ("values", "vjp", "jvp"),
    "transform": ("jit", "eager", "vmap"),
    "cotangent": (ABSENT, "loss", "z_loss", "together"),
}


def cells_of(axes: Mapping[str, Sequence[str]], rows: Iterable[Sequence[int]]) -> tuple[Cell, ...]:
    """The cells of rows that have, for each axis, the index of a value."""
    return tuple({name: axes[name][index] for name, index in zip(axes, row, strict=True)} for row in rows)


def broken_rule(cell: Mapping[str, Any], lacking: Sequence[str] = ()) -> Rule | None:
    """The first rule that a cell, or part of one, does not satisfy; rules about missing axes are left out, and those by
    which a function has or has not the arguments in `lacking`.
    """
    for rule in RULES:
        if rule.axes[0] == "function" and rule.axes[1] in lacking:
            continue
        if all(axis in cell for axis in rule.axes) and not rule.holds(*(cell[axis] for axis in rule.axes)):
            return rule
    return None
