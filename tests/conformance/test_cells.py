"""The verdict on a cell: what is wrong in any of its calls is seen, and blamed on what the cell is about."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy
from lossproof.conformance import load_target
from lossproof.conformance.coverage import ABSENT, AXES, broken_rule
from lossproof.conformance.coverage.cases import FUNCTIONS, calls, simplified
from lossproof.conformance.coverage.stored import stored
from lossproof.conformance.coverage.way import given_as, refuse_changed
from lossproof.conformance.judging.charges import BITS, BY_LOGITS, DERIVATIVE_TYPES, VALUE_TYPES
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.pairs._offered import adapted
from lossproof.conformance.suite.pairs.calls import _simplest
from lossproof.conformance.suite.pairs.cells import look
from lossproof.conformance.suite.pairs.speaking import broken, charged, clauses_about
from lossproof.conformance.targets import Offer, Unsupported, function_target
from lossproof.conformance.targets.frameworks._jax_ways import as_numbers
from lossproof.spec import DENSE, TOKEN, WEIGHTED

NUMPY_LOSS = Path(__file__).parents[2] / "examples/targets/numpy_loss.py"
NO_NUMPY = ("jax", "list", "sharded")
PLAIN = {axis: values[0] for axis, values in AXES.items()}
TWICE = {**PLAIN, "derivative": "vjp twice", "cotangent": "together", "z_loss": "0.5", "z_loss form": "traced"}


class Altered:
    """lossproof, with something done to what it answers."""

    def __init__(self, alter):
        self._target, self._alter = load_target("lossproof"), alter

    def __getattr__(self, name):
        return getattr(self._target, name)

    def perform(self, way, cases, directions):
        """The answers, altered; `alter` is given the number of each."""
        answers = self._target.perform(way, cases, directions)
        return [self._alter(number, answer) for number, answer in enumerate(answers)]


def seen(cell, alter=lambda _, answer: answer):
    assert broken_rule(cell) is None
    return look(Run(Altered(alter), FUNCTIONS[cell["function"]], cell["logits"], "standard", 0), cell, 0)


def with_output(change, only=None):
    def alter(number, answer):
        return answer if only not in (None, number) else replace(answer, outputs=change(answer.outputs))

    return alter


def with_gradient(pull, change):
    def alter(_, answer):
        found = list(answer.derivatives)
        found[pull] = {**found[pull], "logits": change(found[pull]["logits"])}
        return replace(answer, derivatives=tuple(found))

    return alter


def test_a_right_loss_has_no_deviation_and_is_compared():
    """Fails when a cell finds something wrong in a loss that is right, or compares nothing."""
    found = seen(TWICE)
    assert found.deviations == ()
    assert {"loss", "z_loss", "log_z", "by logits", "by z_loss", BITS, VALUE_TYPES, DERIVATIVE_TYPES} <= set(
        found.compared
    )


@pytest.mark.parametrize(
    ("alter", "subject", "is_small"),
    [
        (with_output(lambda found: {**found, "log_z": found["log_z"] * 1.01}), "log_z", False),
        (with_output(lambda found: {**found, "loss": found["loss"] * np.float32(1 + 2e-6)}), "loss", True),
        (with_output(lambda found: {**found, "loss": found["loss"].astype(np.float64)}), VALUE_TYPES, False),
        (with_output(lambda found: {**found, "z_loss": found["z_loss"][:1]}), "z_loss", False),
        (with_output(lambda found: {**found, "loss": found["loss"] + 1}, only=1), "loss", False),
        (with_output(lambda found: {**found, "loss": found["loss"] + np.float32(1e-9)}, only=2), "loss", True),
        (with_output(lambda found: {**found, "loss": np.nextafter(found["loss"], np.float32(9))}, only=3), BITS, False),
        (with_gradient(0, lambda gradient: -gradient), "by logits", False),
        (with_gradient(1, lambda gradient: gradient * 0), "by logits", False),
        (with_gradient(0, lambda gradient: gradient.astype(np.float64)), DERIVATIVE_TYPES, False),
    ],
)
def test_what_is_wrong_in_any_call_is_seen(alter, subject, is_small):
    """Fails when an output, a type, a call, the bits of the last one or a pull-back is not looked at."""
    assert (subject, is_small) in {(found.subject, found.is_small) for found in seen(TWICE, alter).deviations}


@pytest.mark.parametrize(
    ("changes", "subject", "is_small", "expected"),
    [
        ({}, "loss", False, ("VALUE-1",)),
        ({}, "by logits", True, ("ACC-3",)),
        ({"spread": "offset"}, "loss", True, ("ACC-2",)),
        ({"logit_softcap": "small"}, "loss", False, ("VALUE-11",)),
        ({"transform": "eager"}, "loss", False, ("VALUE-9",)),
        ({"transform": "vmap"}, "loss", False, ("GRAD-10",)),
        ({"derivative": "jvp"}, "jvp", False, ("GRAD-8", "DIFF-11")),
        ({"place": "below"}, "by logits", False, ("EXCL-2",)),
    ],
)
def test_the_features_that_a_deviation_needs_are_blamed(changes, subject, is_small, expected):
    """Fails when a clause is broken that the cell is not about, or the plain one although a feature is needed."""
    assert broken({**PLAIN, **changes}, subject, is_small=is_small) == expected


def test_nothing_compared_counts_for_nothing():
    """Fails when a cell in which nothing could be judged counts for the clauses about the way it was called."""
    assert charged({**PLAIN, "transform": "vmap"}, {}) == {}
    assert charged({**PLAIN, "transform": "vmap"}, {"loss": 2})["GRAD-10"] == {"vmap": 1}
    assert "VALUE-1" not in clauses_about({**PLAIN, "logit_softcap": "small"})


def test_a_cell_is_cut_to_what_a_target_offers():
    """Fails when a target is asked for what it does not offer, or a cell that it could be asked for is given up."""
    target = load_target("lossproof")
    cell = {**TWICE, "function": "weighted", "weights": "int32", "weighing": "negative", "label_smoothing": "0.5"}
    cell |= {"label_smoothing form": "traced", "targets": "int32"}
    kept = adapted(cell, target, Offer(("loss",), ("logits", "targets", "z_loss")), dense=True)
    assert (kept["weights"], kept["weighing"], kept["label_smoothing"]) == (ABSENT, ABSENT, ABSENT)
    assert kept["z_loss"] == "0.5" and broken_rule(kept) is None
    needed = Offer(("loss",), ("logits", "targets", "weights"), ("weights",))
    assert adapted({**PLAIN, "function": "weighted"}, target, needed, dense=True)["weights"] == "float32"


def test_the_calm_call_shows_what_a_special_one_hides():
    """Fails when both calls of a cell are masked, special or out of range: an infinite loss hides the rest."""
    cell = {**PLAIN, "masks": "some", "special": "nan", "place": "below", "label_smoothing": "0.5"}
    first, second = calls(cell | {"label_smoothing form": "float"}, 0, ("loss",)).cases
    assert np.any(~np.isfinite(first.logits)) and np.any(first.inputs["targets"] < 0)
    assert np.all(np.isfinite(second.logits)) and np.all(second.inputs["targets"] >= 0)


def test_what_depends_on_an_axis_changes_with_it():
    """Fails when a simpler cell is one that the rules exclude."""
    cell = simplified({**PLAIN, "function": "weighted"}, "weights", "bool")
    assert cell["weighing"] == "ordinary" and broken_rule(cell) is None
    assert simplified(cell, "weights", ABSENT)["weighing"] == ABSENT
    assert FUNCTIONS["weighted"] == WEIGHTED and FUNCTIONS["token"] == TOKEN


@pytest.mark.parametrize("given", ["numpy", "fortran", "strided", "read-only", "big-endian", "list"])
def test_containers_hold_the_same_numbers_and_writing_to_them_is_seen(given):
    """Fails when a layout changes the numbers, or a call that writes to its arguments goes unseen."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    made = given_as(array, given)
    np.testing.assert_array_equal(np.asarray(made, np.float32), array)
    if given not in ("list", "read-only"):
        refuse_changed({"logits": array}, {"logits": made})
        made[0, 0] = 7
        with pytest.raises(Violation, match="changed its argument logits"):
            refuse_changed({"logits": array}, {"logits": made})


