"""A call of a target as a result tells it, made again: of the target, or of another loss in its place."""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import ml_dtypes  # noqa: F401  numpy learns the name bfloat16 from it
import numpy as np

from lossproof.conformance.coverage.cases import FUNCTIONS, calls
from lossproof.conformance.coverage.way import Answer, Directions, Way
from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.calls import Call
from lossproof.conformance.targets import Split, Target, TargetRaised, Unsupported
from lossproof.spec import SCALARS

RAISED = "raised"  # the name of an answer that is the type of an error
_DERIVATIVES = {
    "values": "values",
    "differentiate": "vjp",
    "transformed": "vjp",
    "jvp": "jvp",
    "mixed": "mixed",
    "forward-over-reverse": "forward over reverse",
    "reverse-over-forward": "reverse over forward",
}
_SPLIT = re.compile(r"classes over ([\d x]+) devices, derivatives (by each device|of whole arrays)")

Answers: TypeAlias = dict[str, Any]


class UnknownCallError(Exception):
    """Not all that a call was made of is written down."""


@dataclass(frozen=True)
class Replay:
    """A call that can be made again.

    Attributes:
      method: a key of `_calls.METHODS`, or "perform".
      cases: its arguments; a way may make several calls at once.
      further: what the method takes besides, as the target's methods take it.
    """

    method: str
    cases: tuple[Case, ...]
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_call(cls, call: Mapping[str, Any]) -> "Replay":
        """From a call of the JSON result.

        Raises:
          UnknownCallError: an array was too large, or of an odd kind.
        """
        method, how = call["method"], call["how"]
        inputs = {name: number(value) for name, value in call["inputs"].items()}
        further: dict[str, Any] = {
            name: {key: number(value) for key, value in call[name].items()}
            for name in ("cotangents", "tangents")
            if call[name]
        }
        if call["vector"] is not None:
            further["vector"] = number(call["vector"])
        if method == "hvp":
            further["order"] = how
        elif method == "transformed":
            further["transform"] = how
        elif method == "split":
            words = _SPLIT.fullmatch(how)
            if words is None:
                raise UnknownCallError(how)
            further["devices"] = Split(tuple(map(int, words[1].split(" x "))), words[2] == "by each device")
        return cls(method, (Case(call["function"], inputs, traced=call["traced"]),), further)

    @classmethod
    def of_cell(cls, cell: Mapping[str, str], seed: int, target: Target) -> "Replay":
        """The calls of a cell of the model, as the suite made them.

        Raises:
          Unsupported: the target lacks the function.
        """
        asked = calls(cell, seed, target.offer(FUNCTIONS[cell["function"]]).outputs)
        return cls("perform", asked.cases, {"way": asked.way, "directions": asked.directions})

    @property
    def is_plain(self) -> bool:
        """Whether another loss can be asked the same without compiling."""
        return self.method != "split" and not (self.method == "perform" and self.further["way"].transform == "split")

    def asked(self, target: Target) -> Answers:
        """What the target itself answers; the type of the error, if it raises one.

        Raises:
          Unsupported: the target cannot be called so.
        """
        return _told(lambda: self._of_method(target, self.further))

    def asked_at_once(self, target: Target) -> Answers:
        """What a loss in JAX answers, uncompiled where that is the same: each of many losses is asked a few times."""
        if self.method in ("call", "split") or not self.is_plain:
            return self.asked(target)
        if self.method == "perform":
            way = self.further["way"]
            eager = replace(way, transform="x64" if way.transform == "x64" else "eager", given="numpy")
            directions = self.further["directions"]
        else:
            eager, directions = self._way(), (self._directions(),)
        return _told(lambda: _named(target.perform(eager, self.cases, directions)))

    def to_json(self) -> dict[str, Any]:
        """The first of its calls, as the JSON result has calls."""
        if self.method != "perform":
            return Call(self.method, self.cases[0], self.further).to_json()
        way, along = self.further["way"], self.further["directions"][0]
        cotangents = along.cotangents[0] if along.cotangents else {}
        method = {"values": "values", "jvp": "jvp", "mixed": "mixed"}.get(way.derivative, "differentiate")
        further = {"cotangents": cotangents, "tangents": along.tangents, "vector": along.vector}
        made = Call(method, self.cases[0], {name: value for name, value in further.items() if value is not None})
        return made.to_json() | {"how": ", ".join(word for word in (way.transform, way.derivative) if word)}

    def _of_method(self, target: Target, further: Mapping[str, Any]) -> Answers:
        case = self.cases[0]
        if self.method == "call":
            found = target.call(case.function, case.inputs)
            results = found if isinstance(found, tuple) else (found,)
            outputs = target.offer(case.function).outputs
            return {name: np.asarray(value) for name, value in zip(outputs, results, strict=False)}
        if self.method == "perform":
            return _named(target.perform(further["way"], self.cases, further["directions"]))
        if self.method == "values":
            return _flat(target.values(case), {})
        if self.method == "jvp":
            return _flat({}, target.jvp(case, further.get("tangents", {})))
        if self.method == "hvp":
            return {"the product": target.hvp(case, further["vector"], further["order"])}
        if self.method == "mixed":
            return {"the product": target.mixed(case, further["vector"])}
        cotangents = further.get("cotangents", {})
        if self.method == "transformed":
            return _flat(*target.transformed(case, cotangents, further["transform"]))
        if self.method == "split":
            return _flat(*target.split(case, cotangents, further["devices"]))
        return _flat(*target.differentiate(case, cotangents))

    def _way(self) -> Way:
        case = self.cases[0]
        form = "traced" if case.traced else "float"
        forms = {name: form for name in SCALARS if case.inputs.get(name) is not None}
        return Way("eager", _DERIVATIVES[self.further.get("order", self.method)], "numpy", forms)

    def _directions(self) -> Directions:
        cotangents = (self.further.get("cotangents", {}),)
        return Directions(cotangents, self.further.get("tangents", {}), self.further.get("vector"))


