"""Ends a process that hangs or takes too much memory, from outside: a target in C may hold every lock that Python has.

The guard is a process of its own, this file run as a script. It reads "unit<tab>seconds" lines when a unit begins and
empty lines when it has ended; when the time is up, or the process has grown too large, it writes down why and kills it.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

# Files of a run's folder of notes: why processes were killed, and that the run should stop.
REASONS, STOP = "reasons", "stop"

_EVERY = 0.1  # seconds between two looks


class Guard:
    """Watches this process while it runs units.

    Args:
      seconds: for each unit.
      gibibytes: of memory that the process may hold.
      reasons: a file; why the process was killed is appended to it, one JSON object a line.
    """

    def __init__(self, seconds: float, gibibytes: float, reasons: Path) -> None:
        self._seconds: float = seconds
        self._unit: str = ""
        # -I: nothing of the environment or of this folder, so that the target cannot change it.
        words = [sys.executable, "-I", __file__, str(os.getpid()), str(gibibytes), str(reasons)]
        self._process: subprocess.Popen[bytes] = subprocess.Popen(words, stdin=subprocess.PIPE)  # noqa: S603  this file

    @contextlib.contextmanager
    def watching(self, unit: str) -> Iterator[None]:
        """While a unit runs."""
        self._unit = unit
        self.renew()
        try:
            yield
        finally:
            self._unit = ""
            self._tell("\n")

    def renew(self) -> None:
        """Gives the unit its seconds once more: it has many parts, and goes on with another one."""
        if self._unit:
            self._tell(f"{self._unit}\t{self._seconds}\n")

    def close(self) -> None:
        """Lets the guard go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()


def reasons_by_unit(reasons: Path) -> dict[str, str]:
    """Why processes were killed, by the unit that they ran."""
    if not reasons.is_file():
        return {}
    lines = [json.loads(line) for line in reasons.read_text("utf-8").splitlines()]
    return {line["unit"]: line["reason"] for line in lines}


def _held(process: psutil.Process) -> float:
    """The memory that a process holds, in GiB."""
    return process.memory_info().rss / 2**30


def _watch(process: psutil.Process, gibibytes: float, reasons: Path) -> None:
    unit, ends, allowed, read = "", float("inf"), 0.0, b""
    while True:
        if select.select([0], [], [], _EVERY)[0]:
            chunk = os.read(0, 65536)
            if not chunk:
                return
            read += chunk
            *lines, read = read.split(b"\n")
            for line in lines:
                name, _, seconds = line.decode().partition("\t")
                unit, allowed = name, float(seconds or "inf")
                ends = time.monotonic() + allowed
        reason = ""
        if time.monotonic() > ends:
            reason = f"the target did not come back within {allowed:g} s"
        elif unit and _held(process) > gibibytes:
            reason = f"the target took more than {gibibytes:g} GiB of memory"
        if reason:
            with reasons.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"unit": unit, "reason": reason}) + "\n")
            process.kill()
            return


if __name__ == "__main__":
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
        _watch(psutil.Process(int(sys.argv[1])), float(sys.argv[2]), Path(sys.argv[3]))
