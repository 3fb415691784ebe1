"""The benchmark of sums, run small."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "totals.py"


def test_totals_measures_every_kind_of_terms_and_length(tmp_path: Path) -> None:
    """Fails when a kind of terms, a contestant or a length drops out, or our sum is off by more than a rounding."""
    path = tmp_path / "totals.json"
    options = ["--terms", "3001", "--longest", "4096", "--rounds", "3", "--json", str(path)]
    subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=True)
    stored = json.loads(path.read_text(encoding="utf-8"))
    kinds = {each["terms"] for each in stored["totals"]}
    assert kinds == {"equal", "uniform", "log-normal", "of both signs", "1e8 next to 1"}
    found = {(each["terms"], each["contestant"]) for each in stored["totals"]}
    assert found == {(kind, name) for kind in kinds for name in ("lossproof", "jnp.sum", "numpy.sum")}
    # Half an ulp is the rounding of the total.
    assert all(each["error_ulp"] <= 0.5 for each in stored["totals"] if each["contestant"] == "lossproof")
    assert [each["tokens"] for each in stored["sequences"]] == [1024, 4096]


def test_totals_refuses_what_it_cannot_time() -> None:
    """Fails when a length below the shortest gives an empty table."""
    result = subprocess.run(
        [sys.executable, str(SCRIPT), "--longest", "5"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "--longest at least 1024, got 10000000, 5 and 5" in result.stderr
