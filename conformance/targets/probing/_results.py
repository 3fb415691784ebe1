"""What a function returns: one array, several, a dictionary, or an object with named fields."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Names of results, the specification's word first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "loss": ("loss", "losses", "total_loss", "nll", "cross_entropy"),
    "z_loss": ("z_loss", "zloss"),
    "log_z": ("log_z", "logz", "lse", "logsumexp", "log_normalizer"),
    "weight_sum": ("weight_sum", "weights_sum", "sum_of_weights", "total_weight", "denominator"),
    "target_log_probability": ("target_log_probability",),
    "predicted_class": ("predicted_class",),
    "entropy": ("entropy",),
}
OTHER = "other"  # a result that is none of the specification's


@dataclass(frozen=True)
class Item:
    """One of the results.

    Attributes:
      label: its name; "" if it has none.
      value: what it is.
    """

    label: str
    value: Any


def items_of(result: Any) -> list[Item]:
    """The results in their order; those of a dictionary or an object within a tuple among them."""
    named = _fields(result)
    if named is not None:
        return [Item(str(label), value) for label, value in named.items()]
    if isinstance(result, tuple):
        return [inner for value in result for inner in (items_of(value) if _fields(value) else [Item("", value)])]
    return [Item("", result)]


def place_of(output: str, items: list[Item]) -> int | None:
    """Where an output is, by its name; the loss first of all, if nothing has its name."""
    labels = [item.label.lower() for item in items]
    for alias in NAMES[output]:
        if alias in labels:
            return labels.index(alias)
    return 0 if output == "loss" and items and not labels[0] else None


def is_named(items: list[Item]) -> bool:
    """Whether any result has a name."""
    return any(item.label for item in items)


def reader(outputs: tuple[str, ...], places: tuple[int, ...] | None) -> Callable[[Any], tuple[Any, ...]]:
    """A function that picks these outputs out of what is returned.

    Args:
      outputs: their names.
      places: where they are; None to find them by name.
    """

    def read(result: Any) -> tuple[Any, ...]:
        items = items_of(result)
        found: tuple[int | None, ...] = places or tuple(place_of(output, items) for output in outputs)
        return tuple(None if place is None or place >= len(items) else items[place].value for place in found)

    return read


def _fields(value: Any) -> Mapping[str, Any] | None:
    """The fields of a dictionary or an object that has some; None of anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None
