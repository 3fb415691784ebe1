"""A case for people: what it asks and why, and the answers with 20 digits."""

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Context, Decimal
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lossproof.golden._case import Answer, Array, Case, Scalar
from lossproof.golden._numbers import to_hex
from lossproof.golden._recipe import GENERATOR, Recipe

DIGITS = 20
# Of an array longer than ALL, the first FIRST and the last LAST elements are shown.
ALL, FIRST, LAST = 32, 8, 4

Row: TypeAlias = tuple[str, ...]


def show(case: Case, notes: Mapping[str, str]) -> RenderableType:
    """Returns what rich prints of a case; columns that fit into 80 characters.

    Args:
      case: the case.
      notes: by flag, what it says.
    """
    head = Table.grid(padding=(0, 2))
    head.add_column(no_wrap=True)
    head.add_column()
    for label, text in _facts(case, notes):
        head.add_row(label, text)
    inputs = [row for name, value in _flat(case.inputs) for row in _inputs(name, value)]
    cotangents = [row for name, value in case.cotangents.items() for row in _inputs(name, value)]
    answers = [row for name, answer in case.answers.items() for row in _answers(name, answer)]
    gradients = [row for name, answer in case.gradients.items() for row in _answers(name, answer)]
    return Group(
        Text(f"{case.topic} {case.id}", style="bold"),
        Text(case.note),
        head,
        *_table(("input", "value", "exactly"), inputs),
        *_table(("output", "value", "float32"), answers),
        *_table(("cotangent of", "value", "exactly"), cotangents),
        *_table(("derivative by", "value", "float32"), gradients),
    )


def _facts(case: Case, notes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield "function", case.function
    yield "clauses", " ".join(case.clauses)
    for flag in case.flags:
        yield "flag", f"{flag}: {notes[flag]}"
    yield "inputs from", case.provenance
    for name, value in _flat(case.inputs):
        if isinstance(value, Array):
            yield name, f"{value.dtype} {list(value.shape)}{_rule(value)}"
        elif isinstance(value, Scalar):
            yield name, value.dtype


def _rule(array: Array) -> str:
    recipe = array.values
    if not isinstance(recipe, Recipe):
        return ""
    drawn = f"((draw >> {recipe.drop}) + {recipe.offset}) * 2^{recipe.exponent}"
    return f", {GENERATOR} of seed {recipe.seed}: {drawn}, {len(recipe.patches)} patches"


def _flat(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in inputs.items():
        yield from value.items() if isinstance(value, Mapping) else [(name, value)]


def _inputs(name: str, value: Any) -> Iterator[Row]:
    if isinstance(value, str):
        return iter([(name, value, "")])
    numbers, shape = (tuple(value.values), value.shape) if isinstance(value, Array) else ((value.value,), ())
    return _elided(name, shape, [(i, str(x), to_hex(x) if isinstance(x, float) else "") for i, x in enumerate(numbers)])


def _answers(name: str, answer: Answer) -> Iterator[Row]:
    at = range(len(answer.decimal)) if answer.at is None else answer.at
    rounded = ["" for _ in at] if answer.rounded is None else map(to_hex, answer.rounded["float32"])
    rows = [(i, _brief(text), short) for i, text, short in zip(at, answer.decimal, rounded, strict=True)]
    return _elided(name, answer.shape, rows)


def _elided(name: str, shape: tuple[int, ...], rows: list[tuple[int, str, str]]) -> Iterator[Row]:
    """Names the elements, name[i, j], and leaves out the middle of a long array."""
    shown = rows if len(rows) <= ALL else [*rows[:FIRST], *rows[-LAST:]]
    for count, (flat, *cells) in enumerate(shown):
        if count == FIRST and shown is not rows:
            yield "...", f"{len(rows) - FIRST - LAST} more", ""
        yield f"{name}{_index(flat, shape)}", *cells
    total = math.prod(shape)
    if len(rows) < total:
        yield "", f"{len(rows)} of {total} are kept", ""


def _index(flat: int, shape: tuple[int, ...]) -> str:
    indices: list[int] = []
    for length in reversed(shape):
        flat, index = divmod(flat, length)
        indices.insert(0, index)
    return str(indices) if shape else ""


def _brief(decimal: str) -> str:
    """The number to 20 digits; exponents as Python's decimal chooses."""
    number = Decimal(decimal)
    return str(Context(prec=DIGITS).plus(number)).lower() if number.is_finite() else decimal


def _table(header: Row, rows: Iterable[Row]) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in header:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return [Padding(table, (1, 0, 0, 0))] if table.row_count else []
