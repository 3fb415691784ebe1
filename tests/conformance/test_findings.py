"""Failures by their causes: like ones together, the simplest first, each with its whole input and a command."""

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

from lossproof import golden
from lossproof.conformance import Request, load_target
from lossproof.conformance.diagnosis.inputs import shown, size
from lossproof.conformance.judging.draw import make
from lossproof.conformance.judging.result import ERROR, FAIL, INTERNAL, PASS, Result
from lossproof.conformance.report._findings import findings
from lossproof.conformance.report.record import unit as as_unit
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite.asking.calls import Call, Calls
from lossproof.conformance.suite.units import run_unit
from lossproof.conformance.targets import Split
from lossproof.spec import TOKEN, WEIGHTED

HARD = "values.hard_targets[token-float32]"
NAN = "loss[{}] is nan, exactly 1.5; token_cross_entropy(logits=float32[1, 3](0x1p+0, 0x1p+1, -inf))"


def call(tokens, classes, **further):
    calls = Calls()
    case = make(TOKEN, "float32", np.zeros((tokens, classes)), np.zeros(tokens))
    with calls.noting(Call("values", case)):
        pass
    return [made | further for made in calls.to_json()]


def failed(name, message, clauses, tokens=1, classes=3, verdict=FAIL):
    return as_unit(Result(name, clauses, verdict, message, clauses, calls=call(tokens, classes)))


def found(*units, verdicts=(FAIL, ERROR, INTERNAL)):
    return findings(units, verdicts, lambda name: f"again {name}")


def test_like_failures_are_one_with_its_units():
    """Fails when one defect fills the summary once for each unit that notices it, or two defects are taken for one."""
    shown_ = found(
        failed("a.a[token-bfloat16]", NAN.format("1, 0"), ("STATE-1",)),
        failed("b.b[weighted-float32]", NAN.format(7), ("STATE-1",)),
        failed("c.c[token-float32]", "loss[0] is 3.0, exactly 1.5: 9 times the allowed error, 1e-7", ("ACC-1",)),
        failed("d.d[token-float32]", NAN.format(0).replace("loss", "z_loss", 1), ("STATE-1",)),
        as_unit(Result("a.a[token-float64]", ("STATE-1",), PASS)),
    )
    assert [finding.unit for finding in shown_] == ["b.b[weighted-float32]", "c.c[token-float32]", "d.d[token-float32]"]
    assert shown_[0].scope == "and so 1 other unit: a.a[token-bfloat16]"


def test_what_is_raised_everywhere_is_one_cause():
    """Fails when a loss that raises the same in each unit is told a hundred times; its clauses are all of theirs."""
    raised = "token_cross_entropy raised ZeroDivisionError: division by zero"
    (finding,) = found(
        failed("a.a[token-float32]", raised, ("VALUE-1",)), failed("b.b[token-float32]", raised, ("GRAD-1", "ACC-3"))
    )
    assert finding.clauses == ("VALUE-1", "GRAD-1", "ACC-3")


def test_errors_of_the_suite_are_told_apart_by_their_last_line():
    """Fails when all tracebacks count as one, because they begin alike."""
    text = "Traceback (most recent call last):\n  File x\nKeyError: {}"
    units = [failed(f"{n}.x[token-float32]", text.format(n), (), verdict=INTERNAL) for n in ("'a'", "'b'", "'a'")]
    assert len(found(*units)) == 2


def test_the_simplest_failure_comes_first():
    """Fails when a reader has to begin with a thousand logits although three show it."""
    units = [
        failed("a.a[token-float32]", "loss[0] is 1.0, exactly 2.0", ("VALUE-1",), 4, 16),
        failed("b.b[token-float32]", "loss[0] is 1.0, exactly 2.0", ("VALUE-2",), 8, 2),
        failed("c.c[token-bfloat16]", "loss[0] is 1.0, exactly 2.0", ("VALUE-3",), 2, 8),
        failed("d.d[token-float32]", "loss[0] is 1.0, exactly 2.0", ("VALUE-4",), 2, 8),
    ]
    assert [finding.unit[0] for finding in found(*units)] == ["b", "d", "c", "a"]
    (finding,) = found(*[unit | {"broken": ["VALUE-1"]} for unit in units])
    assert finding.unit[0] == "b" and "3 other units" in finding.scope


def test_numbers_are_shown_in_decimal_and_in_bits():
    """Fails when a reader must convert hexadecimal floats by hand, or cannot tell which float it was."""
    case = make(TOKEN, "float32", [[0.1, 2.0, -np.inf]], [1])
    calls = Calls()
    with calls.noting(Call("differentiate", case, {"cotangents": {"loss": np.ones(1)}})):
        pass
    assert shown(calls.to_json()).splitlines() == [
        "values and gradients of token_cross_entropy",
        "  logits float32[1, 3] = 0.100000001, 2, -inf",
        "    exactly 0x1.99999ap-4, 0x1p+1, -inf",
        "  targets int32[1] = 1",
        "  cotangent of loss float64[1] = 1",
        "    exactly 0x1p+0",
    ]
    assert size(calls.to_json()) == (3, 3) and size([]) > (1e9, 1e9)


