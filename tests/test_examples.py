"""The examples, run as a reader runs them."""

import json
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_byte_transformer_learns_and_exports_exact_logits(tmp_path: Path) -> None:
    """Fails when the example does not run, does not learn, or exports what cannot be read back exactly."""
    curve, export = tmp_path / "curve.json", tmp_path / "export.json"
    options = ["--steps", "12", "--label-smoothing", "0.1", "--curve", str(curve), "--export", str(export)]
    command = [sys.executable, str(EXAMPLES / "train_byte_transformer.py"), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=True)

    losses = json.loads(curve.read_text(encoding="utf-8"))["losses"]
    assert len(losses) == 12
    assert losses[-1] < losses[0]
    printed = re.findall(r"(?:first|last) (\d+\.\d+)", result.stdout)
    assert printed == [f"{loss:.4f}" for loss in (losses[0], losses[-1])]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.json", "export.json"]

    exported = json.loads(export.read_text(encoding="utf-8"))
    vocabulary = bytes.fromhex(exported["origin"]["vocabulary_bytes"])
    single, half = exported["cases"]
    assert [single["dtype"], half["dtype"]] == ["float32", "bfloat16"]
    count, size = single["shape"]
    assert size == len(vocabulary) + 1
    assert count == len(exported["origin"]["tokens"])
    assert {token["rule"] for token in exported["origin"]["tokens"]} == {"span", "confident", "surprised"}
    for case, significant_bits in ((single, 24), (half, 8)):
        assert case["shape"] == [count, size]
        assert len(case["logits"]) == count * size
        assert case["targets"] == single["targets"]
        assert all(0 < target < size for target in case["targets"])
        for text in case["logits"]:
            numerator, _ = float.fromhex(text).as_integer_ratio()
            # Odd part of the numerator: the bits that the value needs.
            assert (numerator // (numerator & -numerator or 1)).bit_length() <= significant_bits
