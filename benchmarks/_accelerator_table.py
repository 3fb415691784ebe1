"""The stored results of accelerators.py as tables in Markdown, and their place in a document."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from _accelerator_goals import BOTH, DTYPES, VOCABULARIES, Compiled
from _compiled_losses import ARGUMENT, COMPARED, PRODUCT
from _contestants import OURS, PLAIN, SMOOTHED

BEGIN, END = "<!-- accelerators: begin, written by accelerators.py --table -->", "<!-- accelerators: end -->"
_SHORT = {"float32": "f32", "bfloat16": "bf16"}
_MODES = dict(zip(BOTH, ("forward", "with gradient"), strict=True))


def markdown(compiled: Sequence[Compiled], verdicts: Iterable[str]) -> str:
    """The tables.

    Args:
      compiled: what was stored.
      verdicts: "met" or "missed" for each goal.
    """
    given = [each for each in compiled if each[0].source == ARGUMENT and each[0].classes in VOCABULARIES]
    odd = [each for each in compiled if each not in given]
    said = list(verdicts)
    parts = [
        "With smoothing and z-loss; transfers / temporaries in percent, the largest of all V but 50257:",
        _table(given, SMOOTHED, lambda group: group.where),
        "Plain:",
        _table(given, PLAIN, lambda group: group.where),
        "V = 50257, and logits that are a product, with smoothing and z-loss:",
        _table(odd, SMOOTHED, lambda group: f"{group.where}, V = {group.classes}{_SOURCE[group.source]}"),
        f"Goals: {said.count('met')} met, {said.count('missed')} missed.",
    ]
    return "\n\n".join(part for part in parts if part)


_SOURCE = {ARGUMENT: "", PRODUCT: ", product"}


def put(document: Path, text: str) -> None:
    """Replaces what is between the markers.

    Raises:
      ValueError: the document does not have each marker once, in order.
    """
    whole = document.read_text(encoding="utf-8")
    if whole.count(BEGIN) != 1 or whole.count(END) != 1 or whole.index(BEGIN) > whole.index(END):
        raise ValueError(f"{document} must have the lines {BEGIN!r} and {END!r}, once and in this order")
    before, after = whole.partition(BEGIN)[0], whole.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _table(compiled: Sequence[Compiled], setting: str, name: Callable[[Any], str]) -> str:
    """A line for each place, a column for each contestant, mode and type; "" if there is nothing."""
    columns = [(who, mode, dtype) for mode in BOTH for who in COMPARED[setting] for dtype in DTYPES]
    cells: dict[str, dict[tuple[str, str, str], list[dict[str, Any]]]] = {}
    for group, programs in compiled:
        for request, program in programs.items():
            if request.setting == setting:
                key = (request.contestant, request.mode, group.dtype)
                cells.setdefault(name(group), {}).setdefault(key, []).append(program)
    if not cells:
        return ""
    heads = [f"{who if who != OURS else '**' + OURS + '**'} {_MODES[mode]} {_SHORT[t]}" for who, mode, t in columns]
    lines = [["", *heads, "all-reduces"], ["---"] * (len(columns) + 2)]
    for place, found in cells.items():
        ours = [each for key, programs in found.items() if key[0] == OURS for each in programs]
        lines.append([place, *(_cell(found.get(key, [])) for key in columns), _collectives(ours)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(programs: Iterable[dict[str, Any]]) -> str:
    programs = list(programs)
    if not programs:
        return ""
    if any("error" in each for each in programs):
        return "not compiled"
    transfers, temporaries = (max(each[what] for each in programs) for what in ("transfers", "temporaries"))
    return f"{transfers:.2f} / {100 * temporaries:.0f}"


def _collectives(programs: Iterable[dict[str, Any]]) -> str:
    """The most that one program has of each kind, all-reduces as a bare number."""
    most: dict[str, int] = {}
    for each in programs:
        for kind, times in each.get("collectives", {}).items():
            most[kind] = max(times, most.get(kind, 0))
    return ", ".join(str(n) if kind == "all-reduce" else f"{n} {kind}" for kind, n in sorted(most.items()))