def test_a_call_is_kept_whole():
    """Fails when a failure cannot be repeated from result.json alone: a direction, a keyword, an element is missing."""
    logits = np.linspace(-1, 1, 60).reshape(4, 15)
    case = make(WEIGHTED, "bfloat16", logits, range(4), weights=np.ones(4), logit_softcap=30.0, smoothing="uniform")
    made = [
        Call.of("hvp", case, logits, "forward-over-reverse"),
        Call.of("jvp", case, {"logits": logits}),
        Call.of("split", case, {"loss": np.ones(())}, Split((2, 4))),
        Call.of("call", TOKEN, {"logits": np.zeros((1, 2), np.complex64), "targets": None, "z_loss": 1j}),
    ]
    hvp, jvp, split, plain = (json.loads(json.dumps(each.to_json())) for each in made)
    assert (len(hvp["inputs"]["logits"]["data"]), len(hvp["vector"]["data"])) == (60, 60)
    assert (hvp["how"], hvp["inputs"]["smoothing"]) == ("forward-over-reverse", "uniform")
    assert hvp["inputs"]["logit_softcap"] == {"dtype": "float64", "hex": "0x1.ep+4"}
    assert jvp["tangents"]["logits"]["shape"] == [4, 15]
    assert "2 x 4 devices" in split["how"] and split["cotangents"]["loss"]["data"] == ["0x1p+0"]
    assert plain["inputs"] == {"logits": {"dtype": "complex64", "shape": [1, 2], "text": "[[0j, 0j]]"}, "z_loss": "1j"}
    assert "1j" in shown([plain])


def test_calls_with_other_arguments_are_forgotten_outside_a_search():
    """Fails when a failure in a list of calls has those before it, which passed, or lacks one with its arguments."""
    calls = Calls()
    first, second = (make(TOKEN, "float32", [[number]], [0]) for number in (1.0, 2.0))
    for method, case in (("values", first), ("values", second), ("differentiate", second)):
        with calls.noting(Call(method, case)):
            pass
    assert [made["method"] for made in calls.to_json()] == ["values", "differentiate"]


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        (HARD, ["values"]),
        ("gradients.logits[token-float32]", ["differentiate"]),
        ("gradients.jvp[token-float32]", ["jvp"]),
        ("gradients.hvp[token-float32]", ["hvp"]),
    ],
)
def test_a_failure_has_the_calls_that_it_happened_on(loss_file, name, methods):
    """Fails when a failure blames another call, or has those of draws that passed."""
    end = "return jnp.where(jnp.max(jnp.abs(logits)) > 3, jnp.nan, value)"
    (unit,) = selected_units([name])
    result = run_unit(unit, load_target(loss_file(end)), "standard", 0)
    assert result.verdict == FAIL, result
    assert [made["method"] for made in result.calls][-1:] == methods
    for made in result.calls:
        logits = [float.fromhex(number) for number in made["inputs"]["logits"]["data"]]
        assert max(map(abs, logits)) > 3


def plain_vector():
    """The unit of a golden vector of logits and targets alone."""
    plain = {case.id for case in golden.load() if case.function == TOKEN and set(case.inputs) == {"logits", "targets"}}
    return next(
        u for u in selected_units(["golden"]) if u.check.id.rpartition(".")[2] in plain and u.dtype == "float32"
    )


def test_a_golden_failure_has_its_vector_and_its_call(loss_file):
    """Fails when a failure on a golden vector cannot be looked up or repeated."""
    unit = plain_vector()
    result = run_unit(unit, load_target(loss_file("nan")), "standard", 0)
    assert result.verdict == FAIL
    document = as_unit(result)
    assert document["golden"] == unit.check.id.rpartition(".")[2] and document["calls"][0]["inputs"]["logits"]["data"]
    assert found(document)[0].vector == document["golden"]


def test_a_passing_unit_has_no_calls():
    """Fails when a result grows by the inputs of everything that passed."""
    (unit,) = selected_units([HARD])
    assert run_unit(unit, load_target("lossproof"), "smoke", 0).calls == ()


def test_the_command_works_from_any_folder(tmp_path, monkeypatch):
    """Fails when a printed command only works where the run was started."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "mine.py").write_text("", "utf-8")
    monkeypatch.chdir(folder)
    assert shlex.split(Request("mine.py:loss").command())[2] == f"{folder}/mine.py:loss"
    words = shlex.split(Request(f"exec:{sys.executable} mine.py -x 'a b'").command())
    assert words[2:4] == ["--exec", shlex.join([sys.executable, f"{folder}/mine.py", "-x", "a b"])]
    assert shlex.split(Request("exec:mine.py").command())[3] == "mine.py"  # which is looked for in PATH
    assert Request("optax", dtypes=("float32",), fail_fast=True).command().endswith("--dtypes float32 --fail-fast")


@pytest.mark.thorough
def test_the_command_repeats_a_golden_failure_elsewhere(check, loss_file, tmp_path, monkeypatch):
    """Fails when the command under a failure on a golden vector does not repeat it from another folder."""
    target = loss_file("30 % off")
    monkeypatch.chdir(tmp_path)
    answer = check(os.path.relpath(target), only=[plain_vector().id])
    assert answer.exit_code == 1, answer.output
    (command,) = [line.partition("again: ")[2] for line in answer.stdout.splitlines() if "again: " in line]
    words = [sys.executable, "-m", *shlex.split(command), "-n", "1"]
    again = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "golden vector" in again.stdout
