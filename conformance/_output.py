"""The folder of a report: what is kept while a run goes on, and the files at its end."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lossproof.conformance._journal import Journal
from lossproof.conformance._result import Result

JOURNAL = "units.jsonl"


class OutputError(Exception):
    """The folder cannot be written to; the message says why."""


class Output:
    """Where the results of a run go.

    Args:
      folder: made if it is not there; None keeps nothing.
      run: what makes results comparable.
      units: the ids of those that the run consists of.

    Attributes:
      finished: results that an earlier, interrupted run has left, by unit.

    Raises:
      OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path | None, run: Mapping[str, Any], units: Iterable[str]) -> None:
        self._folder: Path | None = folder
        self._journal: Journal | None = None
        self.finished: dict[str, Result] = {}
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(folder / JOURNAL, run)
        except OSError as error:
            raise OutputError(f"cannot write to the report folder {str(folder)!r}: {error.strerror}") from error
        wanted = set(units)
        self.finished = {unit: result for unit, result in self._journal.results.items() if unit in wanted}

    def keep(self, result: Result) -> None:
        """Puts a result on disk."""
        if self._journal is not None:
            self._journal.add(result)

    @property
    def advice(self) -> str:
        """What to do after a run that did not end."""
        if self._folder is None:
            return "; with --report FOLDER, what is finished is kept"
        return f"; what is finished is kept in {self._folder}: the same command goes on from there"

    def written(self, document: Mapping[str, Any]) -> list[Path]:
        """Writes the files of a complete run, each at once, and returns their paths.

        Raises:
          OutputError: the folder could not be written to any more.
        """
        if self._folder is None or self._journal is None:
            return []
        from lossproof.conformance.report import html, junit

        contents = {
            "result.json": json.dumps(document, indent=1, allow_nan=False) + "\n",
            "junit.xml": junit(document),
            "report.html": html(document),
        }
        try:
            for name, content in contents.items():
                _replace(self._folder / name, content)
        except OSError as error:
            raise OutputError(f"cannot write to the report folder {str(self._folder)!r}: {error.strerror}") from error
        self._journal.remove()
        return [self._folder / name for name in contents]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._journal is not None:
            self._journal.close()


def _replace(path: Path, content: str) -> None:
    """Writes a file so that at any moment the old or the new one is there, whole."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}-", encoding="utf-8", delete=False
    ) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
