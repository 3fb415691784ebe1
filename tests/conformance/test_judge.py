"""The verdict on an array: error as a share of the bound, and states that are no distances."""

import ml_dtypes
import numpy as np
import pytest

from lossproof.conformance.judging.exact import Exact
from lossproof.conformance.judging.judge import Violation, VoidCaseError, judge, refuse_void, utilisation
from lossproof.reference.bounds import smallest_normal

KINDS = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float64}
INF, NAN = np.inf, np.nan


def known(numbers):
    """Numbers that are exactly what they are."""
    high = np.asarray(numbers, np.float64)
    return Exact(high, np.zeros_like(high))


def stepped(values, steps):
    """Each float's neighbour so many floats up."""
    for _ in range(abs(steps)):
        values = np.nextafter(values, values.dtype.type(INF if steps > 0 else -INF))
    return values


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("steps", [0, 1, 2, 7, -1, -5])
def test_so_many_ulps_are_so_many_units_of_error(dtype, steps):
    """Fails when an error is measured in other units than those of the bound, or in a type that swallows it."""
    rng = np.random.default_rng(1)
    values = (1.25 + rng.uniform(0, 0.5, 50)) * 2.0 ** rng.integers(-10, 10, 50) * rng.choice([-1, 1], 50)
    values = values.astype(KINDS[dtype])
    ulps = np.abs(stepped(values, 1).astype(np.float64) - values.astype(np.float64))
    shares = utilisation(stepped(values, steps), known(values), ulps)
    np.testing.assert_array_equal(shares, np.full(50, abs(steps)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_value_inside_its_bound_passes_and_one_beyond_fails(dtype):
    """Fails when the verdict turns anywhere but at the bound."""
    value = np.array([1.5, -3.0, 0.375]).astype(KINDS[dtype])
    bound = np.abs(stepped(value, 2).astype(np.float64) - value.astype(np.float64))
    verdicts = [judge("loss", stepped(value, steps), known(value), bound).utilisation for steps in (1, 2, 3)]
    assert verdicts == [0.5, 1.0, 1.5]


def test_digits_behind_a_float64_count():
    """Fails when the exact value is cut to a float64: errors of float64 results are then wrong by up to half an ulp."""
    ulp = 2.0**-52
    exact = Exact(np.array([1.0, 1.0]), np.array([ulp / 2, -ulp / 4]))
    assert utilisation(np.array([1.0, 1.0]), exact, np.array([ulp, ulp])).tolist() == [0.5, 0.25]
    assert utilisation(np.array([1.0 + ulp, 1.0]), exact, np.array([ulp, ulp])).tolist() == [0.5, 0.25]


def test_the_worst_element_is_named():
    """Fails when the message points at another element, or does not say by how much it is off."""
    actual = np.float32([[1.0, 2.0], [3.5, 4.0]])
    judgement = judge("loss", actual, known([[1.0, 2.0], [3.0, 4.0]]), np.full((2, 2), 0.25))
    assert (judgement.utilisation, judgement.where) == (2.0, (1, 0))
    assert judgement.message == "loss[1, 0] is 3.5, exactly 3.0: 2 times the allowed error, 0.25"


def test_a_bound_of_0_allows_equality_only():
    """Fails when an excluded token may be nearly 0, or 0 / 0 shows."""
    shares = utilisation(np.float32([0, 1e-45, -0.0]), known([0, 0, 0]), np.zeros(3))
    assert shares.tolist() == [0.0, INF, 0.0]


@pytest.mark.parametrize(
    ("actual", "exact", "share"),
    [
        (NAN, NAN, 0),
        (INF, INF, 0),
        (-INF, -INF, 0),
        (NAN, 1, INF),
        (INF, 1, INF),
        (-INF, 1, INF),
        (1, NAN, INF),
        (INF, NAN, INF),
        (NAN, INF, INF),
        (-INF, INF, INF),
        (3e38, INF, INF),
    ],
)
def test_special_states_agree_or_do_not(actual, exact, share):
    """Fails when nan or inf is compared as a distance: a bound of inf would then excuse anything."""
    for bound in (0.0, 1.0, 1e30):
        assert utilisation(np.float32([actual]), known([exact]), np.array([bound])).tolist() == [share]


@pytest.mark.parametrize("dtype", KINDS)
def test_inf_is_right_where_the_exact_value_is_beyond_the_largest_float(dtype):
    """Fails when an overflow is refused, or excused inside the range or with the other sign (STATE-4)."""
    largest = float(ml_dtypes.finfo(KINDS[dtype]).max)
    infinite = np.array([INF, INF, -INF, INF]).astype(KINDS[dtype])
    exact = known([largest, largest / 2, largest, -largest])
    assert utilisation(infinite, exact, np.ones(4)).tolist() == [0, INF, INF, INF]
    near = known([largest - largest / 8])
    assert utilisation(infinite[:1], near, np.array([largest / 4])).tolist() == [0]
    assert utilisation(infinite[:1], near, np.array([largest / 16])).tolist() == [INF]


@pytest.mark.parametrize("shape", [(), (2,), (3, 1), (1, 3), (4,), (0,)])
def test_another_shape_is_a_violation(shape):
    """Fails when a result is broadcast to the shape it should have (SHAPE-1)."""
    with pytest.raises(Violation, match=r"loss must have the shape \(3,\), got") as refusal:
        judge("loss", np.zeros(shape, np.float32), known([0, 0, 0]), np.ones(3))
    assert str(shape) in str(refusal.value)


def test_an_empty_array_is_right():
    """Fails when an empty batch is an error of the suite (SHAPE-4)."""
    assert judge("loss", np.zeros((0, 5), np.float32), known(np.zeros((0, 5))), np.zeros((0, 5))).utilisation == 0


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "zeros would pass"), (2.0, "zeros would pass"), (0.5, "30 % off would pass")]
)
def test_a_bound_that_zeros_or_30_percent_off_would_pass_is_void(share, words):
    """Fails when a check that could not have failed counts as passed."""
    exact = known([1.0, -4.0, 1e-3])
    with pytest.raises(VoidCaseError, match=f"the bound on loss is so loose that .*{words}"):
        refuse_void("loss", exact, share * exact.magnitude, smallest_normal("float32"))


def test_a_bound_that_tells_somewhere_is_not_void():
    """Fails when one loose element voids an array that others judge, or special values count as told apart."""
    exact = known([1.0, -4.0, 1e-3])
    refuse_void("loss", exact, np.array([9.0, 0.1, 9.0]), smallest_normal("float32"))
    with_special = known([NAN, INF, 1.0])
    with pytest.raises(VoidCaseError):
        refuse_void("loss", with_special, np.array([0.0, 0.0, 1.0]), smallest_normal("float32"))
    refuse_void("loss", with_special, np.array([9.0, 9.0, 0.01]), smallest_normal("float32"))


def test_zeros_subnormals_and_special_values_have_no_bound_to_refuse():
    """Fails when a case without an ordinary number is void: flushing (ACC-7), excluded tokens, undefined ones."""
    tiny = smallest_normal("float32")
    for exact in ([0.0, 0.0], [tiny / 2, -tiny / 4], [tiny, 0.0], [NAN, INF], [NAN, tiny / 2], []):
        refuse_void("loss", known(exact), np.full(len(exact), tiny), tiny)
