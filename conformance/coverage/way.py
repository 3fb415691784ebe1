"""How a call is made: what a framework does to it, which derivatives are taken, and what its arguments come in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import Array
from lossproof.conformance.judging.judge import Violation

PLAIN_TRANSFORMS = ("jit", "eager")
PLAIN_DERIVATIVES = ("values", "vjp", "vjp twice")


@dataclass(frozen=True)
class Way:
    """How a call is made.

    Attributes:
      transform: "jit", "eager", "vmap" (of all arrays), "vmap logits" (targets, weights, scalars), "scan",
        "checkpoint", "donated", "devices" (tokens spread over them), "split" (classes), "x64".
      derivative: "values", "vjp", "vjp twice" (the same linearisation), "jvp", "forward over reverse", "reverse over
        forward", "mixed".
      given: what arrays come as: "numpy", "jax", "fortran", "strided", "read-only", "big-endian", "list", "sharded".
      forms: what scalars come as, by argument: "traced", "float", "int", "numpy", "array".
      by: of which floating-point arguments derivatives are taken: "all", "logits", "others", "scalars".
    """

    transform: str = "jit"
    derivative: str = "values"
    given: str = "numpy"
    forms: Mapping[str, str] = field(default_factory=dict)
    by: str = "all"

    def is_by(self, name: str) -> bool:
        """Whether derivatives are taken by this argument."""
        if self.by == "scalars":
            return name in self.forms
        return self.by == "all" or (self.by == "logits") == (name == "logits")

    @property
    def is_mapped(self) -> bool:
        """Whether two calls are made at once."""
        return self.transform.startswith("vmap") or self.transform == "scan"

    def traced(self, inputs: Mapping[str, Any]) -> list[str]:
        """The scalars that are arguments of the program."""
        return [name for name, form in self.forms.items() if form == "traced" and inputs.get(name) is not None]

    def mapped(self, inputs: Mapping[str, Any]) -> list[str]:
        """The arguments that differ between the calls that are made at once; for others none."""
        arrays = [name for name, value in inputs.items() if isinstance(value, np.ndarray)]
        if self.transform in ("vmap", "scan"):
            return arrays
        if self.transform == "vmap scalars":
            return self.traced(inputs)
        return [name for name in arrays if self.transform == f"vmap {name}"]


@dataclass(frozen=True)
class Directions:
    """What a derivative is taken along.

    Attributes:
      cotangents: of the outputs, for each pull-back.
      tangents: of the arguments.
      vector: of the logits' shape.
    """

    cotangents: tuple[Mapping[str, Array], ...] = ()
    tangents: Mapping[str, Array] = field(default_factory=dict)
    vector: Array | None = None


@dataclass(frozen=True)
class Answer:
    """What came of a call.

    Attributes:
      outputs: by name.
      derivatives: for each pull-back the gradients by argument; along tangents those of the outputs; a product as
        "product".
    """

    outputs: dict[str, Array]
    derivatives: tuple[dict[str, Array], ...] = ()

    def copied(self) -> "Answer":
        """The same in arrays of its own: an output may lie where an argument does, which the next call fills anew."""
        outputs, *derivatives = (
            {name: np.array(value) for name, value in each.items()} for each in (self.outputs, *self.derivatives)
        )
        return Answer(outputs, tuple(derivatives))


def given_as(array: Array, given: str) -> Any:
    """A copy of the same numbers in another container or layout."""
    if given == "list":
        return array.tolist()
    if given == "big-endian":
        return array.astype(array.dtype.newbyteorder(">"))
    if given == "fortran" and array.ndim > 1:
        return np.array(array, order="F")
    if given == "strided":
        wide = np.zeros((*array.shape, 2), array.dtype)
        wide[..., 0] = array
        return wide[..., 0]
    copy = array.copy()
    if given == "read-only":
        copy.setflags(write=False)
    return copy


class Buffers:
    """What arrays come in, call after call: where one fits, the buffer of the call before, filled anew.

    So does whoever loads data into buffers of their own; a target that keeps what it made of a buffer gives the old
    answer to new numbers.

    Args:
      laid_out: makes a new container of an array's numbers.
    """

    def __init__(self, laid_out: Callable[[Array], Any]) -> None:
        self._laid_out = laid_out
        self._held: dict[str, Any] = {}

    def filled(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        """The same numbers in containers, by name."""
        return {name: self._filled(name, array) for name, array in arrays.items()}

    def _filled(self, name: str, array: Array) -> Any:
        held = self._held.get(name)
        fresh = self._laid_out(array)
        if not (isinstance(held, np.ndarray) and held.flags.writeable and _kind(held) == _kind(fresh)):
            held = self._held[name] = fresh
        else:
            held[...] = fresh
        return held


def _kind(array: Array) -> tuple[Any, ...]:
    return array.shape, array.dtype, array.strides


def refuse_changed(before: Mapping[str, Array], after: Mapping[str, Any]) -> None:
    """Raises Violation if a call has written to its arguments."""
    for name, array in before.items():
        found = after[name]
        if isinstance(found, np.ndarray) and found.astype(array.dtype).tobytes() != array.tobytes():
            raise Violation(f"the call changed its argument {name}: what is the caller's may be read only")
