"""What changes nothing: a loss for which it does change something is caught, and the clause named."""

import os
import subprocess
import sys

import jax
import pytest

from lossproof.conformance.judging.result import FAIL, PASS, UNSUPPORTED
from lossproof.conformance.mutants import MUTANTS
from lossproof.conformance.mutants.load import load
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite.units import run_unit
from lossproof.conformance.targets import load_target

EDITS = {edit.name: edit for edit in MUTANTS}

BROKEN = [
    ("token_order[token", "running_maximum_kept", "VALUE-1"),
    ("class_order[weighted", "labels_shifted", "VALUE-1"),
    ("common_offset[token", "lse_minus_logit", "ACC-2"),
    ("batch_cut[weighted", "mean_for_sum", "VALUE-5"),
    ("padding_rows[weighted", "nan_under_weight_0", "EXCL-1"),
    ("ignored_rows[token", "nan_times_in_range", "EXCL-2"),
    ("padding_classes[dense", "masked_logit_times_0", "STATE-1"),
    ("padding_classes[token", "masked_by_minus_10000", "STATE-1"),
    ("shape[token", "targets_by_columns", "SHAPE-1"),
]

# Four devices, and a loss that is spread over them as its adapter has it, then one of which each keeps its own part.
ON_DEVICES = """
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite.units import run_unit
from lossproof.conformance.targets import load_target

target = load_target("lossproof")
spread = target.transformed


def own_part(*arguments):
    return tuple({name: array / 4 for name, array in arrays.items()} for arrays in spread(*arguments))


for through in (spread, own_part):
    target.transformed = through
    for unit in selected_units(["invariances.devices"], "standard"):
        result = run_unit(unit, target, "smoke", 0)
        print(result.verdict, *result.broken)
"""


@pytest.fixture(autouse=True)
def usual_promotion():
    """The base that mutants are made of is plain JAX; under the strict promotion of our tests it would only raise."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def only(name, dtype="float32"):
    (unit,) = selected_units([f"invariances.{name}-{dtype}]"], "standard")
    return unit


@pytest.mark.parametrize(("name", "mutant", "clause"), BROKEN)
@pytest.mark.thorough
def test_a_loss_that_changes_where_nothing_may_is_caught(name, mutant, clause):
    """Fails when a check of an invariance passes a loss that breaks it, or blames another clause."""
    result = run_unit(only(name), load(EDITS[mutant]), "smoke", 0)
    assert result.verdict == FAIL, result
    assert clause in result.broken and "raised" not in result.message, result


def test_what_follows_from_the_call_before_is_compared(monkeypatch):
    """Fails when only the changed call is judged: two answers, each near enough to the truth, may contradict."""
    monkeypatch.setattr("lossproof.conformance.suite.asking.run.Run.judge_values", lambda *_: None)
    monkeypatch.setattr("lossproof.conformance.suite.asking.run.Run.judge_gradients", lambda *_: None)
    result = run_unit(only("common_offset[token"), load(EDITS["lse_minus_logit"]), "smoke", 0)
    assert result.verdict == FAIL, result
    assert "follows from the same call before the change" in result.message


def test_one_device_is_not_several(monkeypatch):
    """Fails when a machine with one device passes what it cannot show."""
    monkeypatch.setattr("jax.device_count", lambda: 1)
    result = run_unit(only("devices[weighted"), load_target("lossproof"), "smoke", 0)
    assert result.verdict == UNSUPPORTED, result


@pytest.mark.thorough
def test_several_devices_give_what_one_gives():
    """Fails when tokens are not spread, or a device's own part passes for the whole."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", ON_DEVICES]
    answer = subprocess.run(command, env=os.environ | flags, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [PASS, f"{FAIL} VALUE-9"]
