"""The oracle against the reference: every bracket must hold the whole enclosure."""

import math
import random
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from lossproof import reference
from lossproof.reference import Convention, oracle
from lossproof.reference.oracle import _exp, _log1p, _problem, _row_sums

from ._cases import KINDS
from ._oracle_brackets import exact, flat, misses

DIGITS = 45  # more than the 29 or so that a bracket has
TYPES = {
    "bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float64
}  # fmt: skip
INF, NAN = math.inf, math.nan
CONVENTIONS = {
    "lossproof": reference.LOSSPROOF,
    "torch": Convention(smoothing="uniform", subtract_entropy=False, add_z_loss=False, ignore_index=1),
    "uniform": Convention(smoothing="uniform"),
    "no z": Convention(add_z_loss=False),
    "mean": Convention(reduction="mean"),
    "batch mean": Convention(reduction="batch_mean", subtract_entropy=False),
}
HALF_ULP = Fraction(1, 2**54)  # the least that half an ulp of float64 can be, relative to the number


def batch(kind, dtype, classes, tokens=4, seed=0):
    """Logits [tokens, classes] of a type, with targets; the logits may overflow to infinities."""
    rng = random.Random(f"{kind} {dtype} {classes} {seed}")  # noqa: S311  a seed, not a secret
    rows = [KINDS[kind](rng, classes) for _ in range(tokens)]
    targets = [0 if kind in ("confident", "wrong") else rng.randrange(classes) for _ in range(tokens)]
    with np.errstate(over="ignore"):
        return np.array(rows, np.float64).astype(TYPES[dtype]), targets


def value_misses(logits, targets, convention=reference.LOSSPROOF, **scalars):
    brackets = oracle.token_cross_entropy(logits, targets, convention=convention, **scalars)
    answers = reference.token_cross_entropy(logits, targets, convention=convention, digits=DIGITS, **scalars)
    return [
        (name, miss) for name in brackets._fields for miss in misses(getattr(brackets, name), getattr(answers, name))
    ]


def batch_misses(arguments, cotangents, convention=reference.LOSSPROOF):
    """Those of the totals, and those of the logits gradient."""
    brackets = oracle.compute_weighted_cross_entropy(*arguments, convention=convention)
    answers = reference.compute_weighted_cross_entropy(*arguments, convention=convention, digits=DIGITS)
    rows = oracle.logits_gradient_rows(*arguments, cotangents=cotangents, convention=convention)
    gradients = reference.compute_weighted_cross_entropy_gradients(
        *arguments, cotangents=cotangents, convention=convention, digits=DIGITS
    )
    found = [(name, misses(getattr(brackets, name), [getattr(answers, name)])) for name in brackets._fields]
    found.append(("gradient", misses(flat(rows), gradients.logits)))
    return [(name, wrong) for name, wrong in found if wrong]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_token_brackets_hold_the_exact_values(dtype, kind):
    """Fails when a value of the oracle is off by more than its radius."""
    for classes in (1, 2, 3, 20):
        logits, targets = batch(kind, dtype, classes)
        for scalars in ({}, {"label_smoothing": 0.1, "z_loss": 1e-4}, {"label_smoothing": Fraction(1, 3)}):
            assert value_misses(logits, targets, **scalars) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_batch_brackets_hold_totals_and_gradient(dtype, kind):
    """Fails when a total or an entry of a gradient row is off by more than its radius."""
    for classes in (1, 2, 3, 20):
        logits, targets = batch(kind, dtype, classes, seed=1)
        weights = np.array([0.5, 0, 1.25, -3], np.float32)
        for scalars in ((0.0, 0.0, None), (0.1, 1e-4, 7)):
            arguments = (logits, targets, weights, *scalars)
            if kind == "huge" and dtype == "float64" and scalars[1]:
                continue  # coefficients beyond 2^900 are refused, and tested below
            assert batch_misses(arguments, {"loss": 1.5, "z_loss": -0.25}) == []


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_every_convention_is_the_reference_s(convention, smoothing):
    """Fails when the oracle judges a peer by another convention than the reference."""
    for classes in (1, 2, 5):
        logits, targets = batch("normal", "float32", classes, tokens=6)
        assert value_misses(logits, targets, convention, label_smoothing=smoothing, z_loss=0.1) == []
        arguments = (logits, targets, [1, 2, 0, 0.5, 1, 3], smoothing, 0.1, 3)
        assert batch_misses(arguments, {"loss": 1}, convention) == []


