"""Production shapes: the oracle is asked the question that the target gets, and what breaks there alone is caught."""

import jax
import numpy as np
import pytest

from lossproof.conformance import load_target
from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.exact import exact_gradients, exact_values
from lossproof.conformance.judging.language import dense_batch, hard_batch, language_inputs
from lossproof.conformance.judging.result import FAIL, PASS
from lossproof.conformance.mutants import MUTANTS
from lossproof.conformance.mutants.load import load
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite.checks import production
from lossproof.conformance.suite.units import run_unit
from lossproof.reference.bounds import Bounds
from lossproof.spec import DENSE, LOSSPROOF, TOKEN, WEIGHTED

EDITS = {edit.name: edit for edit in MUTANTS}

# What is seen in long rows alone.
LONG = [
    ("tokens[token", "targets_in_16_bits", "VALUE-1"),
    ("tokens[token", "last_block_of_1024_dropped", "VALUE-1"),
    ("totals[weighted", "last_block_of_1024_dropped", "VALUE-5"),
    ("dense_targets[dense", "last_block_of_1024_dropped", "VALUE-7"),
    ("gradient[weighted", "targets_in_16_bits", "GRAD-1"),
    ("gradient[token", "classes_summed_one_by_one", "ACC-3"),
]
SHORT = [
    ("masked_vocabulary[token", "masked_logit_times_0", "STATE-1"),
    ("padding[weighted", "nan_under_weight_0", "EXCL-1"),
    ("target_out_of_range[token", "nan_times_in_range", "EXCL-2"),
]


@pytest.fixture(autouse=True)
def usual_promotion():
    """The base that mutants are made of is plain JAX; under the strict promotion of our tests it would only raise."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def batch(kind, tokens=6, classes=33):
    """A small one of each kind: function, and whether smoothed."""
    function, smoothed = kind
    inputs = language_inputs(3, tokens, classes, "bfloat16", masked=0 if smoothed else 4)
    if function == DENSE:
        return dense_batch(Case(TOKEN, {**inputs, "z_loss": 0.125}), LOSSPROOF, smoothed=smoothed)
    scalars = {"label_smoothing": 0.25 * smoothed, "z_loss": 0.125}
    if function == WEIGHTED:
        weights = np.array([1, 0.5, 0, 1, 2, 1], np.float32)
        scalars |= {"weights": weights, "loss_normalizing_factor": 5.5}
    return hard_batch(Case(function, {**inputs, **scalars}), LOSSPROOF)


KINDS = [(function, smoothed) for function in (TOKEN, WEIGHTED, DENSE) for smoothed in (False, True)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_oracle_is_asked_what_the_target_is_asked(kind):
    """Fails when the right answer at production shapes is that to another question."""
    made = batch(kind)
    exact, brackets = exact_values(made.case, LOSSPROOF), made.exact_values()
    for name, expected in exact.items():
        np.testing.assert_array_equal(brackets[name].high, expected.high, err_msg=name)
    ones = np.ones(() if kind[0] == WEIGHTED else 6)
    expected = exact_gradients(made.case, {"loss": ones}, LOSSPROOF)["logits"].high
    found = np.concatenate([bracket.high for _, bracket in made.exact_rows()])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bounds_of_the_parts_are_those_of_the_whole(kind, monkeypatch):
    """Fails when cutting a batch, which saves memory, changes how large an error may be."""
    made = batch(kind)
    monkeypatch.setattr("lossproof.conformance.judging.language.BLOCK", 2 * 33)
    parts = [Bounds(part).values() for part in made.parts()]
    assert len(parts) == 3
    for name, bound in Bounds(made.case).values().items():
        of_parts = [part[name] for part in parts]
        joined = np.sum(of_parts) if kind[0] == WEIGHTED else np.concatenate(of_parts)
        np.testing.assert_array_almost_equal_nulp(joined, bound, nulp=len(parts))


def test_batches_are_as_of_a_language_model():
    """Fails when targets stay in one corner of the vocabulary, or no token is confident, or all are."""
    inputs = language_inputs(0, 64, 4096, "float32")
    logits, targets = inputs["logits"].astype(np.float64), inputs["targets"]
    assert targets.min() < 4096 // 8 and targets.max() > 4096 - 4096 // 8
    right = np.argmax(logits, axis=-1) == targets
    assert 64 // 4 < np.count_nonzero(right) < 64
    shares = np.exp(logits.max(-1) - np.logaddexp.reduce(logits, axis=-1))
    assert shares.min() < 0.5 < shares.max()


def test_smoke_can_tell_of_a_loss_without_further_arguments(loss_file):
    """Fails when a good loss of two arguments gets no verdict, because the few tokens that smoke has are confident."""
    target = load_target(loss_file("good"))
    for seed in range(12):
        for name in ("masked_vocabulary", "target_out_of_range"):
            (unit,) = selected_units([f"production.{name}[token-float32]"], "smoke")
            verdict = run_unit(unit, target, "smoke", seed).verdict
            assert verdict in {PASS, FAIL}, (seed, name)


def broken(name, mutant, level):
    dtype = "float32" if level == "smoke" or name.startswith("gradient") else "bfloat16"
    (unit,) = selected_units([f"production.{name}-{dtype}]"], "standard")
    return run_unit(unit, load(EDITS[mutant]), level, 0)


@pytest.mark.parametrize(("name", "mutant", "clause"), SHORT)
@pytest.mark.thorough
def test_what_breaks_in_short_rows_is_caught_at_once(name, mutant, clause):
    """Fails when a check of production shapes passes a broken loss, or blames another clause."""
    result = broken(name, mutant, "smoke")
    assert result.verdict == FAIL and clause in result.broken and "raised" not in result.message, result


@pytest.mark.parametrize(("name", "mutant", "clause"), LONG)
@pytest.mark.thorough
def test_what_breaks_in_long_rows_alone_is_caught(name, mutant, clause, monkeypatch):
    """Fails when no check reaches the rows of production."""
    monkeypatch.setitem(production.SHAPES, "standard", ((8, 128256),))
    result = broken(name, mutant, "standard")
    assert result.verdict == FAIL and clause in result.broken and "raised" not in result.message, result
    if clause == "ACC-3":
        assert result.broken == (clause,)  # it means the right thing


def test_exhaustive_is_the_full_size():
    """Fails when the shape that the specification's authors promise is never run."""
    assert (512, 128256) in production.SHAPES["exhaustive"]
