"""The result as a JSON document: what it must look like, and how one is read."""

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend

FORMAT = "lossproof-result-1"
SCHEMA = Path(__file__).parent / "schema" / "result.schema.json"
LONGEST = 200  # characters of a complaint that are shown

Document: TypeAlias = Mapping[str, Any]


class DocumentError(Exception):
    """A document is not a result of this format; the message is one line."""


def validate(document: Any) -> None:
    """Raises DocumentError unless the document is a result as the schema describes it.

    Args:
      document: what `json.load` gives.

    Raises:
      DocumentError: with the JSON path of what is wrong.
    """
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise DocumentError(f"$.format: expected {FORMAT!r}, got {_short(repr(found))}: no result of this version")
    error = best_match(_validator().iter_errors(document))
    if error is not None:
        raise DocumentError(f"{error.json_path}: {_short(error.message)}")


def read(path: Path) -> Document:
    """Returns the result in a file.

    Raises:
      DocumentError: it cannot be read, is not JSON, or not a result.
    """
    try:
        document: Document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{path} is not JSON: {error}") from None
    try:
        validate(document)
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from None
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _is_number(_: object, value: object) -> bool:
    # A document that has not been through JSON yet may hold nan and inf, which the schema language cannot exclude.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@functools.cache
def _validator() -> Validator:
    checker = Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return extend(Draft202012Validator, type_checker=checker)(schema)  # type: ignore[no-untyped-call]


def _short(text: str) -> str:
    """One line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
