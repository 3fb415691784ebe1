"""Whether memory that a program has freed stays with its process, as glibc's malloc is told when a process starts."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

FRESH, REUSED = "fresh", "reused"
KINDS = (FRESH, REUSED)

# There is one heap, which grows by 2 GB at a time and gives nothing back, and no buffer is mapped beside it. XLA:CPU
# allocates results in threads, and the heap that a thread would have of its own maps what is larger than 64 MB.
_KEEP = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "100000000000",
    "MALLOC_TRIM_THRESHOLD_": "200000000000",
    "MALLOC_TOP_PAD_": "2000000000",
}
_PROBE = 2**26  # bytes


def unavailable(kind: str) -> str | None:
    """Why this platform has no such processes, or None if it has."""
    library = platform.libc_ver()[0]
    if kind == FRESH or library == "glibc":
        return None
    return f"{kind} needs glibc, whose malloc can be told to keep what is freed, got {library or platform.system()}"


def environment(kind: str) -> dict[str, str]:
    """The environment of a process of this kind: ours, but for what malloc is told."""
    others = {name: value for name, value in os.environ.items() if name not in _KEEP}
    # A program that the other kind's process has compiled and stored would have no compile time.
    return others | (_KEEP if kind == REUSED else {}) | {"JAX_ENABLE_COMPILATION_CACHE": "false"}


def is_reused() -> bool:
    """Whether a thread of this process gets memory again that it has freed: its pages are then there already."""
    with ThreadPoolExecutor(1) as thread:
        first, again = (thread.submit(_faults_of_an_array).result() for _ in range(2))
    return again <= first // 2


def page_faults() -> int:
    """How many pages this process has had to fetch from the system so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def last_line(kind: str, script: Path, arguments: Sequence[str]) -> str:
    """Runs a Python script in a process of this kind and returns the last line that it prints.

    Raises:
      SystemExit: it failed, for the reason that it gave.
    """
    command = [sys.executable, str(script), *arguments]
    result = subprocess.run(command, env=environment(kind), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{result.stderr}a process with {kind} memory ended with exit status {result.returncode}")
    return result.stdout.splitlines()[-1]


def _faults_of_an_array() -> int:
    before = page_faults()
    np.ones(_PROBE, np.uint8)
    return page_faults() - before