@pytest.mark.parametrize("given", AXES["given"])
@pytest.mark.parametrize("name", ["lossproof", "torch", "numpy"])
def test_arrays_in_any_container_are_taken_or_unsupported(name, given):
    """Fails when a container that an adapter cannot pass on is an exception of the suite's own."""
    if name == "torch":
        pytest.importorskip("torch")
    target = load_target(f"{NUMPY_LOSS}:loss" if name == "numpy" else name)
    cell = adapted(
        {**PLAIN, "given": given, "transform": "eager", "derivative": "values"},
        target,
        target.offer(TOKEN),
        dense=False,
    )
    try:
        found = look(Run(target, TOKEN, "float32", "standard", 0), cell, 0)
    except Unsupported:
        assert (name, given) in {
            ("torch", "big-endian"),
            *((other, g) for other in ("torch", "numpy") for g in NO_NUMPY),
        }
    else:
        assert found.compared


def test_tangents_of_integers_are_zeros():
    """Fails when the derivative of a loss that counts its tokens in integers ends a run with an error."""
    found = as_numbers(np.zeros((2, 3), jax.dtypes.float0))
    assert (found.dtype, found.shape) == (np.float32, (2, 3)) and not found.any()
    assert as_numbers(np.ones(2)).dtype == np.float64


