"""Finished units on disk, so that an interrupted run goes on where it was.

One JSON object a line: what the run is, then each result as it comes. A line that was cut off is no result.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossproof.conformance.judging.result import INTERNAL, Result


class Journal:
    """The results of a run so far.

    Args:
      path: of the file.
      run: what makes results comparable: target, level, seed, versions. A file of another run begins anew.

    Attributes:
      results: those that an earlier run of the same kind has left, by unit.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self._path: Path = path
        self._run: Mapping[str, Any] = json.loads(json.dumps(run))
        self.results: dict[str, Result] = self._left()
        # Written anew, so that neither a line that was cut off nor another run's is in the way of what follows.
        temporary = path.with_name(f"{path.name}.new")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(_line(self._run))
            file.writelines(_line(result.to_json()) for result in self.results.values())
        temporary.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, result: Result) -> None:
        """Keeps a result; it is on disk when this returns."""
        self._file.write(_line(result.to_json()))
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Deletes the file: the run is complete, and written elsewhere."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves the file for the next run."""
        self._file.close()

    def _left(self) -> dict[str, Result]:
        if not self._path.is_file():
            return {}
        first, *rest = self._path.read_bytes().split(b"\n")
        with contextlib.suppress(ValueError):
            if json.loads(first) == self._run:
                found = [_result(line) for line in rest]
                return {result.unit: result for result in found if result and result.verdict != INTERNAL}
        return {}


def _result(line: bytes) -> Result | None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return Result.from_json(json.loads(line))
    return None


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data) + "\n"
