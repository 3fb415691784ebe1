"""Classes split over devices: which loss is caught, by which clause; and who cannot be asked."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import lossproof
from lossproof.conformance.judging.draw import make, unit_cotangents
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.judging.result import FAIL, PASS, UNSUPPORTED
from lossproof.conformance.mutants import BENIGN, MUTANTS
from lossproof.conformance.mutants.load import load
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.checks.split import EVERY, SPLITS, _answer, _masked, _on_edges
from lossproof.conformance.suite.units import run_unit
from lossproof.conformance.targets import Split, Target, function_target, load_target
from lossproof.conformance.targets.frameworks._devices import CPU_DEVICES
from lossproof.spec import DENSE, TOKEN, WEIGHTED

EDITS = {edit.name: edit for edit in (*MUTANTS, *BENIGN)}
UNITS = {unit.id: unit for unit in selected_units(["split", "SHAPE-8"], "standard")}

BROKEN = [
    ("split.values[token-float32]", "peaks_not_exchanged", "SPLIT-1"),
    ("split.values[dense-float32]", "peaks_not_exchanged", "SPLIT-1"),
    ("split.values[weighted-float32]", "weights_added_over_devices", "SPLIT-1"),
    ("split.further_results[token-float32]", "class_of_own_device", "SPLIT-1"),
    ("split.dense_targets[weighted-float32]", "sum_transposed_to_sum", "SPLIT-3"),
    ("split.targets[token-float32]", "target_on_every_device", "SPLIT-2"),
    ("split.targets[token-float32]", "range_of_own_classes", "SPLIT-2"),
    ("split.targets[token-float32]", "smoothed_over_own_classes", "SPLIT-2"),
    ("split.targets[weighted-float32]", "entropy_of_own_classes", "SPLIT-2"),
    ("split.targets[weighted-float32]", "next_devices_classes", "SPLIT-2"),
    ("split.derivatives[dense-float32]", "sum_transposed_to_sum", "SPLIT-3"),
    ("split.derivatives[weighted-float32]", "weights_differentiated_on_each_device", "SPLIT-3"),
    ("split.special_values[token-float32]", "peak_of_first_device", "SPLIT-4"),
    ("split.special_values[weighted-float32]", "undefined_on_one_device", "SPLIT-4"),
    ("split.special_values[dense-float32]", "empty_device_undefined", "SPLIT-4"),
    ("split.devices[token-float32]", "axes_in_reverse", "SPLIT-5"),
    ("shapes.axis_name[token-float32]", "axis_name_unknown", "SHAPE-8"),
]

# In a process of its own, where JAX has not started: how many devices the adapter of JAX functions leaves it with.
COUNTED = """
import jax, sys
if "started" in sys.argv:
    jax.devices()
from lossproof.conformance.targets import load_target
load_target("lossproof")
print(jax.device_count())
"""


@pytest.fixture(autouse=True)
def usual_promotion():
    """The base that mutants are made of is plain JAX; under the strict promotion of our tests it would only raise."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize(("name", "mutant", "clause"), BROKEN)
@pytest.mark.thorough
def test_a_broken_split_is_caught_by_what_it_computes(name, mutant, clause):
    """Fails when a check passes a loss that breaks its clause, or catches it by an error of JAX's alone."""
    result = run_unit(UNITS[name], load(EDITS[mutant]), "smoke", 0)
    assert result.verdict == FAIL, result
    assert clause in result.broken, result
    assert "devices raised" not in result.message, result


@pytest.mark.parametrize("name", ["values[token", "derivatives[weighted", "special_values[dense", "devices[token"])
@pytest.mark.parametrize("target", ["lossproof", "lossproof-xla", "joined_by_sum"])
@pytest.mark.thorough
def test_what_is_right_passes(name, target):
    """Fails when a check of split classes holds something against a good loss."""
    loss = load(EDITS[target]) if target in EDITS else load_target(target)
    result = run_unit(UNITS[f"split.{name}-float32]"], loss, "smoke", 0)
    assert result.verdict == PASS, result


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_a_target_without_axis_name_is_not_asked(loss_file, unit):
    """Fails when a loss is blamed for a keyword that it never offered, or the reason is not that."""
    target = load_target(loss_file("good"))
    result = run_unit(unit, target, "smoke", 0)
    assert result.verdict == UNSUPPORTED, result
    assert result.message == (
        f"{target.name}'s {TOKEN} has no argument axis_name"
        if unit.function == TOKEN
        else f"{target.name} has no {unit.function}"
    )


@pytest.mark.thorough
def test_axes_in_another_order_break_one_clause():
    """Fails when a loss that mixes up two axes, and is right along one, is said to break more than SPLIT-5."""
    broken = load(EDITS["axes_in_reverse"])
    results = {
        name: run_unit(unit, broken, "smoke", 0) for name, unit in UNITS.items() if name.endswith("token-float32]")
    }
    assert [name for name, result in results.items() if result.verdict != PASS] == ["split.devices[token-float32]"]


def test_an_adapter_that_splits_nothing_says_so():
    """Fails when a NumPy function with a parameter of that name is a failure of the suite."""

    class Named(Target):
        name = "mine"
        offers = load_target("lossproof").offers

    result = run_unit(UNITS["split.values[token-float32]"], Named(), "smoke", 0)
    assert (result.verdict, result.message) == (UNSUPPORTED, "mine splits no classes over devices")


