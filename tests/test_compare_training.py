"""The training comparison, run short."""

import json
import math
import subprocess
import sys
from pathlib import Path

from lossproof.reference.bounds import unit_roundoff

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "compare_training.py"
STEPS = 3


def test_training_with_t5x_differs_by_rounding_and_nan_padding_by_nothing(tmp_path: Path) -> None:
    """Fails when a run is not what it is called, padding leaks into our loss, or t5x's formula is another number."""
    path = tmp_path / "curves.json"
    command = [sys.executable, str(SCRIPT), "--steps", str(STEPS), "--curves", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    curves = {
        name: [float.fromhex(value) for value in values]
        for name, values in json.loads(path.read_text(encoding="utf-8")).items()
    }
    assert all(len(values) == STEPS for values in curves.values())
    ours = curves["ours"]
    assert ours[-1] < ours[0]
    # A mean of at most 2048 token losses, whose sum t5x's formula takes in float32 in any order.
    rounding = 2048 * unit_roundoff("float32") * ours[0]
    for name in ("t5x", "in reverse"):
        assert all(abs(a - b) <= rounding for a, b in zip(curves[name], ours, strict=True))
    assert curves["finite padding"] != ours
    assert curves["NaN padding"] == curves["finite padding"]
    assert all(map(math.isnan, curves["t5x, NaN padding"]))
    assert "our losses are the same bits" in printed
    assert "NaN from step 1 on" in printed
