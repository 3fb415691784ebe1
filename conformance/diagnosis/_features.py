"""What a call is like, for telling those that fail from those that pass."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lossproof.conformance.coverage.cases import FUNCTIONS
from lossproof.conformance.coverage.model import ABSENT, FLOATING, MAPPED, is_dense, shape_of
from lossproof.conformance.judging.result import FAIL, PASS

# What is known of a call: "V", "N", "rank", and the axes of the model by name.
Facts: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Feature:
    """A property that a call has or lacks.

    Attributes:
      has: that it has it, as the end of "where ...".
      lacks: that it lacks it.
      axes: the facts that decide it.
      holds: whether it does, of these facts.
    """

    has: str
    lacks: str
    axes: tuple[str, ...]
    holds: Callable[..., bool]

    def of(self, facts: Facts) -> bool | None:
        """Whether a call has it; None where that is not known."""
        if any(axis not in facts for axis in self.axes):
            return None
        return bool(self.holds(*(facts[axis] for axis in self.axes)))


def of_cell(cell: Mapping[str, str]) -> Facts:
    """What is known of the calls of a cell."""
    shape = shape_of(cell["batch"])
    return {**cell, "V": int(cell["classes"]), "N": math.prod(shape), "rank": len(shape)}


def of_call(call: Mapping[str, Any]) -> Facts:
    """What is known of a call of the JSON result; nothing where its logits are not written down."""
    inputs, method = call["inputs"], call["method"]
    logits, targets = inputs.get("logits", {}), inputs.get("targets", {})
    if method not in _DERIVATIVES or "data" not in logits or "data" not in targets:
        return {}
    *shape, classes = logits["shape"]
    numbers = set(logits["data"])
    dense = targets["shape"] == logits["shape"]
    outside = [] if dense else [n for n in targets["data"] if isinstance(n, int) and not 0 <= n < classes]
    facts = {
        "function": _FUNCTIONS.get(call["function"], call["function"]),
        "logits": logits["dtype"],
        "V": classes,
        "N": math.prod(shape),
        "rank": len(shape),
        "masks": "some" if "-inf" in numbers else "none",
        "special": "nan" if numbers & {"nan", "inf"} else "none",
        "targets": f"dense {targets['dtype']}" if dense else targets["dtype"],
        "place": ("below" if min(outside) < 0 else "above") if outside else "random",
        "derivative": _DERIVATIVES[method],
        "weights": inputs["weights"]["dtype"] if "weights" in inputs else ABSENT,
    }
    for name in ("label_smoothing", "z_loss", "logit_softcap", "smoothing", "also"):
        value = inputs.get(name, ABSENT)
        facts[name] = f"{float.fromhex(value['hex']):g}" if "hex" in value else str(value)
    return facts


def of_cells(entries: Iterable[Mapping[str, Any]]) -> list[tuple[Facts, bool]]:
    """The cells that were judged, and whether they fail; what was not possible says nothing."""
    return [(of_cell(e["cell"]), e["verdict"] == FAIL) for e in entries if e["verdict"] in (PASS, FAIL)]


def _is(axis: str, value: str, has: str, lacks: str = "") -> Feature:
    return Feature(f"where {has}", f"where {lacks}" if lacks else "elsewhere", (axis,), lambda found: found == value)


def _in(axis: str, values: Iterable[str], has: str, lacks: str = "") -> Feature:
    chosen = frozenset(values)
    return Feature(f"where {has}", f"where {lacks}" if lacks else "elsewhere", (axis,), lambda found: found in chosen)


def _size(name: str, has: str, lacks: str, holds: Callable[[int], bool]) -> Feature:
    return Feature(f"where {has}", f"where {lacks}", (name,), holds)


def _multiple(of: int) -> Feature:
    return _size("V", f"V is a multiple of {of}", "V is no multiple of it", lambda v: v % of == 0)


def _beyond(name: str, limit: int, text: str = "") -> Feature:
    text = text or str(limit)
    return _size(name, f"{name} > {text}", f"{name} <= {text}", lambda n: n > limit)


_FUNCTIONS = {name: short for short, name in FUNCTIONS.items()}
_DERIVATIVES = {
    "values": "values",
    "differentiate": "vjp",
    "jvp": "jvp",
    "mixed": "mixed",
    "hvp": "forward over reverse",
}
_SECOND = ("forward over reverse", "reverse over forward", "mixed")
_TRACED = ("label_smoothing form", "z_loss form", "factor form")

FEATURES: tuple[Feature, ...] = (
    # Plain ones first: of those that separate equally well the first is told.
    _is("function", "token", "the losses of tokens are asked for", "others are asked for"),
    _is("function", "weighted", "a batch's total is asked for", "no total is asked for"),
    _is("function", "dense", "cross_entropy_with_logits is called", "another function is called"),
    *(_is("logits", name, f"logits are {name}", f"they are not {name}") for name in FLOATING),
    _in("logits", ("bfloat16", "float16"), "logits have 16 bits", "they have more"),
    _size("V", "V = 1", "V > 1", lambda v: v == 1),
    *map(_multiple, (128, 64, 8, 2)),
    *(_beyond("V", limit) for limit in (2, 8, 64, 128, 257, 1024, 4099, 32128)),
    _beyond("V", 2**16, "2^16"),
    _beyond("V", 2**17, "2^17"),
    _size("N", "the batch is empty", "it is not empty", lambda n: n == 0),
    _size("N", "N = 1", "N is not 1", lambda n: n == 1),
    _size("N", "N is a multiple of 8", "N is no multiple of it", lambda n: n % 8 == 0),
    _beyond("N", 4096),
    _size("rank", "logits have one axis", "they have more", lambda rank: rank == 0),
    _size("rank", "the batch has one axis", "it has another number of axes", lambda rank: rank == 1),
    _beyond("rank", 1),
    _is("masks", "none", "no logit is -inf", "logits are masked with -inf"),
    *(_is("masks", word, f"{word} of the classes is masked") for word in ("first block", "all but one")),
    _is("special", "none", "every logit is ordinary", "a logit is NaN, infinite, huge or tiny, or all are masked"),
    *(_is("special", word, f"a token's logits are {word}") for word in ("all masked", "huge", "huge apart", "tiny")),
    _in("special", ("nan", "inf"), "a logit is NaN or infinite", "none is"),
    *(
        _is("spread", word, f"logits are {word}", f"they are not {word}")
        for word in ("confident", "offset", "ties", "wide")
    ),
    Feature("where targets are weights of all classes", "where they are class numbers", ("targets",), is_dense),
    _in("targets", ("int64", "uint64"), "targets have 64 bits", "they have fewer"),
    _in("targets", ("uint8", "uint16", "uint32", "uint64"), "targets are unsigned", "they are not"),
    _in("targets", ("int8", "uint8", "int16", "uint16"), "targets have 8 or 16 bits", "they have more"),
    _in("place", ("below", "above", "far", "beyond 32 bits"), "a target is out of range", "all targets are in range"),
    _is("place", "below", "a target is below 0", "none is"),
    _in("place", ("above", "far", "beyond 32 bits"), "a target is V or more", "none is"),
    *(
        _is("place", word, f"the target is {word}", "it is not")
        for word in ("first", "last", "maximum", "tied", "masked")
    ),
    _in("place", ("any sum", "negative", "empty"), "dense targets do not add up to 1", "they do"),
    _is("weights", ABSENT, "no weights are given", "weights are given"),
    _in("weights", ("bool", "int8", "int32"), "weights are whole numbers", "they are not"),
    _in("weights", ("bfloat16", "float16"), "weights have 16 bits", "they have not"),
    _in("weighing", ("zeros", "minus zero"), "a weight is 0", "no weight is 0"),
    _is("weighing", "negative", "weights are negative", "none is"),
    _in("weighing", ("huge", "tiny"), "weights are huge or tiny", "they are not"),
    _in("label_smoothing", (ABSENT, "0"), "label_smoothing is 0 or not given", "label_smoothing > 0"),
    _is("label_smoothing", ABSENT, "no label_smoothing is given", "it is given"),
    _is("label_smoothing", "1", "label_smoothing is 1", "it is less"),
    _in("z_loss", (ABSENT, "0"), "z_loss is 0 or not given", "z_loss is not 0"),
    _is("z_loss", ABSENT, "no z_loss is given", "it is given"),
    _is("z_loss", "-0.1", "z_loss is negative", "it is not"),
    _is("factor", ABSENT, "no loss_normalizing_factor is given", "a loss_normalizing_factor is given"),
    _is("factor", "-3", "the factor is negative", "it is not"),
    Feature("where a scalar is traced", "where none is", _TRACED, lambda *forms: "traced" in forms),
    Feature("where a scalar is an array", "where none is", _TRACED, lambda *forms: "array" in forms),
    _is("smoothing", "uniform", "smoothing is uniform", "it is not"),
    _is("subtract_entropy", "False", "the entropy is not subtracted", "it is subtracted"),
    _is("logit_softcap", ABSENT, "there is no logit_softcap", "there is a logit_softcap"),
    _is("also", ABSENT, "no further results are asked for", "further results are asked for"),
    _is("derivative", "values", "no derivative is taken", "a derivative is taken"),
    _in("derivative", ("vjp", "vjp twice"), "cotangents are pulled back", "none are"),
    _is("derivative", "vjp twice", "cotangents are pulled back twice", "they are not"),
    _is("derivative", "jvp", "derivatives are taken forward", "they are not"),
    _in("derivative", _SECOND, "second derivatives are taken", "they are not"),
    _is("cotangent", "z_loss", "the cotangent is of z_loss alone", "it is not"),
    _is("cotangent", "third", "the cotangent is of the third output alone", "it is not"),
    _is("by", "all", "derivatives are by all arguments", "they are by some of them"),
    _is("transform", "eager", "the call is not compiled", "it is compiled"),
    _in("transform", MAPPED[:-1], "the call is mapped", "it is not"),
    *(
        _is("transform", word, f"the call goes through {word}", "it does not")
        for word in ("scan", "checkpoint", "donated", "x64")
    ),
    _in("transform", ("devices", "split"), "there are several devices", "there is one device"),
    *(
        _is("given", word, f"arrays are {word}", "they are not")
        for word in ("jax", "sharded", "fortran", "strided", "read-only", "big-endian", "list")
    ),
)