@pytest.mark.parametrize("classes", [257, 4096])
def test_long_rows_hold(classes):
    """Fails when an error grows with the vocabulary beyond what its radius allows."""
    logits, targets = batch("normal", "float32", classes, tokens=1)
    assert value_misses(logits, targets, label_smoothing=0.1, z_loss=1e-4) == []
    assert batch_misses((logits, targets), {"loss": 1}) == []


def test_sums_of_wide_gaps_hold():
    """Fails when the sum of gaps has a larger error than its radius says: here nothing else has one."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(10, 60)) * 10 ** rng.uniform(0, 30, (10, 60))
    assert value_misses(logits, rng.integers(0, 60, 10).tolist(), label_smoothing=0.5) == []


def test_a_gradient_whose_coefficient_cancels_holds():
    """Fails when the error of 1 + 2 k lse is left out: k = -1 / (2 lse) leaves nothing else of it."""
    for seed in range(5):
        logits, targets = batch("normal", "float64", 20, tokens=1, seed=seed)
        k = -0.5 / float(oracle.token_cross_entropy(logits, targets).log_z.high[0])
        assert batch_misses((logits, targets, None, 0.0, k), {"loss": 1}) == []


@pytest.mark.parametrize("weight", [1e-290, 1e-307, 5e-324])
def test_gradients_near_the_smallest_numbers_hold(weight):
    """Fails when products of subnormal numbers are off by more than the radius says."""
    logits = np.array([np.linspace(0, -reach, 30) for reach in (5, 60, 400)])
    for scalars in ((0.0, 0.0), (0.1, 1e-4)):
        assert batch_misses((logits, [0, 3, 1], [weight, 3 * weight, weight], *scalars), {"loss": 1}) == []


SPECIAL_ROWS = {
    "masked": [1.0, -INF, 0.5, -INF],
    "one masked": [1.0, -INF, 0.5, 2.0],
    "all masked": [-INF] * 4,
    "one left": [-INF, 2.0, -INF, -INF],
    "inf": [1.0, INF, 0.0, -INF],
    "nan": [1.0, NAN, INF, -INF],
    "ordinary": [0.25, 1.0, -3.0, 2.0],
    "beyond the range of exp": [0.0, -1e5, -800.0, -600.0],
    "gaps that overflow": [1.7e308, -1.7e308, 1.7e308, 0.0],
    "at the edge": [0.0, -620.0, np.nextafter(-620.0, -INF), np.nextafter(-620.0, 0)],
    "all equal": [3e38] * 4,
    "tiny": [5e-324, 0.0, -5e-324, 1e-310],
}


@pytest.mark.parametrize("row", SPECIAL_ROWS.values(), ids=SPECIAL_ROWS)
@pytest.mark.parametrize("smoothing", [0.0, 0.25, 1.0])
def test_special_rows_hold(row, smoothing):
    """Fails when a masked, infinite, undefined or far-off logit leads to a wrong state or a wrong number."""
    logits, targets = np.array([row] * 5), [0, 1, 2, 3, 4]
    assert value_misses(logits, targets, label_smoothing=smoothing) == []
    assert value_misses(logits, targets, label_smoothing=smoothing, z_loss=1e-3) == []
    for i in range(5):
        assert batch_misses((logits[i : i + 1], targets[i : i + 1], None, smoothing), {"loss": 1}) == []


@pytest.mark.parametrize("bad", [NAN, INF, 0.0])
def test_special_coefficients_hold(bad):
    """Fails when a weight, z_loss or factor that is not finite, or a factor of 0, leads to another state (STATE-8)."""
    logits = np.array([[1.0, 2.0], [NAN, 0.0], [0.0, -INF], [3.0, 1.0]])
    targets = [0, 0, 1, 2]
    for weights in ([bad, 0, 0, 1], [0, 0, 0, bad], [1, 0, bad, 1], [-1.0, 0, 1, 1]):
        for scalars in ((0.0, 0.0, None), (0.1, bad, None), (0.0, 0.1, bad), (0.0, 0.0, -2.0)):
            for cotangents in ({"loss": 1}, {"z_loss": 1}, {}):
                assert batch_misses((logits, targets, weights, *scalars), cotangents) == []
            assert batch_misses((logits, targets, weights, *scalars), {"loss": 1}, CONVENTIONS["no z"]) == []


def test_excluded_tokens_are_exactly_0():
    """Fails when an excluded token's undefined logits reach a result (EXCL)."""
    logits = np.array([[NAN, INF], [-INF, -INF]])
    totals = oracle.compute_weighted_cross_entropy(logits, [0, 7], [0, 1], 0.0, 0.0, 0)
    assert [tuple(map(float, bracket)) for bracket in totals] == [(0, 0, 0)] * 3
    rows = flat(oracle.logits_gradient_rows(logits, [0, 7], [0, 1], cotangents={"loss": 1}))
    assert not np.any(rows)