def test_too_few_devices_are_no_failure(monkeypatch):
    """Fails when a machine with one device passes, or breaks, what it cannot show."""
    monkeypatch.setattr("jax.device_count", lambda: 1)
    result = run_unit(UNITS["split.values[token-float32]"], load_target("lossproof"), "smoke", 0)
    assert (result.verdict, result.message) == (
        UNSUPPORTED,
        "classes cannot be split over 4 devices, as JAX has 1",
    )


@pytest.mark.parametrize(
    ("words", "environment", "count"),
    [
        ((), {}, CPU_DEVICES),
        ((), {"JAX_NUM_CPU_DEVICES": "3"}, 3),
        ((), {"XLA_FLAGS": "--xla_force_host_platform_device_count=5"}, 5),
        (("started",), {}, 1),
    ],
)
def test_a_cpu_stands_for_several_devices(words, environment, count):
    """Fails when splits go unchecked on a CPU, or a user's number of devices is overridden, or is an error."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
    command = [sys.executable, "-c", COUNTED, *words]
    environment = inherited | {"JAX_PLATFORMS": "cpu"} | environment
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [str(count)]


def test_devices_have_the_classes_in_the_order_of_the_names():
    """Fails when the mesh's own order of axes decides: a loss that mixes them up would pass, and a right one fail."""

    def token_cross_entropy(logits, targets, *, axis_name=None):
        names = axis_name or ()
        first = jax.lax.axis_index(names) * logits.shape[-1] if names else 0
        wrong = jax.numpy.any(logits[0] != first + jax.numpy.arange(logits.shape[-1], dtype=logits.dtype))
        return jax.lax.psum(wrong.astype(logits.dtype) + 0.0 * targets, names) + 0.0 * jax.lax.psum(
            logits.sum(axis=-1), names
        )

    target = function_target("mine", token_cross_entropy)
    case = make(TOKEN, "float32", [np.arange(24.0)] * 2, [0, 23])
    for split in EVERY:
        for is_inside in (True, False):
            values, gradients = target.split(case, unit_cotangents(case), Split(split.sizes, is_inside))
            assert values["loss"].tolist() == [[0.0, 0.0]] * split.devices
            assert gradients["logits"].shape == (2, 24)


def test_devices_that_disagree_are_a_violation():
    """Fails when only the first device's answer counts."""

    class Disagreeing(Target):
        name = "mine"
        offers = load_target("lossproof").offers

        def split(self, case, cotangents, split):
            del case, cotangents
            return {"loss": np.float32([[1.0, np.nan]] * (split.devices - 1) + [[2.0, np.nan]])}, {}

    case = make(TOKEN, "float32", np.zeros((2, 16)), [0, 1])
    run = Run(Disagreeing(), TOKEN, "float32", "smoke", 0)
    with pytest.raises(Violation, match=r"must be the same on all devices.* on number 3 of 4"):
        _answer(run, case, Split((4,)), {})


def test_drawn_targets_meet_every_edge():
    """Fails when no target is the first or last class of a device, -1, V, or a device's own V (SPLIT-2)."""
    case = make(TOKEN, "float32", np.zeros((4, 16)), [0, 1, 2, 3])
    for split in SPLITS:
        drawn = {int(t) for seed in range(400) for t in _on_edges(case, seed, split).inputs["targets"]}
        own = 16 // split.devices
        assert drawn >= {0, own - 1, own, 15, -1, 16, 16 + own, 2**31 - 1, -(2**31)}


def test_masks_empty_the_first_device_and_all_but_one():
    """Fails when no draw leaves the first device, another one, or all but one without a class (SPLIT-4)."""
    for function, targets in ((TOKEN, [0, 1, 2, 3]), (DENSE, np.full((4, 16), 0.25))):
        case = make(function, "float32", np.zeros((4, 16)), targets)
        for split in SPLITS:
            drawn = [_masked(case, seed, split).logits for seed in range(100)]
            empty = [np.isneginf(x).reshape(4, split.devices, -1).all(axis=(0, 2)) for x in drawn]
            assert {tuple(np.flatnonzero(which)) for which in empty} >= {(0,), (1,)}
            assert any(np.sum(which) == split.devices - 1 for which in empty)


def test_the_platform_neutral_implementation_is_asked_all_that_lossproof_is():
    """Fails when lossproof-xla supports less than lossproof, or fails what it supports."""
    ours, xla = load_target("lossproof"), load_target("lossproof-xla")
    assert (xla.offers, xla.dtypes, xla.packages) == (ours.offers, ours.dtypes, ours.packages)
    assert xla.scalars_differentiable
    for unit in selected_units(["values.log_z[token-float32]", "shapes.keywords", "NORM-1"], "smoke"):
        result = run_unit(unit, xla, "smoke", 0)
        assert result.verdict == PASS, result


@pytest.mark.parametrize("function", [TOKEN, WEIGHTED, DENSE])
def test_the_platform_neutral_target_asks_for_its_implementation(monkeypatch, function):
    """Fails when lossproof-xla runs what the platform has of its own: nothing would be known of other platforms."""
    asked = []
    ours = getattr(lossproof, function)

    def spy(*arguments, implementation=None, **keywords):
        asked.append(implementation)
        return ours(*arguments, implementation=implementation, **keywords)

    monkeypatch.setattr(f"lossproof.{function}", spy, raising=False)
    target = load_target("lossproof-xla")
    targets, more = ([[1.0, 0.0, 0.0]], {"z_loss": 0.0}) if function == DENSE else ([0], {})
    target.values(make(function, "float32", [[0.5, 1.0, 2.0]], targets, **more))
    assert asked == ["xla"]
