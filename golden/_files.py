"""The set on disk, and how it is replaced so that whoever reads it finds the whole old set or the whole new one.

The manifest decides. A file's content is the one with the manifest's hash, in NAME.json or, while the set is being
replaced, in NAME.json.next. `replace_set` therefore works in three steps:

1. what the new set needs and does not have is written to NAME.json.next, and a file that it drops is renamed to that;
2. manifest.json is replaced, in one rename: before it the old set holds, after it the new one;
3. each NAME.json.next that the manifest lists is renamed to NAME.json, and the others are removed.

Whatever step a kill interrupts, `Manifest.content` finds every file that the manifest lists, and the next `replace_set`
ends the work. One process at a time may write.
"""

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossproof.golden._errors import GoldenError
from lossproof.golden._render import render
from lossproof.golden._schema import FORMAT_VERSION, parse

VECTORS = Path(__file__).parent / "vectors"
MANIFEST = "manifest.json"
NEXT = ".next"
NOT_VECTORS = {MANIFEST, "__init__.py", "__pycache__"}


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a file."""

    cases: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files that make up the set.

    Attributes:
      directory: where they are.
      files: by name, what is expected of each.
    """

    directory: Path
    files: Mapping[str, Entry]

    @classmethod
    def of(cls, directory: Path, contents: Mapping[str, bytes], cases: Mapping[str, int]) -> "Manifest":
        """Returns the manifest of these files with these numbers of cases."""
        return cls(directory, {name: Entry(cases[name], digest(content)) for name, content in contents.items()})

    def content(self, name: str) -> bytes:
        """Returns the bytes of a file of the set.

        Raises:
          GoldenError: it is missing, or is not the one the manifest describes.
        """
        paths = (self.directory / name, self.directory / (name + NEXT))
        found = [path.read_bytes() for path in paths if path.is_file()]
        for content in found:
            if digest(content) == self.files[name].sha256:
                return content
        if not found:
            raise GoldenError(
                name, "expected this file, which the manifest lists, and it is missing: restore it or regenerate"
            )
        problem = f"expected SHA-256 {self.files[name].sha256}, got {digest(found[0])}"
        raise GoldenError(name, f"{problem}: the file was changed or damaged, restore it or regenerate")

    @property
    def total(self) -> int:
        """The number of cases in all files together."""
        return sum(entry.cases for entry in self.files.values())

    def to_bytes(self) -> bytes:
        """Returns the text of manifest.json."""
        files = {
            name: {"cases": self.files[name].cases, "sha256": self.files[name].sha256} for name in sorted(self.files)
        }
        return render({"format_version": FORMAT_VERSION, "total": self.total, "files": files}).encode("ascii")


def read_manifest(directory: Path) -> Manifest:
    """Returns the manifest of a directory.

    Raises:
      GoldenError: it is missing, damaged, of another format version, or contradicts itself.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise GoldenError(
            MANIFEST, f"expected it in {directory}, got none: name the directory of the vectors, or regenerate"
        )
    document: dict[str, Any] = parse(path.read_bytes(), "manifest", MANIFEST)
    manifest = Manifest(directory, {name: Entry(**entry) for name, entry in document["files"].items()})
    if manifest.total != document["total"]:
        problem = f"expected a total of {document['total']} cases, got {manifest.total} in its files together"
        raise GoldenError(MANIFEST, f"{problem}: restore it or regenerate")
    return manifest


def check_no_strays(directory: Path, expected: Collection[str]) -> None:
    """Raises a GoldenError if there is a file that is not expected; what an interrupted change left is no matter."""
    for path in sorted(directory.iterdir()):
        if path.name not in {*expected, *NOT_VECTORS} and not path.name.endswith(NEXT):
            raise GoldenError(path.name, "expected only files that the manifest lists, got this one: move it elsewhere")


def replace_set(directory: Path, contents: Mapping[str, bytes], cases: Mapping[str, int]) -> None:
    """Makes these files the set; a kill at any moment leaves the old set or the new one.

    Args:
      directory: where the set is.
      contents: every file of the new set.
      cases: the number of cases in each.
    """
    new = Manifest.of(directory, contents, cases)
    try:
        old = read_manifest(directory)
    except GoldenError:
        old = Manifest(directory, {})  # no set to keep
    settle(old)
    for name in old.files.keys() - new.files.keys():
        if (directory / name).is_file():
            (directory / name).replace(directory / (name + NEXT))
    for name, content in contents.items():
        if not _holds(directory / name, content):
            _write(directory / (name + NEXT), content)
    if not _holds(directory / MANIFEST, new.to_bytes()):
        _write(directory / (MANIFEST + NEXT), new.to_bytes())
        (directory / (MANIFEST + NEXT)).replace(directory / MANIFEST)
    settle(new)


def settle(manifest: Manifest) -> None:
    """Ends what an interrupted `replace_set` began: gives staged files of the set their names, removes the others."""
    for name, entry in manifest.files.items():
        current, staged = (manifest.directory / name, manifest.directory / (name + NEXT))
        if staged.is_file() and digest(staged.read_bytes()) == entry.sha256:
            staged.replace(current)
    for leftover in manifest.directory.glob(f"*{NEXT}"):
        leftover.unlink()


def digest(content: bytes) -> str:
    """Returns the SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
