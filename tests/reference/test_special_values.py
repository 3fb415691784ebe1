"""STATE: what special logits and coefficients give."""

import math

import pytest

from lossproof import reference

from ._kinds import INF, NAN, gradients, holds, kind, kinds, same

ORDINARY = [0.5, -1.0, 2.0]
UNDEFINED = [[-INF, -INF, -INF], [INF, 0.0, 1.0], [INF, INF, 0.0], [0.0, NAN, 1.0], [NAN, NAN, NAN], [INF, -INF, NAN]]


def token(row, target, **inputs):
    """Kinds of loss, z_loss, log_z of one token."""
    return [kind(answer.item()) for answer in reference.token_cross_entropy([row], [target], **inputs)]


def test_minus_infinity_is_probability_0():
    """Fails when a masked class takes part in anything (STATE-1)."""
    inputs = {"z_loss": 0.25}
    masked = reference.token_cross_entropy([[1, -INF, 2]], [0], **inputs)
    without = reference.token_cross_entropy([[1, 2]], [0], **inputs)
    assert all(same(one, other) for one, other in zip(masked, without, strict=True))
    row, expected = (gradients(([x], [0], None, 0, 0.25)).logits.values for x in ([1, -INF, 2], [1, 2]))
    assert same([row[0], row[2]], expected)
    assert kind(row[1]) == "0"
    dense = reference.cross_entropy_with_logits([[1, -INF, 2]], [[0.5, 0, 0.25]], 0.25)
    expected = reference.cross_entropy_with_logits([[1, 2]], [[0.5, 0.25]], 0.25)
    assert same(dense.loss, expected.loss)


def test_mass_on_minus_infinity_costs_infinity():
    """Fails when the loss is not +inf, or z, log_z or the gradient are anything but finite (STATE-2)."""
    assert token([1, -INF, 2], 1, z_loss=0.25) == ["inf", "finite", "finite"]
    assert token([1, -INF, 2], 0, label_smoothing=0.1, z_loss=0.25) == ["inf", "finite", "finite"]
    for target, smoothing in ((1, 0), (0, 0.1)):
        assert kinds(gradients(([[1, -INF, 2]], [target], None, smoothing, 0.25)).logits) == ["finite"] * 3
    row = gradients(([[0, -INF, 0]], [1])).logits.values
    assert holds(row[0], 0.5) and holds(row[1], -1) and holds(row[2], 0.5)


@pytest.mark.parametrize(
    ("q", "loss"),
    [([1, 0, 0], "inf"), ([-1, 0, 0], "-inf"), ([1, -1, 0], "nan"), ([0.5, 2, 0], "inf"), ([0, 0, 1], "finite")],
)
def test_dense_mass_on_minus_infinity_has_the_sign_of_the_mass(q, loss):
    """Fails when mass of either sign on masked classes is confused (STATE-2)."""
    answer = reference.cross_entropy_with_logits([[-INF, -INF, 3]], [q], 0.25)
    assert (kind(answer.loss.item()), kind(answer.z_loss.item())) == (loss, "finite")
    row = reference.cross_entropy_with_logits_gradients([[-INF, -INF, 3]], [q], 0.25, cotangents={"loss": [1]}).logits
    assert set(kinds(row)) <= {"finite", "0"}


@pytest.mark.parametrize("row", UNDEFINED)
@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_undefined_tokens_are_nan_and_touch_no_other(row, smoothing):
    """Fails when a NaN is swallowed, or spreads to the rows of other tokens (STATE-3)."""
    assert token(row, 0, label_smoothing=smoothing, z_loss=0.25) == ["nan"] * 3
    assert token(row, 0, label_smoothing=smoothing) == ["nan"] * 3
    batch = ([row, ORDINARY], [0, 1], [1, 2], smoothing, 0.25)
    assert kinds(reference.compute_weighted_cross_entropy(*batch)) == ["nan", "nan", "finite"]
    answer = gradients(batch)
    alone = gradients(([ORDINARY], [1], [2], smoothing, 0.25))
    assert kinds(answer.logits)[:3] == ["nan"] * 3
    assert same(answer.logits.values[3:], alone.logits)
    assert kinds(answer.weights) == ["0", "finite"]  # GRAD-2
    assert kinds([answer.label_smoothing, answer.z_loss, answer.loss_normalizing_factor]) == ["nan"] * 3


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_dense_targets_that_are_not_finite_make_the_token_nan(bad):
    """Fails when such a target gives a number (STATE-3)."""
    q = [[bad, 0, 1], [0, 1, 0]]
    answer = reference.cross_entropy_with_logits([ORDINARY, ORDINARY], q, 0.25)
    assert (kinds(answer.loss), kinds(answer.z_loss)) == (["nan", "finite"], ["nan", "finite"])
    rows = reference.cross_entropy_with_logits_gradients([ORDINARY] * 2, q, 0.25, cotangents={"loss": [1, 1]})
    assert kinds(rows.logits) == ["nan"] * 3 + ["finite"] * 3


