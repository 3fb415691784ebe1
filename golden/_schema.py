"""JSON text to checked values: syntax, format version, schema."""

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from lossproof.golden._errors import GoldenError

FORMAT_VERSION = 2
SCHEMAS = Path(__file__).parent / "schema"
LONGEST = 160  # characters of a schema's complaint that are shown


def parse(content: bytes, kind: str, name: str, *, by_schema: bool = True) -> Any:
    """Returns the value of a JSON text that its schema accepts.

    Args:
      content: the file's bytes.
      kind: the schema: "topic", "manifest" or "model_export".
      name: what to call the file in an error.
      by_schema: whether the schema is asked; not where a digest says that it accepted the same bytes before.

    Raises:
      GoldenError: not JSON, another format version, or not what the schema says.
    """
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except ValueError as error:
        raise GoldenError(
            name, f"expected JSON, got a file that breaks off or is damaged ({error}): restore the file"
        ) from None
    if kind != "model_export" and isinstance(value, dict) and value.get("format_version") != FORMAT_VERSION:
        problem = f"expected format version {FORMAT_VERSION}, got {value.get('format_version')!r}"
        raise GoldenError(name, f"{problem}: use the lossproof that wrote the file, or regenerate the set")
    errors = list(_validator(kind).iter_errors(value)) if by_schema else []
    if errors:
        worst = best_match(errors)
        path = list(worst.absolute_path)
        raise GoldenError(_where(name, value, path), f"expected {_short(worst)}: correct the file or restore it")
    return value


def _refuse(constant: str) -> None:
    """Refuses NaN, Infinity and -Infinity, which Python's JSON has and JSON has not."""
    raise ValueError(f"{constant} is no JSON number")


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _where(name: str, value: Any, path: list[Any]) -> str:
    if path[:1] != ["cases"] or len(path) < 2:
        return name
    case = value["cases"][path[1]]
    return f"{name}: case {case.get('id', f'number {path[1]}') if isinstance(case, dict) else f'number {path[1]}'}"


def _short(error: ValidationError) -> str:
    """What the schema asks for and what came, on one line."""
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path).lstrip(".")
    complaint = error.message if len(error.message) <= LONGEST else f"{error.message[:LONGEST]} ..."
    return f"what {SCHEMAS.name}/ says{f' of {place}' if place else ''}, got: {complaint}"
