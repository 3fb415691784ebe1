"""Tables for a terminal, a file that is there whole or not at all, and what the numbers were obtained with."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lossproof._files import replace_file

LIBRARIES = ("jax", "jaxlib", "numpy", "optax", "torch", "keras")
_WIDTH = 1000  # no table is wider; a terminal's own width would cut columns off in a file


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table; all columns but the first are right-aligned."""
    table = Table(box=SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=_WIDTH, highlight=False).print(Text(f"\n{title}", "bold"), table)


def machine() -> dict[str, Any]:
    """The processor, the number of its cores that are ours, and the versions of what is installed."""
    versions: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")  # Linux; elsewhere `platform` knows
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def store(path: Path, document: dict[str, Any]) -> None:
    """Writes JSON to a file, which a kill leaves as it was or as it is to be; a line for each row of a table."""
    replace_file(path, compact(document))


def compact(document: dict[str, Any]) -> str:
    """JSON with a line for each member, or for each of its rows if it is a list: few lines, which differ apart."""
    members = []
    for name, value in document.items():
        text = _line(value)
        if isinstance(value, list) and value:
            rows = ",\n  ".join(map(_line, value))
            text = f"[\n  {rows}\n ]"
        members.append(f" {_line(name)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
