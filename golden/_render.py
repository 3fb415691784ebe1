"""Canonical JSON text: one value, one text, and a diff that a person can read."""

import json
from typing import Any

WIDTH = 120


def render(value: Any) -> str:
    """Returns the JSON text of a value, with a newline at the end.

    What fits into a line is on one line. A longer object has one member a line, a longer array of arrays or objects one
    element a line, and a longer array of numbers or strings as many a line as fit. Members keep their order.
    """
    return _block(value, 0, 0) + "\n"


def _block(value: Any, depth: int, used: int) -> str:
    flat = _flat(value)
    if not isinstance(value, (dict, list)) or not value or depth + used + len(flat) + 1 <= WIDTH:
        return flat
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        members = [
            f"{inner}{_flat(key)}: {_block(member, depth + 1, len(_flat(key)) + 2)}" for key, member in value.items()
        ]
        return "{\n" + ",\n".join(members) + f"\n{outer}}}"
    if any(isinstance(element, (dict, list)) for element in value):
        lines = [inner + _block(element, depth + 1, 0) for element in value]
    else:
        lines = [inner + line for line in _filled([_flat(element) for element in value], WIDTH - len(inner) - 1)]
    return "[\n" + ",\n".join(lines) + f"\n{outer}]"


def _filled(elements: list[str], room: int) -> list[str]:
    lines: list[str] = []
    for element in elements:
        if lines and len(lines[-1]) + 2 + len(element) <= room:
            lines[-1] += f", {element}"
        else:
            lines.append(element)
    return lines


def _flat(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)
