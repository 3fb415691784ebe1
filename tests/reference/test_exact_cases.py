"""Cases whose answer is a rational number, or exactly 0."""

import random
from fractions import Fraction

import pytest

from lossproof import reference
from lossproof.reference import FORMATS

from ._kinds import INF, gradients, holds, is_exactly, kind, kinds


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 50])
def test_equal_logits_share_the_probability(classes):
    """Fails when p_j of equal logits is not 1/V: the gradient is then 1/V, and 1/V - 1 at the target."""
    gradient = gradients(([[3.25] * classes], [0])).logits.values
    assert holds(gradient[0], Fraction(1, classes) - 1)
    assert all(holds(entry, Fraction(1, classes)) for entry in gradient[1:])


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_equal_logits_with_their_own_distribution_cost_nothing(classes):
    """Fails when the smallest loss is not 0: uniform logits at on = off = 1/V (VALUE-3); e = 1/2 for V = 2."""
    even = Fraction(classes - 1, classes)
    answer = reference.token_cross_entropy([[1.5] * classes], [0], label_smoothing=even)
    assert kind(answer.loss.item()) == "0"
    rows = gradients(([[1.5] * classes], [0], None, even))
    assert kinds(rows.logits) == ["0"] * classes
    assert kind(rows.label_smoothing) == "0"


@pytest.mark.parametrize("smoothing", [0, 0.1, 1])
def test_one_class_costs_nothing_but_the_z_loss(smoothing):
    """Fails when V = 1 with smoothing gives anything but z, whose derivatives are rational (STATE-6)."""
    plain = reference.token_cross_entropy([[3.0]], [0], label_smoothing=smoothing)
    assert [kind(answer.item()) for answer in plain] == ["0", "0", "finite"]
    assert holds(plain.log_z.item(), 3)
    squared = reference.token_cross_entropy([[3.0]], [0], label_smoothing=smoothing, z_loss=0.5)
    assert holds(squared.loss.item(), Fraction(9, 2)) and holds(squared.z_loss.item(), Fraction(9, 2))
    answer = gradients(([[3.0]], [0], [2], smoothing, 0.5, 5))
    assert holds(answer.logits.item(), Fraction(2 * 3, 5))
    assert holds(answer.z_loss, Fraction(2 * 9, 5))
    assert kind(answer.label_smoothing) == "0"
    assert holds(answer.weights.item(), Fraction(9, 10))
    assert holds(answer.loss_normalizing_factor, -Fraction(9, 25))


def test_one_class_costs_nothing_in_other_conventions_too():
    """Fails when on and off of V = 1 are taken from a formula."""
    uniform = reference.Convention("uniform", subtract_entropy=False, add_z_loss=False)
    answer = reference.token_cross_entropy([[3.0]], [0], label_smoothing=0.25, z_loss=0.5, convention=uniform)
    assert kind(answer.loss.item()) == "0"
    assert holds(answer.z_loss.item(), Fraction(9, 2))


def test_weight_sums_are_exact_sums():
    """Fails when a small weight is lost beside a large one (VALUE-6)."""
    weights = [1e16, 1.0, -1e16, 2.0**-60]
    answer = reference.compute_weighted_cross_entropy([[0, 0]] * 4, [0] * 4, weights)
    assert holds(answer.weight_sum, 1 + Fraction(1, 2**60))
    without = reference.compute_weighted_cross_entropy([[0, 0]] * 4, [0] * 4)
    assert holds(without.weight_sum, 4)


def test_hessians_of_equal_logits_are_rational():
    """Fails when p (v - mean v) is off: V = 4, equal logits (GRAD-9)."""
    product = reference.weighted_hessian_vector_product([[2, 2, 2, 2]], [1], [3], 0, 0, 2, vector=[[1, 0, 0, -5]])
    expected = [Fraction(3, 2) * Fraction(1, 4) * (v + 1) for v in (1, 0, 0, -5)]
    assert all(holds(entry, number) for entry, number in zip(product, expected, strict=True))


def test_dense_targets_that_sum_to_nothing_cost_a_difference_of_logits():
    """Fails when lse does not cancel: q = (1, -1) costs x_1 - x_0 (VALUE-7)."""
    answer = reference.cross_entropy_with_logits([[0.25, 3.0]], [[1, -1]], 0)
    assert holds(answer.loss.item(), Fraction(11, 4))


@pytest.mark.parametrize("classes", [2, 4, 32, 1024])
@pytest.mark.parametrize("smoothed", [False, True])
def test_equal_logits_of_a_power_of_2_classes_have_an_exact_gradient(classes, smoothed):
    """Fails when 1/V - q_j of binary numbers is enclosed, but not known exactly."""
    off = Fraction(1, 4 * classes) if smoothed else Fraction(0)
    e = off * (classes - 1)
    rows = reference.token_cross_entropy_gradients(
        [[-0.1] * classes], [1], label_smoothing=e, cotangents={"loss": [Fraction(3, 8)]}
    ).logits.values
    share = Fraction(1, classes)
    assert all(is_exactly(row, Fraction(3, 8) * (share - off)) for j, row in enumerate(rows) if j != 1)
    assert is_exactly(rows[1], Fraction(3, 8) * (share - 1 + e))


