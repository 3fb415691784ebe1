"""What a module says of the losses in it: its dictionary LOSSPROOF.

LOSSPROOF = {"convention": "uniform no-entropy", "dtypes": ["float32"], "outputs": ["loss", "log_z"]}
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.targets._convention import parse_convention
from lossproof.conformance.targets._limits import Limits, Range
from lossproof.conformance.targets._target import TargetError
from lossproof.conformance.targets.probing._results import OTHER
from lossproof.conformance.targets.probing._signature import ROLES
from lossproof.spec import LOSSPROOF, OUTPUTS, Convention

FRAMEWORKS = ("jax", "numpy", "torch")
REDUCTIONS = ("sum", "mean", "batch_mean")
_INTEGERS = tuple(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u"))
_SPANS = ("multiple_of", "at_least", "at_most")
_OUTPUTS = tuple(dict.fromkeys(name for names in OUTPUTS.values() for name in names))


@dataclass(frozen=True)
class Declaration:
    """A declaration, read; the defaults are those of a module that has none.

    Attributes:
      framework: what the arrays belong to, of `FRAMEWORKS`; "" to find out.
      device: where torch is to put them.
      convention: what is computed.
      dtypes: the types of logits that are taken; None to find out.
      arguments: what parameters are, whose names do not say it, in the specification's words.
      reduction: how a batch becomes one number, of `REDUCTIONS`; "" to find out.
      limits: which calls are taken otherwise; None to find out.
      outputs: what the function returns, in this order; () to go by their number.
      scalars_differentiable: whether scalars may be traced; None for the usual.
    """

    framework: str = ""
    device: str = "cpu"
    convention: Convention = LOSSPROOF
    dtypes: tuple[str, ...] | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    reduction: str = ""
    limits: Limits | None = None
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


def _one_of(known: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in known:
            raise TypeError(f"must be one of {', '.join(known)}, got {value!r}")
        return _text(value)

    return read


def _outputs(value: Any) -> tuple[str, ...]:
    """The results in their order; those that are none of the specification's may be several."""
    named = [name for name in value if name != OTHER] if isinstance(value, list | tuple) else value
    _some_of((*_OUTPUTS, OTHER))(named)
    return tuple(value)


def _arguments(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"must be a dictionary of parameters, got {value!r}")
    wrong = [word for word in value.values() if word not in ROLES]
    if wrong or len(set(value.values())) < len(value):
        raise TypeError(f"must say what each parameter is, of {', '.join(ROLES)}, each once, got {value!r}")
    return value


def read_limits(value: Any) -> Limits:
    """Limits from a declaration.

    Raises:
      TypeError: there are none of this form; the message says what they must be.
    """
    read: dict[str, Callable[[Any], Any]] = {
        "classes": _span,
        "tokens": _span,
        "ranks": _ranks,
        "targets": _some_of(_INTEGERS),
        "masks": _truth,
    }
    if not isinstance(value, dict) or any(key not in read for key in value):
        raise TypeError(f"must be a dictionary with some of {', '.join(read)}, got {value!r}")
    return Limits(**{key: read[key](given) for key, given in value.items()})


def _span(value: Any) -> Range:
    good = isinstance(value, dict) and all(key in _SPANS and type(n) is int and n >= 1 for key, n in value.items())
    if not good:
        raise TypeError(f"must have numbers above 0 for some of {', '.join(_SPANS)}, got {value!r}")
    span = Range(**value)
    if not span.has(span.nearest(0)):
        raise TypeError(f"must leave a number that is taken, got {value!r}")
    return span


def _ranks(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value or not all(type(n) is int and n >= 0 for n in value):
        raise TypeError(f"must be a list of numbers of axes, such as [1], got {value!r}")
    return tuple(value)


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
    "framework": _one_of(FRAMEWORKS),
    "device": _text,
    "convention": _convention,
    "dtypes": _some_of(tuple(DTYPES)),
    "outputs": _outputs,
    "arguments": _arguments,
    "reduction": _one_of(REDUCTIONS),
    "limits": read_limits,
    "scalars_differentiable": _truth,
}
