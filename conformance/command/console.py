"""What the commands share: one line for a wrong use, and a console."""

import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

USAGE = 2  # the exit code of a wrong use, as click has it


def fail_usage(message: str) -> NoReturn:
    """Ends the command with exit code 2 and one line."""
    click.echo(f"lossproof: {message}", err=True)
    sys.exit(USAGE)


def wide_console() -> Console:
    """Standard output, wide enough for the tables also where it is no terminal."""
    return Console(soft_wrap=True, width=max(110, Console().width))


def refuse_unwritable(path: Path) -> None:
    """Ends the command with a usage error if a file could not be written there; what is there stays as it is."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-"):
            pass
    except OSError as error:
        fail_usage(f"{path} cannot be written: {error.strerror}")
    if path.is_dir():
        fail_usage(f"{path} cannot be written: it is a folder")
