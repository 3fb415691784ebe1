"""What the commands share: one line for a wrong use, a console, and files that are there whole or not at all."""

import os
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


def replace_file(path: Path, content: str) -> None:
    """Writes a file so that at any moment the old or the new one is there, whole."""
    prefix = f".{path.name}-"
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=prefix, encoding="utf-8", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def refuse_unwritable(path: Path) -> None:
    """Ends the command with a usage error if a file could not be written there; what is there stays as it is."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-"):
            pass
    except OSError as error:
        fail_usage(f"{path} cannot be written: {error.strerror}")
    if path.is_dir():
        fail_usage(f"{path} cannot be written: it is a folder")
