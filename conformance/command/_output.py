"""The folder of a report: what is kept while a run goes on, and the files at its end."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lossproof._files import replace_file
from lossproof.conformance.judging.result import Result
from lossproof.conformance.running.journal import Journal


class OutputError(Exception):
    """The folder cannot be written to; the message says why."""


def journal_name(run: Mapping[str, Any]) -> str:
    """A file for each kind of run, so that a narrower one does not take an interrupted one's results."""
    digest = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()
    return f"units-{digest[:12]}.jsonl"


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
            self._journal = Journal(folder / journal_name(run), run)
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
                replace_file(self._folder / name, content)
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
