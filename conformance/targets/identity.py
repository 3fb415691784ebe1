"""Asks a target who it is, in a process of its own: one that crashes or hangs when it is loaded ends nothing else."""

import functools
import hashlib
import importlib.metadata
import json
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lossproof import conformance, golden, reference, spec
from lossproof.conformance.targets import TargetError

_SECONDS = 120.0
_PACKAGE = "lossproof"
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


def suite() -> str:
    """A hash of the suite's own code and data, which change while somebody works on it though its version does not."""
    digest = hashlib.sha256()
    for package in (spec, reference, golden, conformance):
        for path in sorted(Path(package.__path__[0]).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


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

    before = set(sys.modules)
    try:
        target = load_target(name, parse_convention(convention))
    except TargetError as error:
        return {"error": str(error)}
    if question == "hint":
        return {"hint": hint(target)}
    described = describe(target)
    # The file that was named first: those that it imports may have the same name.
    described["sources"] = modules(set(sys.modules) - before, target.sources) | described["sources"]
    return {"target": described, "device": _device()}


def modules(names: Iterable[str], sources: Sequence[Path]) -> dict[str, str]:
    """The hashes of modules that belong to the user: neither installed, nor the standard library's, nor the suite's.

    Args:
      names: of modules that are loaded.
      sources: files that are known already.

    Returns:
      SHA-256 by path, which is relative to the folder of the first of the sources if the module is in there.
    """
    root = sources[0].parent.resolve() if sources else Path.cwd()
    known = {path.resolve() for path in sources}
    found = {}
    for name in sorted(names):
        file = getattr(sys.modules.get(name), "__file__", None)
        if not isinstance(file, str) or name.partition(".")[0] == _PACKAGE:
            continue
        path = Path(file).resolve()
        if path in known or not path.is_file() or any(path.is_relative_to(folder) for folder in _installed()):
            continue
        label = path.relative_to(root) if path.is_relative_to(root) else path
        found[label.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@functools.cache
def _installed() -> Sequence[Path]:
    """The folders of the standard library and of installed packages."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [Path(path).resolve() for path in (*paths, *site.getsitepackages(), site.getusersitepackages())]


if __name__ == "__main__":
    Path(sys.argv[4]).write_text(json.dumps(_answer(*sys.argv[1:4])), "utf-8")