def test_a_mean_of_nothing_has_a_value_and_no_derivatives():
    """Fails when a sound mean is held to a derivative where no token counts, or its value there is not judged."""

    def mean(logits, targets, weights):
        total, _, weight_sum = compute_weighted_cross_entropy(logits, targets, weights)
        return total / weight_sum

    target = function_target("mean", mean)
    assert target.convention.reduction == "mean"
    changed = {"function": "weighted", "batch": "scalar", "weights": "bool", "weighing": "ordinary"}
    cell = {**PLAIN, **changed, "derivative": "vjp", "cotangent": "loss"}
    found = look(Run(target, WEIGHTED, "float32", "standard", 0), cell, 0)
    assert not found.deviations
    assert found.compared["loss"] > found.compared["by logits"] > 0


def test_nothing_is_said_of_an_undefined_loss_along_scalars():
    """Fails when a NaN in a row that is masked as a whole counts as wrong because scalars do not move its log_z."""
    cell = {
        **PLAIN,
        "label_smoothing": "0.1",
        "label_smoothing form": "traced",
        "z_loss": "0.5",
        "z_loss form": "traced",
        "masks": "all but one",
        "place": "masked",
        "derivative": "jvp",
        "by": "scalars",
        "logits": "bfloat16",
    }
    found = seen(cell)
    assert not found.deviations
    assert found.compared["jvp"] >= 3  # of the tokens that are defined


def test_a_wrong_gradient_of_a_further_result_is_charged_to_the_clause_about_these():
    """Fails when GRAD-7, which speaks of cotangents in general, is blamed for what GRAD-13 says."""
    cell = {**PLAIN, "also": "e", "derivative": "vjp", "cotangent": "further"}
    assert broken(cell, BY_LOGITS, is_small=False) == ("GRAD-13",)


def test_derivatives_by_scalars_alone_are_of_nothing_else():
    """Fails when a cell that says so differentiates by arrays, too, or by fewer scalars than there are."""
    scalars = {"label_smoothing": "0.1", "z_loss": "0.5", "factor": "37"}
    cell = {**PLAIN, "function": "weighted", "weights": "float32", "weighing": "ordinary", **scalars}
    cell |= {f"{name} form": "traced" for name in scalars} | {"derivative": "vjp", "cotangent": "loss", "by": "scalars"}
    compared = seen(cell).compared
    assert {s for s in compared if s.startswith("by ")} == {
        "by label_smoothing",
        "by z_loss",
        "by loss_normalizing_factor",
    }


def test_what_is_wrong_in_plain_reverse_mode_is_not_charged_to_the_second_pull_back():
    """Fails when a failing cell keeps "vjp twice" and several cotangents: GRAD-7 is blamed for any wrong gradient."""
    cell = {**TWICE, "z_loss": ABSENT, "z_loss form": ABSENT}

    def wrong(_, answer):
        return replace(answer, derivatives=tuple({"logits": 2 * d["logits"]} for d in answer.derivatives))

    run = Run(Altered(wrong), TOKEN, "float32", "standard", 0)
    simplest, deviation = _simplest(run, cell, look(run, cell, 0).deviations[0])
    assert (simplest["derivative"], simplest["cotangent"]) == ("vjp", "loss")
    assert broken(simplest, deviation.subject, is_small=False) == ("GRAD-1",)


def test_a_loss_of_dense_targets_without_a_penalty_has_cells():
    """Fails when such a loss is judged in no cell, because the specification's own function has no default there."""
    target = load_target("optax-dense")
    offer = target.offer(DENSE)
    cells = [cell for cell in stored("standard") if cell["function"] == "dense"]
    kept = [adapted(cell, target, offer, dense=True) for cell in cells]
    assert None not in kept
    assert {cell["z_loss"] for cell in kept} == {ABSENT}
    small = {**kept[0], **{axis: PLAIN[axis] for axis in ("logits", "batch", "classes", "transform", "derivative")}}
    small |= {"targets": "dense float32", "cotangent": ABSENT}
    run = Run(target, DENSE, "float32", "standard", 0)
    found = look(run, small, 0)
    assert found.compared["type of values"]
    changed = Altered(lambda _, answer: replace(answer, outputs={name: 2 * v for name, v in answer.outputs.items()}))
    changed._target = target
    run = Run(changed, DENSE, "float32", "standard", 0)
    cell = {**small, "masks": "some", "spread": "wide"}
    simplest, _ = _simplest(run, cell, look(run, cell, 0).deviations[0])
    assert (simplest["masks"], simplest["spread"], simplest["z_loss"]) == ("none", "normal", ABSENT)
