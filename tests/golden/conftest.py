"""Small sets that a test may damage."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lossproof import golden
from lossproof.golden import _regenerate
from lossproof.golden._builders import INF, recipe, token, topic
from lossproof.golden._topic import Topic
from lossproof.golden._topics import TOPICS

# Few cases and small ones: most tests are about files.
WRITTEN = ("excluded_tokens", "special_states", "start_values", "t5x_differences")


@pytest.fixture(scope="session")
def shipped() -> list[golden.Case]:
    """Every case of the set that the package carries."""
    return golden.load()


@pytest.fixture(scope="session")
def defined() -> Mapping[str, Topic]:
    """The definitions of `fresh`: some of the package's, and one with recipes."""
    narrow = recipe((1, 64), "bfloat16", seed=2, drop=9, exponent=-5)
    wide = recipe((2, 300), "float32", seed=1, drop=0, exponent=-14, patches={1: 20.0, 301: -INF})
    drawn = topic(
        "drawn",
        "Logits that are recipes.",
        [
            token(narrow, [5], flags="narrow_logits", clauses="VALUE-1", note="narrow"),
            token(wide, [7, 299], z_loss=0.5, clauses="VALUE-1", note="wide, with patches"),
        ],
    )
    return {**{name: TOPICS[name] for name in WRITTEN}, "drawn": drawn}


@pytest.fixture(scope="session")
def fresh(defined: Mapping[str, Topic], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set of `defined`, generated in an empty directory; not to be changed."""
    directory = tmp_path_factory.mktemp("fresh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_regenerate, "TOPICS", defined)
        golden.regenerate(directory=directory)
    return directory


@pytest.fixture(autouse=True)
def definitions(defined: Mapping[str, Topic], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is regenerated in these tests is `fresh`."""
    monkeypatch.setattr(_regenerate, "TOPICS", dict(defined))


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
