"""Small copies of the set that a test may damage."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossproof import golden


@pytest.fixture(scope="session")
def shipped() -> list[golden.Case]:
    """Every case of the set that the package carries."""
    return golden.load()


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The topics that are written by hand, generated in an empty directory; not to be changed."""
    directory = tmp_path_factory.mktemp("fresh")
    golden.regenerate(directory=directory)
    return directory


@pytest.fixture
def vectors(fresh: Path, tmp_path: Path) -> Path:
    """A copy of `fresh` to change."""
    return shutil.copytree(fresh, tmp_path / "vectors")


@pytest.fixture
def change(vectors: Path) -> Callable[..., None]:
    """Applies a function to the JSON of a file of `vectors`, and makes the hashes right again."""

    def apply(name: str, edit: Callable[[Any], object], *, reseal: bool = True) -> None:
        path = vectors / name
        document = json.loads(path.read_text(encoding="ascii"))
        edit(document)
        path.write_text(json.dumps(document), encoding="ascii")
        if reseal:
            manifest = json.loads((vectors / "manifest.json").read_text(encoding="ascii"))
            manifest["files"][name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            (vectors / "manifest.json").write_text(json.dumps(manifest), encoding="ascii")

    return apply


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export as a training run writes it, with made-up logits."""
    case = {
        "dtype": "float32",
        "shape": [2, 3],
        "logits": ["0x1.0000000000000p+0", "-0x1.8000000000000p+1", "0x0.0p+0", "0x1p-3", "0x1p-4", "-0x1p-5"],
        "targets": [0, 2],
        "note": "made up",
    }
    narrow = {**case, "dtype": "bfloat16", "note": "made up, bfloat16"}
    path = tmp_path / "export.json"
    path.write_text(json.dumps({"origin": {"text": "none"}, "cases": [case, narrow]}), encoding="utf-8")
    return path
