"""The cause of failures: which known defect answers as the target does, and on which properties calls differ."""

import itertools
import json

import jax
import numpy as np
import pytest

from lossproof.conformance import Request, load_target
from lossproof.conformance.coverage import AXES
from lossproof.conformance.diagnosis._features import of_cell, of_cells
from lossproof.conformance.diagnosis._likeness import is_right, resembles
from lossproof.conformance.diagnosis._replay import Replay
from lossproof.conformance.diagnosis._seek import sought
from lossproof.conformance.diagnosis.axes import rules, told
from lossproof.conformance.diagnosis.cause import Cause, cause, failing, question, rules_of
from lossproof.conformance.judging.result import FAIL, PASS, Result
from lossproof.conformance.report import read
from lossproof.conformance.report._causes import sentences, simplest
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.running.summary import Summary
from lossproof.conformance.suite.units import run_unit

from .test_findings import call

PADS = """
import jax.numpy as jnp

def loss(logits, targets):
    x = logits.astype(jnp.float32)
    blocks = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % 128)])
    peak = jnp.max(blocks, axis=-1)
    total = jnp.sum(jnp.exp(blocks - peak[..., None]), axis=-1)
    return jnp.log(total) + peak - jnp.take_along_axis(x, targets[..., None], axis=-1)[..., 0]
"""
SMOOTHS = """
import jax

def loss(logits, targets, label_smoothing=0.0):
    logp, classes = jax.nn.log_softmax(logits), logits.shape[-1]
    soft = jax.nn.one_hot(targets, classes) * (1 - label_smoothing) + label_smoothing / classes
    return -(soft * logp).sum(-1)
"""
DETACHES = """
import jax
import jax.numpy as jnp

def loss(logits, targets, z_loss=0.0):
    lse = jax.nn.logsumexp(logits, axis=-1)
    z = jax.lax.stop_gradient(z_loss * lse**2)
    return lse - jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0] + z
"""
NARROW = """
import jax
import jax.numpy as jnp

def loss(logits, targets):
    logp = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logp, targets[..., None], axis=-1)[..., 0]
"""
WRAPS = """
import jax
import jax.numpy as jnp

def loss(logits, targets):
    x = logits.astype(jnp.float32)
    picked = jnp.sum(x * (jnp.arange(x.shape[-1]) == (targets % x.shape[-1])[..., None]), axis=-1)
    return jax.nn.logsumexp(x, axis=-1) - jnp.where(targets < x.shape[-1], picked, jnp.nan)
"""
# Each with units that it fails, and the defects of which one must be told first.
USERS = {
    "pads": (
        PADS,
        ["values.hard_targets[token-float32]", "states.one_class[token-float32]"],
        "padded with logits of 0",
    ),
    "smooths": (SMOOTHS, ["values.label_smoothing[token-float32]"], "the mass goes to all V classes"),
    "detaches": (DETACHES, ["gradients.logits[token-float32]"], "z-loss is in the loss, but not in its derivatives"),
    "narrow": (NARROW, ["values.hard_targets[token-bfloat16]"], "carried in bfloat16"),
    "wraps": (WRAPS, ["excluded.target_out_of_range[token-float32]"], "-1 counts as the last class"),
}


