"""What goes over the wire to a program and back, as docs/exec-protocol.md says: declarations, numbers, arrays."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema
import numpy as np

from lossproof.conformance.judging.case import DTYPES, Array
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets._target import Arrays
from lossproof.conformance.targets.probing.declaration import REDUCTIONS
from lossproof.conformance.targets.programs.program import ProgramError
from lossproof.spec import ARGUMENTS, KEYWORDS, OUTPUTS, SCALARS

PROTOCOL = 1

# What a program can have. Further results are left out, as one of them is no float, and so are axes of devices.
OFFERED = {
    name: ARGUMENTS[name] + tuple(word for word in KEYWORDS[name] if word not in ("also", "axis_name"))
    for name in OUTPUTS
}
DIFFERENTIABLE = ("logits", "targets", "weights", *SCALARS)


def read_answer(line: bytes, expected: int | None) -> Mapping[str, Any]:
    """The JSON object on a line.

    Raises:
      ProgramError: it is none, or its id is not the expected one.
    """
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        text = line[:100].decode(errors="replace")
        raise ProgramError(f"wrote {text!r}, which is no JSON object: stdout is for answers, write logs to stderr")
    if answer.get("id") != expected:
        raise ProgramError(f"gave its answer the id {answer.get('id')!r}, expected {expected!r}")
    return answer


def check_declaration(declaration: Mapping[str, Any]) -> None:
    """Raises ProgramError if the answer to hello is of another protocol, or not as the schema below."""
    spoken = declaration.get("protocol")
    if spoken != PROTOCOL:
        raise ProgramError(f"answered hello with the protocol {spoken!r}, but this suite speaks {PROTOCOL}")
    errors = jsonschema.Draft202012Validator(_DECLARATION).iter_errors(declaration)
    error = jsonschema.exceptions.best_match(errors)
    if error is not None:
        raise ProgramError(f"answered hello with something wrong at {error.json_path}: {one_line(error.message)}")


def encode(value: Any) -> Any:
    """An argument as JSON: numbers exact, arrays flat; what is not finite as text that most languages read."""
    if isinstance(value, str | bool):
        return value
    array = np.asarray(value)
    flat = array.ravel() if array.dtype.kind in "iu" else array.ravel().astype(np.float64)
    numbers = [x if math.isfinite(x) else _special(x) for x in flat.tolist()]
    return numbers if array.ndim else numbers[0]


def decode(member: str, answer: Mapping[str, Any], expected: Mapping[str, tuple[tuple[int, ...], str]]) -> Arrays:
    """The arrays of an answer.

    Args:
      member: "outputs" or "gradients".
      answer: of the program.
      expected: shapes and types by name.

    Returns:
      Each in the type expected if all its numbers belong to it, else in float64: JSON knows no types.

    Raises:
      Violation: there are others, or they are of another shape.
    """
    found = answer.get(member)
    if not isinstance(found, dict) or set(found) != set(expected):
        got = ", ".join(found) or "none" if isinstance(found, dict) else "no such member"
        raise Violation(f"the answer's {member} must be {', '.join(expected)}, got {one_line(got)}")
    return {name: _array(name, found[name], shape, dtype) for name, (shape, dtype) in expected.items()}


def one_line(text: Any) -> str:
    """What a program said, fit for a message."""
    return " ".join(str(text).split())[:300]


def _special(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _array(name: str, found: Any, shape: tuple[int, ...], dtype: str) -> Array:
    if isinstance(found, list) != bool(shape):
        wanted, got = ("a list", "one value") if shape else ("one number", "a list")
        raise Violation(f"{name} must be {wanted}, for the shape {shape}, got {got}")
    numbers = found if shape else [found]
    if len(numbers) != math.prod(shape):
        raise Violation(f"{name} must have {math.prod(shape)} numbers, for the shape {shape}, got {len(numbers)}")
    floats = np.array([_number(name, number) for number in numbers], np.float64).reshape(shape)
    with np.errstate(all="ignore"):
        typed = floats.astype(DTYPES[dtype])
    return typed if np.array_equal(typed.astype(np.float64), floats, equal_nan=True) else floats


def _number(name: str, found: Any) -> float:
    """A JSON number, or the name of what JSON has no number for, as most languages write it."""
    if isinstance(found, float) or (type(found) is int and abs(found) < 2**1023):
        return float(found)
    if isinstance(found, str) and found.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float(found)
    raise Violation(f'{name} must be numbers, "NaN", "Infinity" or "-Infinity", got {one_line(json.dumps(found))}')


def _names(allowed: Sequence[str], *required: str, at_least: int = 1) -> dict[str, Any]:
    """The schema of a list of names."""
    needed = [{"contains": {"const": name}} for name in required]
    schema = {"type": "array", "items": {"enum": list(allowed)}, "uniqueItems": True, "minItems": at_least}
    return schema | ({"allOf": needed} if needed else {})


def _object(properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_FUNCTIONS = {
    name: _object(
        {
            "outputs": _names(OUTPUTS[name]),
            "arguments": _names(OFFERED[name], "logits", "targets"),
            "required": _names(ARGUMENTS[name][2:], at_least=0),
        },
        ["outputs", "arguments"],
    )
    for name in OUTPUTS
}
_DECLARATION = _object(
    {
        "protocol": {"const": PROTOCOL},
        "name": {"type": "string"},
        "functions": _object(_FUNCTIONS) | {"minProperties": 1},
        "dtypes": _names(tuple(DTYPES)),
        "convention": {"type": "string"},
        "reduction": {"enum": list(REDUCTIONS)},
        "limits": {"type": "object"},
        "derivatives": _names(DIFFERENTIABLE, at_least=0),
        "packages": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    ["protocol", "functions", "dtypes"],
)