def number(value: Any) -> Any:
    """The inverse of `_calls.exact`.

    Raises:
      UnknownCallError: not all of it is written down.
    """
    if isinstance(value, str):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    if not isinstance(value, Mapping):
        return value
    if "hex" in value:
        return float.fromhex(value["hex"])
    if "data" in value:
        numbers = [float.fromhex(each) if isinstance(each, str) else each for each in value["data"]]
        return np.array(numbers).astype(np.dtype(value["dtype"])).reshape(value["shape"])
    if "dtype" in value:
        raise UnknownCallError(f"an array of {value['dtype']}")
    return {name: number(inner) for name, inner in value.items()}


def _told(question: Callable[[], Answers]) -> Answers:
    """The answer to a question; where an error is raised, its type."""
    try:
        return question()
    except (Unsupported, UnknownCallError):
        raise
    except (TargetRaised, Violation) as raised:
        return {RAISED: type(raised.__cause__ or raised).__name__}
    except Exception as error:  # noqa: BLE001  whatever a loss raises
        return {RAISED: type(error).__name__}


def _flat(outputs: Mapping[str, Any], derivatives: Mapping[str, Any], mark: str = "") -> Answers:
    found = {f"{name}{mark}": np.asarray(value) for name, value in outputs.items()}
    return found | {f"by {name}{mark}": np.asarray(value) for name, value in derivatives.items()}


def _named(answers: Sequence[Answer]) -> Answers:
    found: Answers = {}
    for number_, answer in enumerate(answers):
        found |= _flat(answer.outputs, {}, f" of call {number_ + 1}" if number_ else "")
        for pull, derivatives in enumerate(answer.derivatives):
            mark = f" of call {number_ + 1}" * bool(number_) + f" in pull-back {pull + 1}" * bool(pull)
            found |= _flat({}, derivatives, mark)
    return found
