"""What a target prints goes to a file: never into the summary, nor between the processes of a run."""

import contextlib
import os
import sys
from pathlib import Path

_FILE = "stderr-"
_LARGEST = 2**20  # bytes that are kept of it
_LONGEST = 300  # characters of a line that a message quotes


class Noise:
    """Takes this process's standard output and error, for as long as it lives.

    Args:
      folder: where a file keeps what comes on standard error, also after the process has died.
    """

    def __init__(self, folder: Path) -> None:
        self._path: Path = folder / f"{_FILE}{os.getpid()}"
        self.contain()

    def contain(self) -> None:
        """Takes them, again if the target has closed or replaced them; forgets what came before if it is much."""
        mode = os.O_TRUNC if self._path.is_file() and self._path.stat().st_size > _LARGEST else 0
        for number, path, flags in (
            (1, Path(os.devnull), os.O_WRONLY),
            (2, self._path, os.O_WRONLY | os.O_APPEND | mode),
        ):
            opened = os.open(path, flags | os.O_CREAT, 0o600)
            if opened != number:  # which it is, where the target has closed it
                os.dup2(opened, number)
                os.close(opened)
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1, errors="replace", closefd=False) for fd in (1, 2))


def last_words(folder: Path, process: int) -> str:
    """The last line that a process wrote on standard error."""
    with contextlib.suppress(OSError):
        text = Path(folder, f"{_FILE}{process}").read_bytes()[-_LARGEST:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:_LONGEST] if lines else ""
    return ""