def test_an_empty_batch_is_0():
    """Fails when N = 0 is an error (SHAPE-4)."""
    totals = oracle.compute_weighted_cross_entropy(np.zeros((0, 3)), np.zeros(0, int))
    assert [tuple(map(float, bracket)) for bracket in totals] == [(0, 0, 0)] * 3
    assert oracle.token_cross_entropy(np.zeros((0, 3)), np.zeros(0, int)).loss.high.shape == (0,)
    assert list(oracle.logits_gradient_rows(np.zeros((0, 3)), np.zeros(0, int), cotangents={"loss": 1})) == []


def test_results_have_the_shape_of_the_tokens():
    """Fails when axes before the last are lost."""
    loss = oracle.token_cross_entropy(np.zeros((2, 3, 4), np.float32), np.zeros((2, 3), int)).loss
    assert {part.shape for part in loss} == {(2, 3)}


@pytest.mark.parametrize("kind", ["normal", "equal", "confident", "wrong", "offset"])
def test_the_radius_is_small_enough_to_judge_float64(kind):
    """Fails when brackets hold because they are wide: each must say more than the nearest float64 does.

    Not where every class but one is more than 620 below: the rest is then only known to be less than 2^-894 each.
    """
    logits, targets = batch(kind, "float64", 50, tokens=20)
    second = np.sort(logits, axis=1)[:, -2]
    near = logits.max(axis=1) - second < -_exp.LOWEST
    assert near.any()
    loss = oracle.token_cross_entropy(logits[near], np.array(targets)[near]).loss
    assert _widest(loss) < HALF_ULP
    weighted = oracle.compute_weighted_cross_entropy(logits[near], np.array(targets)[near])
    assert _widest(weighted.loss) < HALF_ULP
    high, low, radius = flat(oracle.logits_gradient_rows(logits, targets, cotangents={"loss": 1}))
    in_reach = logits > logits.max(axis=1, keepdims=True) + _exp.LOWEST
    rest = in_reach & near[:, None] & (high != 0)
    assert _widest((high[rest], low[rest], radius[rest])) < HALF_ULP


def _widest(bracket):
    parts = (np.ravel(part).tolist() for part in bracket)
    return max(Fraction(radius) / abs(Fraction(high) + Fraction(low)) for high, low, radius in zip(*parts, strict=True))


@pytest.mark.parametrize("tile", [1, 7, 64])
def test_tiles_do_not_matter(monkeypatch, tile):
    """Fails when a class is lost, or counted twice, where tiles meet."""
    logits, targets = batch("normal", "float32", 100, tokens=5)
    whole = oracle.token_cross_entropy(logits, targets, label_smoothing=0.1)
    rows = flat(oracle.logits_gradient_rows(logits, targets, None, 0.1, cotangents={"loss": 1}))
    monkeypatch.setattr(_row_sums, "TILE", tile)
    cut = oracle.token_cross_entropy(logits, targets, label_smoothing=0.1)
    cut_rows = flat(oracle.logits_gradient_rows(logits, targets, None, 0.1, cotangents={"loss": 1}))
    for first, second in [*zip(whole, cut, strict=True), (rows, cut_rows)]:
        distance = np.abs((first[0] - second[0]) + (first[1] - second[1]))
        assert np.all(distance <= first[2] + second[2])
    assert value_misses(logits, targets, label_smoothing=0.1) == []