@pytest.fixture
def usual_promotion():
    """The base that mutants are made of is plain JAX; under the strict promotion of our tests it would only raise."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


PLAIN = {axis: values[0] for axis, values in AXES.items()}


def cells(is_wrong, **axes):
    """Cells with all combinations of some values, and their verdicts."""
    made = [PLAIN | dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return [{"cell": cell, "verdict": FAIL if is_wrong(cell) else PASS} for cell in made]


def rule_for(is_wrong, **axes):
    return told(rules(of_cells(cells(is_wrong, **axes))))


def ran(name, only):
    """A summary of some units of a target."""
    target = load_target(name)
    return Summary([run_unit(unit, target, "smoke", 0) for unit in selected_units(only)])


def test_the_simplest_property_that_separates_is_told():
    """Fails when a reader is not told that a loss is right for whole blocks alone, or is told something special."""
    axes = {"classes": AXES["classes"], "batch": ("5", "1", "2x3")}
    found = rule_for(lambda cell: int(cell["classes"]) % 128 != 0, **axes)
    assert found == "right where V is a multiple of 128; wrong where V is no multiple of it (27 calls of 27)"
    found = rule_for(lambda cell: cell["classes"] == "1", **axes)
    assert found == "right where V > 1; wrong where V = 1 (27 calls of 27)"


def test_several_properties_are_a_list():
    """Fails when two conditions that hold together are told as neither, or the order of the rows matters."""

    def is_wrong(cell):
        return cell["z_loss"] == "0.5" and cell["derivative"] != "values"

    axes = {"z_loss": ("absent", "0", "0.5"), "derivative": ("values", "vjp", "jvp"), "classes": ("2", "13")}
    entries = cells(is_wrong, **axes)
    found = told(rules(of_cells(entries)))
    rest = "wrong where a derivative is taken; right elsewhere (18 calls of 18)"
    assert found == f"right where z_loss is 0 or not given; {rest}"
    assert told(rules(of_cells(entries[::-1]))) == found


def test_exceptions_are_counted():
    """Fails when one odd cell hides a rule, or a rule with exceptions is told as one without."""
    axes = {"classes": AXES["classes"], "batch": ("5", "1", "2x3", "2x1x2x2")}
    rng = np.random.default_rng(0)
    odd = set(rng.choice(36, 3, replace=False).tolist())
    entries = cells(lambda cell: int(cell["classes"]) > 100, **axes)
    for place in odd:
        entries[place]["verdict"] = {FAIL: PASS, PASS: FAIL}[entries[place]["verdict"]]
    found = told(rules(of_cells(entries)))
    assert "V > 64" in found and " of " in found and "calls of" not in found


def test_nothing_is_told_where_there_is_nothing():
    """Fails when a rule is read out of noise, out of three calls, or out of a loss that never fails."""
    axes = {"classes": AXES["classes"], "batch": ("5", "1", "2x3"), "logits": ("float32", "bfloat16")}
    rng = np.random.default_rng(0)
    assert rule_for(lambda _: rng.uniform() < 0.5, **axes) == ""
    assert rule_for(lambda _: False, **axes) == ""
    assert rule_for(lambda cell: cell["classes"] == "1", classes=("1", "2", "3")) == ""


def test_cells_of_results_are_used():
    """Fails when the cells that a run has looked at are ignored."""
    entries = cells(lambda cell: int(cell["classes"]) % 64 != 0, classes=AXES["classes"], batch=("5", "1"))
    result = Result("calls.pairs[token-float32]", ("VALUE-1",), FAIL, broken=("VALUE-1",))
    object.__setattr__(result, "coverage", {"cells": entries})
    assert "V is a multiple of 64" in told(rules_of([result]))
    assert of_cell(entries[0]["cell"])["V"] == 13
    (kind, *_) = failing([result])
    assert kind[0].cell["classes"] == "1"  # the simplest first
    target = load_target("lossproof")
    asked = Replay.of_cell(kind[0].cell, 0, target)
    assert is_right(asked.asked(target), asked.asked_at_once(target))


def test_a_call_comes_back_from_the_result():
    """Fails when a call that is made again is another one than the one that failed."""
    (made,) = json.loads(json.dumps(call(2, 3)))
    case = Replay.of_call(made).cases[0]
    assert case.logits.dtype == np.float32 and case.logits.shape == (2, 3)
    assert Replay.of_call(made).to_json() == made


def test_alike_is_to_be_wrong_in_the_same_way():
    """Fails when a loss that is wrong otherwise, or right, passes for the same, or a rounding tells them apart."""
    case = Replay.of_call(call(2, 3)[0]).cases[0]

    def loss(*values):
        return {"loss": np.array(values, np.float32)}

    right, found = loss(1.0, 2.0), loss(1.0, 2.5)
    assert not is_right(found, right) and is_right(loss(1.0000001, 2.0), right)
    assert resembles(case, found, right, loss(1.0, 2.4999998))
    assert not resembles(case, found, right, right)
    assert not resembles(case, found, right, loss(1.0, 3.0))
    assert not resembles(case, found, right, loss(1.1, 2.5))
    assert resembles(case, loss(1.0, np.nan), right, loss(1.0, np.nan))
    assert not resembles(case, loss(1.0, np.nan), right, loss(1.0, np.inf))
    narrow = {"loss": np.array([1.0, 2.0], np.float16)}
    assert not is_right(narrow, right) and resembles(case, narrow, right, narrow)
    assert not resembles(case, narrow, right, right)


@pytest.mark.usefixtures("usual_promotion")
@pytest.mark.parametrize("name", USERS)
def test_a_defect_that_people_have_is_named(loss_file, name):
    """Fails when somebody's own loss fails in a common way, and the report does not say which."""
    source, only, words = USERS[name]
    target = loss_file("", source.replace("{", "{{").replace("}", "}}"))
    summary = ran(target, only)
    assert summary.is_broken
    found = Cause(**sought(question(summary, Request(target)))).to_json()
    assert words in sentences(found)[0] and "does what the known defect" in sentences(found)[0]
    assert set(only) <= set(found["defect"]["units"])
    assert "gave loss" in simplest(found) and "right is loss" in simplest(found)


