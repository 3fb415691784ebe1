"""What a target is asked: each call whole, so that a failure can be repeated anywhere, also one that ended the process.

A check judges the answers to one draw at a time; the calls that are kept are those made for it, the last one last.
"""

import contextlib
import hashlib
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from lossproof import golden
from lossproof.conformance.judging.case import Case
from lossproof.conformance.targets import Split, Target

# The target's methods that call the loss, with what they take after the case.
METHODS: Mapping[str, tuple[str, ...]] = {
    "call": ("inputs",),
    "values": (),
    "differentiate": ("cotangents",),
    "jvp": ("tangents",),
    "hvp": ("vector", "order"),
    "transformed": ("cotangents", "transform"),
    "split": ("cotangents", "devices"),
    "mixed": ("vector",),
    "perform": ("cotangents", "tangents", "vector", "way"),
}
MOST = 4  # calls of a draw that are kept
LARGEST = 2**16  # elements of an array that are written down; larger ones are told by their hash
_FILE = "calls-"
_RUNNING, _RETURNED = b"1", b"0"


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
      method: a key of `METHODS`.
      case: the function and its arguments.
      further: what the method takes besides, by name.
    """

    method: str
    case: Case
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, method: str, *arguments: Any) -> "Call":
        """The call of a target's method with these arguments."""
        if method == "perform":
            way, cases, (along, *_) = arguments
            pulled = along.cotangents[0] if along.cotangents else {}
            how = f"{way.transform}, {way.derivative}, given as {way.given}"
            return cls(
                method, cases[0], dict(zip(METHODS[method], (pulled, along.tangents, along.vector, how), strict=True))
            )
        case, *rest = arguments
        if method == "call":
            return cls(method, Case(case, dict(rest[0]), traced=False))
        return cls(method, case, dict(zip(METHODS[method], rest, strict=True)))

    def to_json(self) -> dict[str, Any]:
        """As plain data, numbers as in golden vectors."""
        further = dict(self.further)
        split = further.pop("devices", None)
        words = [further.pop(name) for name in ("order", "transform", "way") if name in further]
        words += [_words(split)] if split else []
        vector = further.pop("vector", None)
        return {
            "method": self.method,
            "function": self.case.function,
            "traced": self.case.traced,
            "inputs": _values(self.case.inputs),
            "cotangents": _values(further.get("cotangents", {})),
            "tangents": _values(further.get("tangents", {})),
            "vector": None if vector is None else exact(vector),
            "how": words[0] if words else "",
        }


class Calls:
    """The calls made for what is being judged.

    Args:
      folder: where a file tells of the last call, also after this process has died; None keeps none.

    Attributes:
      unit: whose calls they are.
      renew: called where a unit of many parts goes on with another one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.unit: str = ""
        self.renew: Callable[[], None] = lambda: None
        self._kept: deque[Call] = deque(maxlen=MOST)
        self._is_drawing: bool = False
        self._file: int | None = None
        if folder is not None:
            self._file = os.open(folder / f"{_FILE}{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600)

    def watch(self, target: Target) -> Target:
        """The target, whose calls are noted."""
        return cast("Target", _Watched(target, self))

    def begin_unit(self, unit: str) -> None:
        """Forgets the calls of other units."""
        self.unit = unit
        self._kept.clear()
        self._is_drawing = False

    def begin_draw(self) -> None:
        """Forgets the calls: the next ones are all for one draw."""
        self._kept.clear()
        self._is_drawing = True

    def end_draws(self) -> None:
        """From here on, the calls that belong together are those with the same arguments."""
        self._is_drawing = False

    def to_json(self) -> list[dict[str, Any]]:
        """The calls as plain data."""
        return [call.to_json() for call in self._kept]

    @contextlib.contextmanager
    def noting(self, call: Call) -> Iterator[None]:
        """Keeps a call before it is made, and notes that it returned."""
        if not self._is_drawing and self._kept and self._kept[-1].case is not call.case:
            self._kept.clear()
        self._kept.append(call)
        self._write(call)
        yield
        if self._file is not None:
            os.pwrite(self._file, _RETURNED, 0)

    def _write(self, call: Call) -> None:
        if self._file is None:
            return
        with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):  # an argument of an odd kind
            content = _RUNNING + pickle.dumps((self.unit, call))
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, content, 0)


class _Watched:
    """A target, with a note of each call before it is made."""

    def __init__(self, target: Target, calls: Calls) -> None:
        self._target: Target = target
        self._calls: Calls = calls

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        return partial(self._asked, name, attribute) if name in METHODS else attribute

    def _asked(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        with self._calls.noting(Call.of(name, *arguments)):
            return method(*arguments)


def last_call(folder: Path, unit: str) -> tuple[Call | None, bool]:
    """The last call that a process made which died in a unit, and whether it died in the call."""
    for path in folder.glob(f"{_FILE}*"):
        content = path.read_bytes()
        with contextlib.suppress(Exception):  # cut off
            whose, call = pickle.loads(content[1:])  # noqa: S301  written by our own process
            if whose == unit:
                return call, content[:1] == _RUNNING
    return None, False


def exact(value: Any) -> Any:
    """A value as golden vectors write it; what these have no place for, as text."""
    if isinstance(value, Mapping):
        return _values(value)
    if isinstance(value, float):
        return golden.Scalar("float64", value).to_json()
    if not isinstance(value, np.ndarray | np.generic):
        return value if isinstance(value, str) else repr(value)
    array = np.asarray(value)
    head = {"dtype": array.dtype.name, "shape": list(array.shape)}
    if array.size > LARGEST:
        return head | {"sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}
    try:
        return golden.Array(array.dtype.name, array.shape, tuple(array.ravel().tolist())).to_json()
    except (KeyError, TypeError, ValueError):
        return head | {"text": repr(array.tolist())}


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: exact(value) for name, value in values.items() if value is not None}


def _words(split: Split) -> str:
    where = "by each device" if split.is_inside else "of whole arrays"
    tokens = f", tokens over {split.tokens}" if split.tokens > 1 else ""
    return f"classes over {' x '.join(map(str, split.sizes))} devices{tokens}, derivatives {where}"