def test_huge_logits_are_ordinary():
    """Fails when finite logits overflow on the way (STATE-4)."""
    answer = reference.token_cross_entropy([[3e38] * 3, [1.7e308] * 3], [0, 2])
    assert [loss.rounded("float64") for loss in answer.loss] == [math.log(3)] * 2
    apart = reference.token_cross_entropy([[1.7e308, -1.7e308]] * 2, [0, 1], z_loss=1.0)
    assert [loss.rounded("float64") for loss in apart.loss] == [INF, INF]
    assert kinds(apart.loss) == ["finite"] * 2
    plain = reference.token_cross_entropy([[1.7e308, -1.7e308]] * 2, [0, 1]).loss.values
    assert [loss.rounded("float64") for loss in plain] == [0.0, INF]
    assert plain[1].low <= 2 * int(1.7e308) <= plain[1].high  # beyond the largest float, yet known
    assert kinds(gradients(([[1.7e308, -1.7e308]], [1])).logits) == ["finite"] * 2


def test_without_coefficient_there_is_no_z_loss():
    """Fails when k = 0 multiplies an overflowed square (STATE-5)."""
    assert token([1.7e308, 1.7e308], 0) == ["finite", "0", "finite"]
    assert token([1e200, -INF], 0, z_loss=0.0) == ["0", "0", "finite"]


def test_full_smoothing_is_finite():
    """Fails when 0 log 0 is not 0, or H is not log(V - 1) (STATE-7)."""
    assert token([1, 2, 3], 0, label_smoothing=1) == ["finite", "0", "finite"]
    assert token([-INF, 5, 5], 0, label_smoothing=1) == ["0", "0", "finite"]
    assert kinds(gradients(([[1, 2, 3]], [0], None, 1)).logits) == ["finite"] * 3


@pytest.mark.parametrize(
    ("row", "smoothing", "expected"),
    [
        ([1, 2, 3], 0, "-inf"),
        ([1, 2, 3], 1, "inf"),
        ([1, 2, 3], 0.5, "finite"),
        ([1, -INF, 3], 0, "inf"),
        ([1, -INF, 3], 0.5, "inf"),
        ([-INF, 2, 3], 1, "-inf"),
        ([-INF, 2, 3], 0, "-inf"),
        ([-INF, -INF, 3], 0.5, "nan"),
        ([7], 0, "0"),
        ([7], 1, "0"),
    ],
)
def test_the_derivative_by_smoothing_is_one_sided_at_its_ends(row, smoothing, expected):
    """Fails when the infinite slope of H is lost, or outweighs an infinite shortfall (GRAD-4)."""
    assert kind(gradients(([row], [0], None, smoothing)).label_smoothing) == expected


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_weight_that_is_not_finite_makes_its_own_token_nan(bad):
    """Fails when such a weight gives a number, or spoils another token's row (STATE-8)."""
    batch = ([ORDINARY, ORDINARY], [0, 1], [bad, 2])
    assert kinds(reference.compute_weighted_cross_entropy(*batch)) == ["nan", "nan", str(float(bad))]
    assert kinds(gradients(batch).logits) == ["nan"] * 3 + ["finite"] * 3


@pytest.mark.parametrize(
    ("k", "factor"), [(NAN, 1), (INF, 1), (0.25, 0), (0.25, 0.0), (0.25, NAN), (0.25, INF), (0.25, -INF)]
)
def test_undefined_coefficients_make_everything_nan_that_counts(k, factor):
    """Fails when such a k or L gives a number, or reaches excluded tokens (STATE-8)."""
    batch = ([ORDINARY, ORDINARY, ORDINARY], [0, 1, 7], [1, 0, 1], 0, k, factor)
    assert kinds(reference.compute_weighted_cross_entropy(*batch)) == ["nan", "nan", "finite"]
    assert kinds(gradients(batch).logits) == ["nan"] * 3 + ["0"] * 6
    derivative = gradients(batch, loss=1, z_loss=1, weight_sum=3).weights.values
    assert [holds(derivative[i], n) for i, n in ((0, 3), (1, 3), (2, 0))] == [True] * 3  # GRAD-2


def test_log_z_does_not_depend_on_the_coefficient():
    """Fails when an undefined k reaches log_z (STATE-8)."""
    assert token(ORDINARY, 0, z_loss=NAN) == ["nan", "nan", "finite"]