@pytest.mark.parametrize("block", [1, 150, 300])
def test_blocks_do_not_matter(monkeypatch, block):
    """Fails when a row depends on the rows that it is computed with."""
    logits, targets = batch("wrong", "float32", 100, tokens=5)
    weights = [1, 0, 2, 3, 4]
    arguments = (logits, targets, weights, 0.1, 1e-4, 3)
    whole, rows = oracle.compute_weighted_cross_entropy(*arguments), flat(_rows(arguments))
    monkeypatch.setattr(_problem, "_BLOCK", block)
    assert len(list(_rows(arguments))) > 1
    assert np.array_equal(oracle.compute_weighted_cross_entropy(*arguments), whole)
    assert np.array_equal(flat(_rows(arguments)), rows)


def _rows(arguments):
    return oracle.logits_gradient_rows(*arguments, cotangents={"loss": 1})


@pytest.mark.parametrize("planted", ["error of exp", "omitted terms"])
def test_a_radius_that_leaves_an_error_out_is_seen(monkeypatch, planted):
    """Fails when the comparisons above would accept brackets that are too narrow."""
    monkeypatch.setattr(_exp, {"error of exp": "ERROR", "omitted terms": "NEGLIGIBLE"}[planted], 0.0)
    if planted == "error of exp":
        monkeypatch.setattr(_row_sums, "sum_error", lambda _: 0.0)
        monkeypatch.setattr(_log1p, "ERROR", 0.0)
        assert value_misses(*batch("normal", "float32", 20))
    else:
        assert value_misses(np.array([[0.0, -700.0]]), [0])


def test_a_term_left_out_is_seen(monkeypatch):
    """Fails when the comparisons above would accept a sum that lacks its smallest term."""
    row_sums = _row_sums.row_sums

    def without_the_smallest(logits, *arguments, **options):
        return row_sums(np.where(logits == logits.min(), -INF, logits), *arguments, **options)

    monkeypatch.setattr("lossproof.reference.oracle._tokens.row_sums", without_the_smallest)
    logits = np.array([[0.0, -65.0]])  # exp(-65) is 2^-93.8
    assert value_misses(logits, [0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros((2, 3)), [0, 1, 2]), ValueError, r"logits \(2, 3\) need targets \(2,\), got \(3,\)"),
        ((np.zeros((1, 3), int), [0]), TypeError, "logits must be an array of bfloat16, .* got int64"),
        ((np.zeros((1, 3)), [0.5]), TypeError, "targets must be integers, got float"),
        ((np.zeros((1, 3)), [0], [1], 2), ValueError, "label_smoothing must be between 0 and 1"),
        ((np.zeros((1, 0)), [0]), ValueError, "at least one class"),
    ],
)
def test_bad_inputs_are_refused(arguments, error, message):
    """Fails when a mistake in a call gives numbers instead of an explanation."""
    with pytest.raises(error, match=message):
        oracle.compute_weighted_cross_entropy(*arguments)


def test_a_cotangent_that_is_not_finite_is_refused():
    """Fails when a nan among the cotangents becomes a bracket."""
    with pytest.raises(ValueError, match=r"cotangents\['loss'\] must be finite, got nan"):
        oracle.logits_gradient_rows(np.zeros((1, 2)), [0], cotangents={"loss": NAN})


def test_coefficients_whose_products_could_overflow_are_refused():
    """Fails when splitting a product overflows and leaves a nan."""
    with pytest.raises(ValueError, match=r"below 2\^900 in magnitude, those of token 1 are not"):
        list(oracle.logits_gradient_rows(np.zeros((2, 2)), [0, 0], [1, 1e300], cotangents={"loss": 1}))


def test_an_answer_beyond_the_range_is_infinite():
    """Fails when a loss that no float64 holds is an exception or a wrong number (STATE-4)."""
    loss = oracle.token_cross_entropy(np.array([[-1.7e308, 1.7e308]]), [0]).loss
    assert [float(part[0]) for part in loss] == [INF, 0, 0]


def test_half_an_ulp_of_a_low_word_is_within_reach():
    """Fails when `exact` rounds, and the comparisons with it."""
    answer = reference.token_cross_entropy(np.zeros((1, 3)), [0], digits=DIGITS).loss.item()
    assert Fraction(1, 10**45) > exact(answer.high) - exact(answer.low) > 0
