"""What the TPU compiler makes of the losses; that needs libtpu, which `tox run -e tpu` installs, and no TPU."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "accelerators.py"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: pip install -e '.[tpu]'"
)


@pytest.mark.parametrize(
    ("classes", "tokens", "meshes", "count"),
    [
        (32128, 8192, ["v5e:4x4"], 8 + 16),  # on a mesh also all-reduces and other collectives
        (128256, 4096, [], 8),  # transfers and temporaries, two types, two modes
    ],
)
def test_the_tpu_compiler_adds_no_pass_and_no_collective(classes, tokens, meshes, count, tmp_path):
    """Fails when a loss needs another pass over the logits on a TPU, a copy of them, or a mesh more than a few sums."""
    goals = compiled(
        tmp_path, "--vocabularies", classes, "--tokens", tokens, "--placements", "both", "--meshes", *meshes
    )
    assert len(goals) == count
    assert [goal for goal in goals if goal["verdict"] != "met"] == []


def compiled(folder, *options):
    """The goals of a run in a process of its own, as libtpu stays in the process that has loaded it."""
    path = folder / "accelerators.json"
    what = ["--platforms", "v5e", "--contestants", "lossproof", "--settings", "smoothed", "--sources", "argument"]
    command = [sys.executable, str(SCRIPT), *what, *map(str, options), "--json", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(path.read_text(encoding="utf-8"))["goals"]
