"""What a module says of the losses in it: its dictionary LOSSPROOF.

LOSSPROOF = {"convention": "uniform no-entropy", "dtypes": ["float32"], "outputs": ["loss", "log_z"]}
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lossproof.conformance._case import DTYPES, OUTPUTS
from lossproof.conformance.targets._convention import parse_convention
from lossproof.conformance.targets._target import TargetError
from lossproof.reference import LOSSPROOF, Convention

FRAMEWORKS = ("jax", "numpy", "torch")
_OUTPUTS = tuple(dict.fromkeys(name for names in OUTPUTS.values() for name in names))


@dataclass(frozen=True)
class Declaration:
    """A declaration, read; the defaults are those of a module that has none.

    Attributes:
      framework: what the arrays belong to, of `FRAMEWORKS`; "" to find out.
      device: where torch is to put them.
      convention: what is computed.
      dtypes: the types of logits that are taken.
      outputs: what the function returns, in this order; () to go by their number.
      scalars_differentiable: whether scalars may be traced; None for the usual.
    """

    framework: str = ""
    device: str = "cpu"
    convention: Convention = LOSSPROOF
    dtypes: tuple[str, ...] = tuple(DTYPES)
    outputs: tuple[str, ...] = ()
    scalars_differentiable: bool | None = None


def declaration_of(name: str, module: Any) -> Declaration:
    """The declaration of a module.

    Raises:
      TargetError: a key or a value that it cannot have.
    """
    given = getattr(module, "LOSSPROOF", {})
    if not isinstance(given, dict):
        raise TargetError(f"target {name!r}: LOSSPROOF must be a dictionary, got {type(given).__name__}")
    read: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _READERS:
            raise TargetError(f"target {name!r}: LOSSPROOF has no key {key!r}: choose from {', '.join(_READERS)}")
        try:
            read[key] = _READERS[key](value)
        except (TargetError, TypeError) as error:
            raise TargetError(f"target {name!r}: LOSSPROOF[{key!r}] {error}") from error
    return Declaration(**read)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a text, got {value!r}")
    return value


def _framework(value: Any) -> str:
    if value not in FRAMEWORKS:
        raise TypeError(f"must be one of {', '.join(FRAMEWORKS)}, got {value!r}")
    return _text(value)


def _convention(value: Any) -> Convention:
    try:
        return parse_convention(_text(value)) or LOSSPROOF
    except TargetError as error:
        raise TargetError(f"has an {error}") from error


def _some_of(known: tuple[str, ...]) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not value or len([k for k in known if k in value]) != len(value):
            raise TypeError(f"must be a list of some of {', '.join(known)}, got {value!r}")
        return tuple(value)

    return read


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be True or False, got {value!r}")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "framework": _framework,
    "device": _text,
    "convention": _convention,
    "dtypes": _some_of(tuple(DTYPES)),
    "outputs": _some_of(_OUTPUTS),
    "scalars_differentiable": _truth,
}