@pytest.mark.usefixtures("usual_promotion")
def test_an_unknown_defect_is_not_given_a_name(loss_file):
    """Fails when whatever is wrong is put down to some known defect."""
    target = loss_file("return value + 0.1 * jnp.sin(jnp.max(logits, axis=-1))")
    found = Cause(**sought(question(ran(target, ["values.hard_targets[token-float32]"]), Request(target))))
    assert found.defects == [] and found.simplest is not None


def test_a_sound_loss_has_no_cause(loss_file):
    """Fails when a run that passes says that something is wrong."""
    target = loss_file("good")
    found = cause(ran(target, ["values.hard_targets[token-float32]"]), Request(target), seconds=0.0)
    assert found == Cause() and sentences(found.to_json()) == [] and simplest(found.to_json()) == ""


def test_the_cause_is_the_first_thing_told(check, loss_file, tmp_path):
    """Fails when the cause is below what it causes, or not in all of the summary, the page and the JSON result."""
    source, only, words = USERS["pads"]
    answer = check(loss_file("", source), "--report", str(tmp_path), only=only, cause=True)
    assert answer.exit_code == 1, answer.output
    first = answer.stdout.splitlines()[:3]
    assert words in first[0] and first[0].startswith("cause")
    document = read(tmp_path / "result.json")
    assert document["cause"]["defect"]["name"] == "padded_to_128_with_zeros"
    page = (tmp_path / "report.html").read_text("utf-8")
    assert 0 < page.index(words) < page.index('id="broken"')
    shown = [line for line in answer.stdout.splitlines() if line.startswith("fail ")]
    assert len(shown) == 1  # two units, one cause


@pytest.mark.parametrize("end", ["os._exit(7)", pytest.param("while True: pass", marks=pytest.mark.thorough)])
def test_a_target_that_dies_while_the_cause_is_sought_keeps_its_verdict(check, loss_file, tmp_path, monkeypatch, end):
    """Fails when the search for the cause takes the command down, or hides the verdict."""
    monkeypatch.setattr("lossproof.conformance.diagnosis.cause.SECONDS", 6.0)
    target = loss_file("", f"import sys\nif '_seek' in sys.argv[0]:\n    import os\n    {end}\n{PADS}")
    answer = check(target, "--report", str(tmp_path), only=["values.hard_targets[token-float32]"], cause=True)
    assert answer.exit_code == 1, answer.output
    assert "does not conform" in answer.stdout and "note whether a known defect behaves like" in answer.stdout
    assert read(tmp_path / "result.json")["cause"]["defect"] is None
