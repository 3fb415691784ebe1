"""What somebody who is writing a loss needs: quick answers, the first failure, only the types that it is for."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from lossproof.conformance import Result
from lossproof.conformance.judging.result import FAIL, PASS
from lossproof.conformance.report import read
from lossproof.conformance.report.hints import types_hint
from lossproof.conformance.targets import identity

from .conftest import LOSS

NOISE = """
import atexit, os, sys, warnings
print("stdout at import")
os.write(1, bytes(range(256)) * 4096)
os.write(2, b"stderr \\xff at import")
warnings.warn("a warning", stacklevel=1)
atexit.register(lambda: os.write(1, b"stdout at the end"))
"""


def checked(*words, environment=None):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "lossproof", "check", *words, "--level", "smoke", "-n", "1"]
    return subprocess.run(command, capture_output=True, check=False, env=os.environ | (environment or {}))


def test_the_first_failure_ends_the_run(check, loss_file, tmp_path):
    """Fails when --fail-fast goes on, or calls what it left out broken, or passed."""
    answer = check(loss_file("30 % off"), "--fail-fast", "--report", str(tmp_path), only=["VALUE", "GRAD"])
    assert answer.exit_code == 1, answer.output
    assert "does not conform, but" in answer.stdout and "(--fail-fast)" in answer.stdout
    verdicts = [unit["verdict"] for unit in read(tmp_path / "result.json")["units"]]
    assert verdicts.count("fail") in (1, 2) and verdicts.count("not run") > 10
    assert f"{verdicts.count('not run')} units are not run" in answer.stdout


def test_a_failure_that_is_expected_ends_nothing(check, loss_file, tmp_path):
    """Fails when --fail-fast ends at what the expectations file knows of."""
    expected = tmp_path / "expected.toml"
    expected.write_text('[[expect]]\nclause = "GRAD-1"\nreason = "it is off"\n', "utf-8")
    names = ["gradients.logits[token-float32]", "shapes.empty_batch[token-float32]"]
    answer = check(loss_file("30 % off"), "--fail-fast", "--expect", str(expected), only=names)
    assert answer.exit_code == 0, answer.output
    assert "not run" not in answer.stdout


def test_only_the_types_that_are_asked_for_are_judged(check, loss_file, tmp_path):
    """Fails when a loss that is for float32 cannot be judged by it alone, or the result hides that it was."""
    names = ["values.hard_targets", "shapes.empty_batch"]
    arguments = ("--dtypes", "float32,bfloat16", "--report", str(tmp_path))
    answer = check(loss_file("good"), *arguments, only=names, level="standard")
    assert answer.exit_code == 0, answer.output
    document = read(tmp_path / "result.json")
    assert {unit["id"].rpartition("-")[2] for unit in document["units"]} == {"float32]", "bfloat16]"}
    assert document["settings"]["dtypes"] == ["float32", "bfloat16"]
    assert "--dtypes float32,bfloat16" in document["settings"]["command"]
    assert "Only part of the suite was run" in answer.stdout
    refused = check(loss_file("good"), "--dtypes", "float31")
    assert refused.exit_code == 2 and "choose from bfloat16, float16, float32, float64" in refused.stderr


def test_a_loss_that_returns_another_type_is_told_how_to_leave_it_out(check, loss_file):
    """Fails when a loss written for float32 fails for bfloat16 with nothing to say what that means."""
    answer = check(loss_file("return value.astype(logits.dtype)"), only=["values.hard_targets"], level="standard")
    assert answer.exit_code == 1, answer.output
    assert "(returned as bfloat16, not float32)" in answer.stdout
    assert 'LOSSPROOF = {"dtypes": ["float32", "float64"]}' in answer.stdout
    assert "--dtypes float32,float64" in answer.stdout


def unit(dtype, verdict, message=""):
    return Result(f"a.b[token-{dtype}]", ("VALUE-1",), verdict, message)


@pytest.mark.parametrize(
    ("results", "types"),
    [
        ([unit("float32", PASS), unit("float16", FAIL, "x (returned as float16, not float32); f(a=1)")], "float32"),
        ([unit("float32", PASS), unit("float64", FAIL, "loss must be float64, got float32; f(a=1)")], "float32"),
        ([unit("float32", PASS), unit("float16", FAIL, "loss is nan")], ""),
        (
            [
                unit("float32", PASS),
                unit("float16", FAIL, "x (returned as float16, not float32); f(a=1)"),
                unit("float16", FAIL, "nan"),
            ],
            "",
        ),
        ([unit("float16", FAIL, "x (returned as float16, not float32); f(a=1)")], ""),  # nothing would be left
    ],
)
def test_the_hint_is_for_types_that_fail_by_their_results_alone(results, types):
    """Fails when a real error is talked away as a matter of types."""
    hint = types_hint(results)
    assert (f"--dtypes {types}" in hint) if types else hint == ""


def test_a_noisy_target_breaks_nothing(loss_file, tmp_path):
    """Fails when what a target prints ends up in the summary, or between the processes of a run."""
    end = (
        "print('x' * 10**5) if not sys.stdout.closed else 0; os.write(1, b'y' * 10**5); os.write(2, bytes(range(256)))"
    )
    end += "; sys.stdout.close(); return value"
    target = loss_file(end, f"{NOISE}\n{LOSS}")
    names = ("values.hard_targets[token-float32]", "shapes.empty_batch[token-float32]")
    only = [word for name in names for word in ("--only", name)]
    answer = checked(target, *only, "--report", str(tmp_path / "report"))
    said = answer.stdout.decode()
    assert answer.returncode == 0, (said, answer.stderr)
    assert "conforms" in said and "does not conform" not in said and "xxx" not in said and "stdout at" not in said
    assert b"at import" not in answer.stderr and b"\xff" not in answer.stderr
    assert read(tmp_path / "report" / "result.json")["verdict"]["word"] == "conforms"


def test_integers_of_64_bits_come_back(check, loss_file, tmp_path):
    """Fails when a failure on class numbers beyond 32 bits ends the run, because its input cannot be handed on."""
    vector = "golden.excluded_tokens.5cb8d3d8c1b5bb69[token-float32]"
    answer = check(loss_file("good"), "--report", str(tmp_path), only=[vector])
    assert answer.exit_code == 1, answer.output
    (unit,) = read(tmp_path / "result.json")["units"]
    assert unit["verdict"] == "fail" and unit["calls"][-1]["inputs"]["targets"]["dtype"] == "int64"


def test_devices_that_are_not_there_are_unsupported():
    """Fails when a machine with one device makes a good loss fail, or passes what was not run on several."""
    names = ["split.devices[token-float32]", "split.values[weighted-float32]", "invariances.devices[weighted-float32]"]
    only = [word for name in names for word in ("--only", name)]
    answer = checked("lossproof", *only, environment={"JAX_NUM_CPU_DEVICES": "1"})
    said = answer.stdout.decode()
    assert answer.returncode == 3, said  # nothing was judged
    assert "3 unsupported" in said and "as JAX has 1" in said and "over 1 device(s)" in said


@pytest.mark.thorough
@pytest.mark.parametrize("words", [("optax",), ("lossproof", "--only", "GRAD")], ids=" ".join)
def test_smoke_has_a_verdict_soon(words):
    """Fails when a quick look takes a coffee, or ends without a verdict."""
    started = time.monotonic()
    answer = checked(*words)
    assert answer.returncode == (1 if words[0] == "optax" else 0), answer.stdout
    assert time.monotonic() - started < 120  # 15 on a machine that does nothing else


def test_the_suite_is_known_by_its_code_and_its_data(tmp_path, monkeypatch):
    """Fails when results are kept although the cells, a vector, a mutant or SPEC.md has changed since."""
    monkeypatch.setattr(identity, "spec", SimpleNamespace(__path__=[str(tmp_path)]))
    seen = {identity.suite()}
    for name in ("SPEC.md", "rows.json", "states.diff", "code.py", "profiles.toml"):
        (tmp_path / name).write_text("old", encoding="utf-8")
        seen.add(identity.suite())
        (tmp_path / name).write_text("new", encoding="utf-8")
        seen.add(identity.suite())
    assert len(seen) == 11
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "code.pyc").write_bytes(b"compiled")
    assert identity.suite() in seen
