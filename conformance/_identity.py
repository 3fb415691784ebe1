"""Asks a target who it is, in a process of its own: one that crashes or hangs when it is loaded ends nothing else."""

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lossproof.conformance.targets import TargetError

_SECONDS = 120.0
_LIBRARIES = ("hypothesis", "jax", "jaxlib", "mpmath", "numpy", "pytest", "pytest-xdist")


def identity(target: str, convention: str, seconds: float | None = None) -> dict[str, Any]:
    """What a target says of itself, and what it runs on.

    Args:
      target: its name.
      convention: words for `parse_convention`.
      seconds: how long it may take; two minutes if None.

    Returns:
      "target", as in the JSON result, and "device".

    Raises:
      TargetError: it cannot be had.
    """
    return _asked("identity", target, convention, seconds)


def convention_hint(target: str, convention: str, seconds: float | None = None) -> str:
    """Which convention fits where the declared one does not; "" where none does, or it cannot be told."""
    try:
        return str(_asked("hint", target, convention, seconds)["hint"])
    except TargetError:
        return ""


def versions() -> dict[str, str]:
    """The libraries that the suite's own answers come from."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # jax is not needed for targets in other languages
            continue
    return found


def _asked(question: str, target: str, convention: str, seconds: float | None) -> dict[str, Any]:
    seconds = _SECONDS if seconds is None else seconds
    with tempfile.TemporaryDirectory(prefix="lossproof-") as folder:
        answer = Path(folder, "answer.json")  # a file: the target may print
        words = [sys.executable, "-m", __name__, question, target, convention, str(answer)]
        try:
            done = subprocess.run(words, capture_output=True, timeout=seconds, check=False)  # noqa: S603  this module
        except subprocess.TimeoutExpired:
            raise TargetError(f"target {target!r} could not be loaded: it did not come back in {seconds:g} s") from None
        if not answer.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise TargetError(
                f"target {target!r} could not be loaded: its process ended with code {done.returncode}"
                + "".join(f", saying: {line}" for line in last)
            )
        found: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    if "error" in found:
        raise TargetError(found["error"])
    return found


def _device() -> str:
    """The kind of device that jax puts arrays on; where the target has not loaded jax, "cpu"."""
    jax = sys.modules.get("jax")
    return "cpu" if jax is None else str(jax.devices()[0].device_kind)


def _answer(question: str, name: str, convention: str) -> dict[str, Any]:
    from lossproof.conformance.targets import describe, hint, load_target, parse_convention

    try:
        target = load_target(name, parse_convention(convention))
        return {"hint": hint(target)} if question == "hint" else {"target": describe(target), "device": _device()}
    except TargetError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    Path(sys.argv[4]).write_text(json.dumps(_answer(*sys.argv[1:4])), "utf-8")
