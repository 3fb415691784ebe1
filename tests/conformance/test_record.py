"""The JSON result: what it counts, and that nothing in it depends on where it was made."""

import json
import math

import pytest

from lossproof.conformance import Request, Result, Summary
from lossproof.conformance.judging.result import FAIL, FARTHEST, PASS, UNBOUNDED, ZERO
from lossproof.conformance.judging.tally import Tally, bin_of
from lossproof.conformance.report.record import document, utilisation

IDENTITY = {"target": {"name": "mine"}, "device": "cpu"}
REQUEST = Request("mine.py:loss", only=("VALUE-1",), convention="uniform no-entropy")


def made(results, request=REQUEST):
    return document(Summary(results), request, IDENTITY, started="2026-01-31T12:00:00+00:00", seconds=1.5)


def unit(name, verdict=PASS, **settings):
    return Result(f"{name}[token-float32]", ("VALUE-1",), verdict, **settings)


def test_utilisation_is_counted_in_bins_that_hold_it():
    """Fails when a share is counted beside its bin, or 0 and infinity are lost."""
    for share in (1e-6, 1e-3, 0.5, math.sqrt(0.5), 0.7072, 1.0, 1.5, 1e6):
        (bin_,) = utilisation([unit("a", histogram={"values": {bin_of(share): 1}})], "values")["histogram"]
        low, high, count = bin_
        assert low < share <= high and count == 1, share
    assert (bin_of(0.0), bin_of(math.inf)) == (ZERO, UNBOUNDED)
    assert (bin_of(1e-300), bin_of(1e300)) == (str(-FARTHEST), str(FARTHEST))


def test_quantiles_are_upper_edges_of_the_bins_they_fall_into():
    """Fails when a quantile is below the arrays that it speaks of."""
    counts = {"values": {ZERO: 49, "-4": 41, "0": 9, UNBOUNDED: 1}}
    found = utilisation([unit("a", histogram=counts)], "values")
    assert found["quantiles"] == {"0.5": 0.25, "0.9": 0.25, "0.99": 1.0, "1": None}
    assert [count for *_, count in found["histogram"]] == [49, 41, 9, 1]
    assert utilisation([unit("a")], "gradients") == {"histogram": [], "quantiles": {}}


def test_a_tally_keeps_the_first_violation_and_nothing_after_it():
    """Fails when shrinking, which repeats a failure many times, fills the histogram."""
    tally = Tally()
    for share in (0.5, 3.0, 4.0, 0.25):
        tally.add("values", share, f"case {share}")
    assert (tally.values, tally.worst) == (3.0, "case 3.0")
    assert tally.histogram == {"values": {bin_of(0.5): 1, bin_of(3.0): 1}}


def test_numbers_that_json_does_not_have_are_null():
    """Fails when a result with an infinite error is no JSON."""
    found = made([unit("a", FAIL, values=math.inf, worst="case", cases=1)])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["units"][0]["values"] is None and found["worst"][0]["utilisation"] is None


def test_only_the_environment_may_differ():
    """Fails when time, host or the number of processes is spread over the result."""
    first = made([unit("a", cases=3, seconds=1.0)])
    other = document(
        Summary([unit("a", cases=3, seconds=9.0)]),
        Request("mine.py:loss", only=("VALUE-1",), convention="uniform no-entropy", workers=7),
        IDENTITY,
        started="2027-01-31T12:00:00+00:00",
        seconds=99.0,
    )
    assert first != other
    assert first | {"environment": None} == other | {"environment": None}


def test_the_worst_cases_come_first_with_a_command_for_each():
    """Fails when the input to look at first is not the first, or cannot be repeated."""
    found = made([unit("a", values=0.5, worst="x"), unit("b", gradients=0.75, worst="y"), unit("c")])["worst"]
    assert [(each["case"], each["quantity"]) for each in found] == [("y", "gradients"), ("x", "values")]
    assert found[0]["command"] == (
        "lossproof check mine.py:loss --level standard --seed 0 --only 'b[token-float32]' "
        "--convention 'uniform no-entropy'"
    )


@pytest.mark.parametrize("target", ["exec:./a.out -x", "torch"])
def test_a_command_names_the_target_as_it_was_given(target):
    """Fails when the command of a program cannot be pasted."""
    words = {"exec:./a.out -x": "--exec './a.out -x'", "torch": "torch"}[target]
    assert Request(target).command() == f"lossproof check {words} --level standard --seed 0"
