"""The model of calls, the covering arrays of it, and what a run says that it has looked at."""

import json
from itertools import combinations

import numpy as np
import pytest

from lossproof import reference
from lossproof.conformance import Result
from lossproof.conformance.coverage import AXES, broken_rule
from lossproof.conformance.coverage._arrays import Model, covering_array, met
from lossproof.conformance.coverage.batches import AXES as BATCH_AXES, RULES as BATCH_RULES
from lossproof.conformance.coverage.cases import calls, exact_case
from lossproof.conformance.coverage.model import BEGUN, CORE, Rule
from lossproof.conformance.coverage.stored import pairs, stored, stored_batches, written
from lossproof.conformance.coverage.triples import covering, told, triples
from lossproof.conformance.running.covered import FLOOR, covered, too_little
from lossproof.conformance.running.selection import LEVELS

PAIRS = 12126  # of the model, at level standard
SMALL = {"a": ("0", "1", "2"), "b": ("0", "1"), "c": ("0", "1", "2", "3"), "d": ("0", "1")}
APART = (
    Rule(("a", "b"), lambda a, b: a != "2" or b == "0", "apart"),
    Rule(("b", "c", "d"), lambda *v: v != ("1",) * 3, "x"),
)


def test_an_array_has_every_pair_that_the_rules_allow():
    """Fails when a pair that some cell has is in no cell of the array, or a cell breaks a rule."""
    model = Model(SMALL, APART)
    cells = covering_array(model, model.possible())
    allowed = {
        pair
        for row in np.ndindex(*map(len, SMALL.values()))
        for values in [[names[i] for names, i in zip(SMALL.values(), row, strict=True)]]
        if all(rule.holds(*(values[list(SMALL).index(axis)] for axis in rule.axes)) for rule in APART)
        for pair in combinations(model.numbers(values), 2)
    }
    assert set(model.possible()) == allowed
    assert allowed <= met(model, cells)
    assert all(rule.holds(*(cell[axis] for axis in rule.axes)) for cell in cells for rule in APART)


SMALL_BATCHES = {**SMALL, "batch": ("5", "0x3"), "e": ("0", "1", "2")}
WITH_TOKENS = (
    *APART,
    Rule(("batch", "a"), lambda b, a: b == "5" or a != "0", "apart"),
    Rule(("a", "b", "c", "e"), lambda a, b, c, e: (a == b) <= (c != e), "x"),
    Rule(("d", "e"), lambda d, e: d == "0" or e != "2", "x"),
    Rule(("batch", "c", "e"), lambda b, c, e: b == "0x3" or c != "3" or e != "1", "without tokens alone"),
)


@pytest.mark.parametrize("seed", range(5))
def test_cells_have_every_triple_that_the_rules_allow(seed):
    """Fails when a triple that some cell tells of is told by none of those found, or a cell breaks a rule."""
    names = list(SMALL_BATCHES)
    number = {(name, value): i for i, (name, value) in enumerate((n, v) for n in names for v in SMALL_BATCHES[n])}
    every = [
        {name: SMALL_BATCHES[name][i] for name, i in zip(names, row, strict=True)}
        for row in np.ndindex(*map(len, SMALL_BATCHES.values()))
    ]
    allowed = [cell for cell in every if all(rule.holds(*(cell[a] for a in rule.axes)) for rule in WITH_TOKENS)]
    found = covering(SMALL_BATCHES, WITH_TOKENS, seed)
    assert all(cell in allowed for cell in found)
    assert np.array_equal(told(found, number), told(allowed, number))
    assert len(found) < len(allowed) / 2
    assert found == covering(SMALL_BATCHES, WITH_TOKENS, seed)


@pytest.mark.thorough
def test_exhaustive_has_every_triple_that_standard_has():
    """Fails when the search for cells loses a triple: those that the cells of standard happen to have are possible."""
    number = {(name, value): i for i, (name, value) in enumerate((n, v) for n in AXES for v in AXES[n])}
    for function in AXES["function"]:
        cells = triples(function)
        assert all(broken_rule(cell) is None for cell in cells)
        ours = told(cells, number)
        assert not np.any(told([c for c in stored("standard") if c["function"] == function], number) & ~ours)


