"""A target that hangs, crashes or takes all the memory gets a verdict, and the other units get theirs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossproof.conformance.report import read
from lossproof.conformance.running.guard import Guard, reasons_by_unit
from lossproof.conformance.suite.asking.calls import last_call

UNITS = ("values.hard_targets[token-float32]", "values.log_z[token-float32]")

# Called to see what it returns; a unit's calls come later.
ILL = """
import os
import re
import time
import traceback

import numpy as np

import jax.numpy as jnp

hoard = []


def loss(logits, targets):
    if not any("/_probe" in frame.filename for frame in traceback.extract_stack()):
        {end}
    return jnp.zeros(targets.shape, jnp.float32)
"""


@pytest.mark.parametrize(
    ("end", "limits", "reason"),
    [
        ("time.sleep(3600)", ("--timeout", "6"), "did not come back within 6 s"),
        # The regular expression engine holds the interpreter's lock, for longer than anybody waits.
        pytest.param(
            're.match("(a+)+$", "a" * 64 + "b")',
            ("--timeout", "6"),
            "did not come back within 6 s",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "hoard.append(np.ones(2**28)); time.sleep(3600)",
            ("--memory", "1.5"),
            "more than 1.5 GiB of memory",
            marks=pytest.mark.thorough,
        ),
        pytest.param("os._exit(7)", (), "the target's process died: exit status 7", marks=pytest.mark.thorough),
        ("os.kill(os.getpid(), 11)", (), "the target's process died: killed by SIGSEGV"),
    ],
    ids=["sleeps", "spins", "hoards", "exits", "crashes"],
)
def test_an_ill_target_gets_a_verdict(check, tmp_path, end, limits, reason):
    """Fails when a target can end the run, or make it wait for ever, or when its other units are lost."""
    path = tmp_path / "ill.py"
    path.write_text(ILL.format(end=end), "utf-8")
    answer = check(f"{path}:loss", *limits, "--report", str(tmp_path / "report"), only=UNITS)
    assert answer.exit_code == 1, answer.output
    assert reason in answer.stdout and "does not conform" in answer.stdout and "Traceback" not in answer.output
    document = json.loads((tmp_path / "report" / "result.json").read_text("utf-8"))
    assert {unit["id"]: unit["verdict"] for unit in document["units"]} == {
        UNITS[0]: "error",
        UNITS[1]: "unsupported",  # it has no log_z
    }
    assert document["units"][0]["broken"] == ["VALUE-1"]
    (call,) = document["units"][0]["calls"]  # the one that it did not come back from
    assert (call["method"], call["function"]) == ("values", "token_cross_entropy")
    assert len(call["inputs"]["logits"]["data"]) == 64 and "logits float32[4, 16] = " in answer.stdout


def test_a_target_that_dies_everywhere_is_given_up(check, loss_file, monkeypatch, tmp_path):
    """Fails when a target that dies in every unit costs a new process for each of hundreds."""
    monkeypatch.setattr("lossproof.conformance.running.runner.DEATHS", 1)
    answer = check(loss_file("dies"), "--report", str(tmp_path), only=["VALUE-1", "GRAD", "SHAPE"])
    assert answer.exit_code == 1, answer.output
    assert "it was not run, because the target's process died in 2 other units" in answer.stdout
    document = read(tmp_path / "result.json")
    verdicts = [unit["verdict"] for unit in document["units"]]
    assert verdicts.count("error") == 2 and set(verdicts) <= {"error", "not run", "unsupported"}
    assert verdicts.count("not run") > 2 and f"{verdicts.count('not run')} units are not run" in answer.stdout
    clauses = {clause["id"]: clause["verdict"] for clause in document["clauses"]}
    assert "error" in clauses.values() and "not run" in clauses.values()


def test_the_last_call_is_known_after_the_process_has_died(tmp_path):
    """Fails when the input that ended a process is lost, or a call that came back is blamed."""
    code = f"""
import os
from pathlib import Path
from lossproof.conformance.suite.asking.calls import Call, Calls
from lossproof.conformance.judging.draw import make
from lossproof.spec import TOKEN
calls = Calls(Path({str(tmp_path)!r}))
for number, end in ((1.0, "pass"), (2.0, "pass"), (3.0, "os._exit(0)")):
    calls.begin_unit(f"unit {{number:g}}")
    with calls.noting(Call("values", make(TOKEN, "bfloat16", [[number]], [0]))):
        exec(end) if number > {{least}} else None
"""
    for least in (2, 9):
        subprocess.run([sys.executable, "-c", code.replace("{least}", str(least))], check=True)
        call, in_call = last_call(tmp_path, "unit 3")
        assert (float(call.case.logits[0, 0]), in_call) == (3.0, least == 2)
        assert last_call(tmp_path, "unit 1") == (None, False)
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("end", ["import os; os._exit(3)", "while True: pass"], ids=["exits", "hangs"])
def test_a_target_that_dies_when_loaded_is_a_usage_error(check, tmp_path, monkeypatch, end):
    """Fails when a module that ends the process, or never loads, takes the command with it."""
    monkeypatch.setattr("lossproof.conformance.targets.identity._SECONDS", 5.0)
    path = tmp_path / "ill.py"
    path.write_text(end + "\n", "utf-8")
    answer = check(f"{path}:loss", only=UNITS[:1])
    assert answer.exit_code == 2, answer.output
    (line,) = answer.stderr.splitlines()
    assert "could not be loaded" in line


def watched(reasons: Path, seconds: float, body: str) -> int:
    """Runs `body` in a process that has a guard, and returns the exit code."""
    code = f"""
import time
from pathlib import Path
from lossproof.conformance.suite.asking.calls import last_call
from lossproof.conformance.running.guard import Guard
guard = Guard({seconds}, 64.0, Path({str(reasons)!r}))
{body}
guard.close()
"""
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_the_guard_kills_what_is_late_and_nothing_else(tmp_path):
    """Fails when the guard kills between units or before the time is up, or says the wrong unit."""
    reasons = tmp_path / "reasons"
    quick = "\n".join(f"with guard.watching('quick {n}'): time.sleep(0.05)" for n in range(3))
    assert watched(reasons, 1.0, f"{quick}\ntime.sleep(1.5)") == 0
    assert reasons_by_unit(reasons) == {}
    assert watched(reasons, 0.5, f"{quick}\nwith guard.watching('slow'): time.sleep(60)") == -9
    assert reasons_by_unit(reasons) == {"slow": "the target did not come back within 0.5 s"}


def test_the_guard_ends_with_its_process(tmp_path):
    """Fails when each run leaves a process behind."""
    guard = Guard(60.0, 64.0, tmp_path / "reasons")
    pid = guard._process.pid
    guard.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    code = (
        "import os\nfrom pathlib import Path\nfrom lossproof.conformance.running.guard import Guard\n"
        "guard = Guard(60.0, 64.0, Path(os.devnull)); print(guard._process.pid, flush=True); os._exit(1)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).stdout
    for _ in range(100):
        try:
            os.kill(int(said), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the guard of a process that died is still there")
