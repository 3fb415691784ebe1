"""The calls of a failure as text: numbers in decimal, and the same in exact bits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SHOWN = 8  # elements of an array
_DIGITS = {"bfloat16": 4, "float16": 5, "float32": 9, "float64": 17}  # enough to come back the same
_METHODS = {
    "call": "a plain call",
    "values": "values",
    "differentiate": "values and gradients",
    "jvp": "directional derivatives",
    "hvp": "a Hessian-vector product",
    "transformed": "values and gradients",
    "split": "values and gradients",
    "mixed": "the mixed derivative",
}


def shown(calls: Sequence[Mapping[str, Any]]) -> str:
    """The calls, the last one first, without those that only repeat its arguments; "" if there are none."""
    if not calls:
        return ""
    *before, last = calls
    others = [
        call for place, call in enumerate(before) if call["inputs"] not in [c["inputs"] for c in calls[place + 1 :]]
    ]
    parts = ["\n".join(_lines(last)), *("before it, " + "\n".join(_lines(call)) for call in reversed(others))]
    return "\n".join(parts)


def answered(answer: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    """What came of a call, and what is right, as lines."""
    for word, values in (("gave", answer), ("right is", right)):
        for name, value in values.items():
            yield from _line(f"{word} {name}", value)


def size(calls: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The number of logits and of classes, by which simple calls sort before large ones; infinite without a call."""
    shapes = [call["inputs"]["logits"]["shape"] for call in calls if "shape" in call["inputs"].get("logits", ())]
    sizes = []
    for shape in shapes:
        elements = 1
        for length in shape:
            elements *= length
        sizes.append((float(elements), float(shape[-1]) if shape else 0.0))
    return max(sizes, default=(float("inf"), float("inf")))


def _lines(call: Mapping[str, Any]) -> Iterator[str]:
    how = f" ({call['how']})" if call["how"] else ""
    yield f"{_METHODS.get(call['method'], call['method'])} of {call['function']}{how}"
    further = [(f"cotangent of {name}", value) for name, value in call["cotangents"].items()]
    further += [(f"tangent of {name}", value) for name, value in call["tangents"].items()]
    further += [("vector", call["vector"])] if call["vector"] is not None else []
    for name, value in (*_flat(call["inputs"]), *further):
        yield from _line(name, value)


def _line(name: str, value: Any) -> Iterator[str]:
    head, decimals, bits = _number_texts(value)
    yield f"  {name}{' ' if head else ''}{head} = {decimals}"
    if bits != decimals:
        yield f"    exactly {bits}"


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arguments; those of a batch one by one."""
    for name, value in values.items():
        if isinstance(value, Mapping) and "dtype" not in value:
            yield from ((f"{name}[{inner!r}]", part) for inner, part in value.items())
        else:
            yield name, value


def _number_texts(value: Any) -> tuple[str, str, str]:
    """Type and shape, the numbers in decimal, and in bits."""
    if not isinstance(value, Mapping):
        return "", str(value), str(value)
    dtype = value["dtype"]
    if "hex" in value:
        return "", _decimal(value["hex"], dtype), value["hex"]
    head = f"{dtype}{value['shape']}"
    if "data" not in value:
        known = f"too large to be written down, sha256 {value['sha256']}" if "sha256" in value else value["text"]
        return head, known, known
    data = value["data"]
    more = f", ... ({len(data)} in all)" if len(data) > _SHOWN else ""
    decimals = ", ".join(_decimal(number, dtype) for number in data[:_SHOWN]) + more
    return head, decimals, ", ".join(str(number) for number in data[:_SHOWN]) + more


def _decimal(number: Any, dtype: str) -> str:
    if not isinstance(number, str):
        return str(number)
    value = float.fromhex(number)
    return f"{value:.{_DIGITS[dtype]}g}"