def test_standard_has_as_many_pairs_as_are_possible():
    """Fails when rows.json is not of this model, or lost a row; the next test makes sure of the number."""
    cells = stored("standard")
    assert all(broken_rule(cell) is None for cell in cells)
    assert len(met(Model(AXES), cells)) == PAIRS
    assert len(pairs(cells)) == PAIRS  # none of them in empty batches alone


def test_an_empty_batch_tells_of_itself_alone():
    """Fails when what meets where there is nothing to compare counts as looked at."""
    cell = {axis: values[0] for axis, values in AXES.items()}
    empty = pairs([{**cell, "batch": "0x3"}])
    assert len(pairs([cell])) == len(AXES) * (len(AXES) - 1) // 2
    assert len(empty) == len(AXES) - 1
    assert all(("batch", "0x3") in pair for pair in empty)


@pytest.mark.parametrize("function", ["token", "weighted", "dense"])
def test_a_cell_has_a_call_of_confident_tokens_unless_something_hides_their_losses(function):
    """Fails when accuracy where losses are tiny is a matter of luck, or a call claims what it cannot tell."""
    outputs = ("loss", "z_loss", "log_z")
    told = 0
    for cell in (cell for cell in stored("standard") if cell["function"] == function):
        asked = calls(cell, 0, outputs)
        if len(asked.cases) == 2:
            continue
        told += 1
        case = exact_case(asked.cases[2]).with_inputs(weights=None, loss_normalizing_factor=None)
        losses = reference.token_cross_entropy(
            case.logits, case.inputs["targets"], logit_softcap=case.softcap
        ).loss.values
        assert not case.inputs.get("label_smoothing") and not case.inputs.get("z_loss")
        assert 0 <= float(max(loss.float_pair()[0] for loss in losses)) < case.logits.shape[-1] * 5e-5
    assert told >= (3 if function == "dense" else 10)
    plain = {axis: values[0] for axis, values in AXES.items()}
    for hides in ({"label_smoothing": "0.5"}, {"z_loss": "0.5"}, {"logit_softcap": "small"}, {"batch": "0x3"}):
        forms = {f"{name} form": "float" for name in hides if f"{name} form" in AXES}
        assert len(calls({**plain, **hides, **forms}, 0, outputs).cases) == 2, hides


@pytest.mark.thorough
def test_standard_has_every_pair_that_is_possible():
    """Fails when rows.json lacks a pair of the model: a cell that starts from it can be completed."""
    model = Model(AXES)
    found = met(model, stored("standard"))
    assert len(found) == PAIRS
    order = range(len(AXES))
    missing = [c for c in model.pairs() if c not in found and model.completed(model.partial(c), order)]
    assert not missing


def test_smoke_and_batches_have_every_pair_that_is_possible():
    """Fails likewise, for the core that level smoke has, and for batches of the normalising factors."""
    for model, cells in ((Model(CORE), stored("smoke")), (Model(BATCH_AXES, BATCH_RULES), stored_batches())):
        assert set(model.possible()) <= met(model, cells)


def test_every_value_of_every_axis_makes_calls_of_its_own():
    """Fails when a value of an axis changes nothing about the calls: it would count as looked at, and was not."""
    outputs = ("loss", "z_loss", "log_z")
    for axis, values in AXES.items():
        if axis in ("function", "cotangent"):
            continue
        for value in values[1:]:
            cells = [c for c in stored("standard") if c[axis] == value]
            cells.sort(key=lambda c: c["batch"] == "0x3" or c["classes"] == "1")  # where there is little to change
            others = [v for v in values if v != value and broken_rule({**cells[0], axis: v}) is None]
            for other in others[:2]:
                ours, its = calls(cells[0], 0, outputs), calls({**cells[0], axis: other}, 0, outputs)
                assert ours.way != its.way or _differ(ours.cases, its.cases), (axis, value, other)


def test_the_last_class_is_among_the_edges():
    """Fails when whether a class beyond 2^17 is ever a target, or told from another, is a matter of luck."""
    plain = {axis: values[0] for axis, values in AXES.items()}
    for seed in range(4):
        inputs = calls({**plain, "classes": "131101", "place": "edge"}, seed, ("loss",)).cases[0].inputs
        row = inputs["logits"][list(inputs["targets"]).index(131100)]
        assert np.count_nonzero(row == row[131100]) == 1


def test_standard_has_what_it_begins_with():
    """Fails when a first cell of the model is in no row, or has beside what it is for something that hides it."""
    for values in BEGUN:
        assert any(values.items() <= cell.items() for cell in stored("standard")), values