@pytest.mark.parametrize("row", [[0], [0, -INF], [-INF, 0, -INF, -INF]])
def test_one_possible_class_has_rational_answers(row):
    """Fails when k x^2 and its derivatives, of random fractions and one class that is not masked, are not exact."""
    rng = random.Random(51)  # noqa: S311  a seed, not a secret
    for _ in range(50):
        x, k, w, a, b = (Fraction(rng.randint(-(2**16), 2**16), 2 ** rng.randint(0, 40)) for _ in range(5))
        logits, target = [[x if number == 0 else number for number in row]], [row.index(0)]
        inputs = (logits, target, [w], 0, k, 8)
        answer = reference.compute_weighted_cross_entropy(*inputs)
        assert is_exactly(answer.loss, w * k * x**2 / 8) and is_exactly(answer.z_loss, w * k * x**2 / 8)
        assert is_exactly(answer.weight_sum, w)
        derivatives = gradients(inputs, loss=a, z_loss=b)
        both = a + b
        assert is_exactly(derivatives.logits.values[target[0]], w * 2 * k * x * both / 8)
        assert is_exactly(derivatives.weights.item(), k * x**2 * both / 8)
        assert is_exactly(derivatives.z_loss, w * x**2 * both / 8)
        assert is_exactly(derivatives.loss_normalizing_factor, -w * k * x**2 * both / 64)


def ties(dtype):
    """Numbers in [1, 2) halfway between two floats, with the even one of these."""
    unit = Fraction(1, 2 ** (FORMATS[dtype].precision - 1))
    rng = random.Random(52)  # noqa: S311  a seed, not a secret
    for n in [0, 1, 2, 3, *(rng.randrange(int(1 / unit) - 1) for _ in range(8))]:
        yield 1 + n * unit + unit / 2, float(1 + (n + n % 2) * unit)


# By what has a rational value: how to make it this one.
RATIONAL = {
    "gradient": lambda tie: gradients(([[0, 0]], [0], [2 * tie])).logits.values[1],
    "gradient over a factor": lambda tie: gradients(([[0, 0]], [0], [6 * tie], 0, 0, 3)).logits.values[1],
    "smoothed gradient": lambda tie: gradients(([[0] * 4], [0], [8 * tie], Fraction(3, 8))).logits.values[1],
    "z_loss": lambda tie: reference.token_cross_entropy([[2]], [0], z_loss=tie / 4).z_loss.item(),
    "z_loss of a masked row": lambda tie: reference.token_cross_entropy([[-INF, 2]], [1], z_loss=tie / 4).loss.item(),
    "weight_sum": lambda tie: reference.compute_weighted_cross_entropy([[0, 0]] * 2, [0] * 2, [1, tie - 1]).weight_sum,
    "by weights": lambda tie: gradients(([[2]], [0], [0], 0, tie / 4)).weights.item(),
    "by z_loss": lambda tie: gradients(([[1]], [0], [tie])).z_loss,
    "factor": lambda tie: (
        reference.get_loss_normalizing_factor_and_weights(
            "NUM_REAL_TARGET_TOKENS", {"decoder_loss_weights": [1, tie - 1]}
        ).factor
    ),
    "weights": lambda tie: reference.get_loss_normalizing_factor_and_weights(
        "AVERAGE_PER_SEQUENCE", {"decoder_loss_weights": [tie / 2, 1 - tie / 2]}
    ).weights.values[0],
    "Hessian": lambda tie: reference.weighted_hessian_vector_product([[0, 0]], [0], vector=[[4 * tie, 0]]).values[0],
    "dense gradient": lambda tie: reference.cross_entropy_with_logits_gradients(
        [[0, 0]], [[0, 2 * tie]], 0, cotangents={"loss": [1]}
    ).logits.values[0],
    "dense loss, lse cancels": lambda tie: reference.cross_entropy_with_logits([[0, tie]], [[1, -1]], 0).loss.item(),
    "by label_smoothing, lse cancels": lambda tie: gradients(([[0, tie]], [1], None, Fraction(1, 2))).label_smoothing,
    "gradient, factor and cotangent cancel": lambda tie: gradients(
        ([[0, 0]], [0], [1], 0, 0, 3), loss=6 * tie
    ).logits.values[1],
    "by weights, factor and cotangent cancel": lambda tie: gradients(
        ([[2]], [0], [1], 0, tie / 4, 3), loss=3
    ).weights.item(),
    "by the factor, factors cancel": lambda tie: (
        gradients(([[1]], [0], [9], 0, tie, 3), loss=-1).loss_normalizing_factor
    ),
}


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", RATIONAL)
def test_a_rational_answer_that_is_a_tie_is_decided(name, dtype):
    """Fails when a rational answer halfway between two floats is undecided, or does not go to the even one."""
    factor = Fraction(1, 2) if name == "weights" else 1
    for tie, even in ties(dtype):
        assert RATIONAL[name](tie).rounded(dtype) == even * factor


def test_nothing_in_gives_nothing_out():
    """Fails when an empty batch is an error, or not 0 (SHAPE-4)."""
    empty = ([], [])
    shaped = reference.token_cross_entropy(_empty((0, 5)), _empty((0,)))
    assert [answer.shape for answer in shaped] == [(0,)] * 3 and not shaped.loss.values
    total = reference.compute_weighted_cross_entropy(_empty((0, 5)), _empty((0,)), _empty((0,)))
    assert kinds(total) == ["0"] * 3
    answer = gradients((_empty((0, 5)), _empty((0,))))
    assert (answer.logits.shape, answer.weights.shape) == ((0, 5), (0,))
    assert kinds([answer.label_smoothing, answer.z_loss, answer.loss_normalizing_factor]) == ["0"] * 3
    with pytest.raises(ValueError, match="at least one class"):
        reference.token_cross_entropy(*empty)


def _empty(shape):
    import numpy as np

    return np.zeros(shape, np.int32)