def _differ(ours, its):
    return [_frozen(case.inputs) for case in ours] != [_frozen(case.inputs) for case in its]


def _frozen(inputs):
    return {
        name: (value.dtype.name, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
        for name, value in inputs.items()
    }


def test_equal_cells_and_seeds_make_equal_calls():
    """Fails when two processes could judge different cases under one name."""
    cell = stored("standard")[0]
    assert _frozen(calls(cell, 3, ("loss",)).cases[0].inputs) == _frozen(calls(cell, 3, ("loss",)).cases[0].inputs)
    assert _differ(calls(cell, 3, ("loss",)).cases, calls(cell, 4, ("loss",)).cases)


def entries(cells, verdict="pass"):
    return [{"cell": dict(cell), "verdict": verdict} for cell in cells]


def result(cells):
    return Result("calls.pairs[token-float32]", (), "pass", coverage={"cells": cells})


def test_a_run_says_what_it_covers():
    """Fails when unsupported cells count as judged, or the table of a value does not add up."""
    some, others = stored("standard")[:40], stored("standard")[40:60]
    found = covered([result(entries(some)), result(entries(others, "unsupported"))], "standard")
    assert found["cells"] == {"pass": 40, "fail": 0, "unsupported": 20}
    assert found["pairs"]["judged"] == len(pairs(some))
    assert found["pairs"]["unsupported"] == len(pairs(others) - pairs(some))
    assert sum(sum(counts) for counts in found["axes"]["logits"].values()) == 60
    assert covered([Result("other[token-float32]", (), "pass")], "standard") == {}


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_says_what_it_covers(level, monkeypatch):
    """Fails when a run of hours has no report in the end, or counts as triples what its cells do not have."""
    monkeypatch.setattr(
        "lossproof.conformance.running.covered.triples",
        lambda function: [c for c in stored("smoke") if c["function"] == function],
    )
    some, others = stored("smoke")[:10], stored("smoke")[10:20]
    found = covered([result(entries(some)), result(entries(others, "unsupported"))], level)
    assert 0 < found["pairs"]["judged"] < found["pairs"]["model"] <= found["pairs"]["all"] - found["pairs"]["excluded"]
    assert (found["triples"] is not None) == (level == "exhaustive")
    if level == "exhaustive":
        both = set(combinations(AXES, 3))
        judged = {tuple((a, cell[a]) for a in axes) for cell in some for axes in both}
        left = {tuple((a, cell[a]) for a in axes) for cell in others for axes in both} - judged
        assert (found["triples"]["judged"], found["triples"]["unsupported"]) == (len(judged), len(left))
        assert found["triples"]["all"] - found["triples"]["excluded"] == found["triples"]["model"]


@pytest.mark.parametrize("axis", ["targets", "transform", "derivative", "weights", "batch", "place"])
def test_a_generator_that_is_gone_is_seen(axis):
    """Fails when the cells without one value of an axis cover as much as all."""
    whole = covered([result(entries(stored("standard")))], "standard")["pairs"]["judged"]
    assert whole == len(pairs(stored("standard")))
    for value in AXES[axis]:
        left = [cell for cell in stored("standard") if cell[axis] != value]
        fewer = covered([result(entries(left))], "standard")["pairs"]["judged"]
        assert fewer <= whole - len(AXES) + 1  # with one value of each other axis at least


def test_too_little_is_no_verdict():
    """Fails when a run that could judge next to nothing has a verdict."""
    few, rest = stored("standard")[:4], stored("standard")[4:]
    coverage = covered([result(entries(few)), result(entries(rest, "unsupported"))], "standard")
    assert coverage["pairs"]["share"] < FLOOR
    assert "too little was looked at" in too_little(coverage)
    assert not too_little(covered([result(entries(rest))], "standard"))
    assert not too_little({})


@pytest.mark.thorough
def test_the_rows_are_what_the_model_gives(tmp_path):
    """Fails when rows.json lacks a pair, or making it anew loses a cell that is there."""
    written(tmp_path / "rows.json")
    made = json.loads((tmp_path / "rows.json").read_text("utf-8"))
    kept = {level: [list(cell.values()) for cell in stored(level)] for level in ("smoke", "standard")}
    for level, rows in kept.items():
        assert [[AXES[axis][i] for axis, i in zip(AXES, row, strict=True)] for row in made[level]] == rows
