"""Derivatives along a direction, second derivatives, and the soft-cap, against numerical differentiation."""

import math
from fractions import Fraction

import mpmath
import pytest
from mpmath import mpf

from lossproof import reference

from . import _plain as plain
from ._differences import assert_is_derivative
from ._kinds import INF, kinds

DIGITS = 90
ROWS = [[Fraction(5, 4), Fraction(-3, 2), Fraction(9, 8)], [Fraction(1, 4), Fraction(30), Fraction(-2)]]
TARGETS = [2, 1]
E, K, FACTOR = Fraction(1, 8), Fraction(3, 16), Fraction(5, 2)
WEIGHTS = [Fraction(3, 2), Fraction(-1, 2)]
DENSE = [[Fraction(1, 2), Fraction(-1), Fraction(3)], [Fraction(0), Fraction(1), Fraction(1, 4)]]
V_ROWS = [[Fraction(1), Fraction(-2), Fraction(1, 2)], [Fraction(3, 4), Fraction(1, 8), Fraction(-1)]]
V_DENSE = [[Fraction(-1, 2), Fraction(1), Fraction(2)], [Fraction(1), Fraction(1), Fraction(-3)]]
V_WEIGHTS = [Fraction(-1), Fraction(1, 2)]
V_E, V_K, V_FACTOR = Fraction(1, 4), Fraction(-2), Fraction(3, 8)
CAPS = [None, Fraction(2), Fraction(30)]


def moved(number, tangent=Fraction(0), step=0):
    """number + step * tangent as an mpf; the fractions are dyadic, so nothing is lost."""
    return mpf(number.numerator) / number.denominator + step * mpf(tangent.numerator) / tangent.denominator


def moved_all(numbers, tangents, step):
    return [moved(number, tangent, step) for number, tangent in zip(numbers, tangents, strict=True)]


def capped(row, cap):
    """cap tanh(y / cap)"""
    return row if cap is None else [moved(cap) * mpmath.tanh(y / moved(cap)) for y in row]


def batch(step, cap):
    """The outputs of the batch, moved along every tangent."""
    rows = [capped(moved_all(row, v, step), cap) for row, v in zip(ROWS, V_ROWS, strict=True)]
    scalars = moved_all((E, K, FACTOR), (V_E, V_K, V_FACTOR), step)
    return plain.batch(rows, TARGETS, moved_all(WEIGHTS, V_WEIGHTS, step), *scalars)


@pytest.mark.parametrize("cap", CAPS)
def test_a_batchs_derivatives_along_a_direction(cap):
    """Fails when the jvp of a batch loses an argument, or mixes up its outputs (GRAD-8)."""
    tangents = {
        "logits": V_ROWS,
        "weights": V_WEIGHTS,
        "label_smoothing": V_E,
        "z_loss": V_K,
        "loss_normalizing_factor": V_FACTOR,
    }
    outputs = reference.compute_weighted_cross_entropy_jvp(
        ROWS, TARGETS, WEIGHTS, E, K, FACTOR, tangents=tangents, logit_softcap=cap, digits=DIGITS
    )
    for n, output in enumerate(outputs[:2]):
        assert_is_derivative("jvp of a batch", output, lambda h, n=n: batch(h, cap)[n])
    assert outputs.weight_sum.low == outputs.weight_sum.high == mpf(-0.5)


@pytest.mark.parametrize("cap", CAPS)
def test_a_tokens_derivatives_along_a_direction(cap):
    """Fails when the jvp of a token's loss, z_loss or log_z is not its derivative (GRAD-8)."""
    tangents = {"logits": V_ROWS, "label_smoothing": V_E, "z_loss": V_K}
    outputs = reference.token_cross_entropy_jvp(
        ROWS, TARGETS, label_smoothing=E, z_loss=K, tangents=tangents, logit_softcap=cap, digits=DIGITS
    )

    def value(i, name, h):
        x, k = capped(moved_all(ROWS[i], V_ROWS[i], h), cap), moved(K, V_K, h)
        loss = plain.hard_loss(x, TARGETS[i], moved(E, V_E, h)) + plain.z(x, k)
        return {"loss": loss, "z_loss": plain.z(x, k), "log_z": plain.log_z(x)}[name]

    for name, output in outputs._asdict().items():
        for i, entry in enumerate(output):
            assert_is_derivative(f"jvp of {name}", entry, lambda h, i=i, name=name: value(i, name, h))


@pytest.mark.parametrize("cap", CAPS)
def test_a_dense_tokens_derivatives_along_a_direction(cap):
    """Fails when the jvp for dense targets loses what comes through them (GRAD-6, GRAD-8)."""
    tangents = {"logits": V_ROWS, "targets": V_DENSE, "z_loss": V_K}
    outputs = reference.cross_entropy_with_logits_jvp(
        ROWS, DENSE, K, tangents=tangents, logit_softcap=cap, digits=DIGITS
    )

    def value(i, name, h):
        x = capped(moved_all(ROWS[i], V_ROWS[i], h), cap)
        z = plain.z(x, moved(K, V_K, h))
        return z if name == "z_loss" else z + plain.dense_loss(x, moved_all(DENSE[i], V_DENSE[i], h))

    for name, output in outputs._asdict().items():
        for i, entry in enumerate(output):
            assert_is_derivative(f"jvp of dense {name}", entry, lambda h, i=i, name=name: value(i, name, h))


def second(i, j, cap, value):
    """The function of g and h whose mixed derivative is entry j of the Hessian of `value` times V_ROWS[i]."""
    unit = [Fraction(int(n == j)) for n in range(3)]

    def of(g, h):
        x = [y + g * moved(u) for y, u in zip(moved_all(ROWS[i], V_ROWS[i], h), unit, strict=True)]
        return value(capped(x, cap))

    return of


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("output", ["loss", "z_loss", "log_z"])
def test_the_second_derivatives_of_a_tokens_outputs(cap, output):
    """Fails when an output's curvature, or that of the soft-cap, is dropped (GRAD-9)."""
    cotangents = {output: [Fraction(3, 4), Fraction(-2)]}
    product = reference.token_hessian_vector_product(
        ROWS,
        TARGETS,
        label_smoothing=E,
        z_loss=K,
        vector=V_ROWS,
        cotangents=cotangents,
        logit_softcap=cap,
        digits=DIGITS,
    )
    for i in range(2):

        def value(x, i=i):
            z = plain.z(x, moved(K))
            values = {"loss": plain.hard_loss(x, TARGETS[i], moved(E)) + z, "z_loss": z, "log_z": plain.log_z(x)}
            return moved(cotangents[output][i]) * values[output]

        for j in range(3):
            assert_is_derivative(f"hvp of {output}", product.values[3 * i + j], second(i, j, cap, value), order=2)


@pytest.mark.parametrize("cap", CAPS)
def test_the_second_derivatives_of_a_dense_loss(cap):
    """Fails when Q is taken for 1 in the curvature (GRAD-9)."""
    cotangents = {"loss": [Fraction(3, 4), Fraction(-2)], "z_loss": [Fraction(1), Fraction(1, 2)]}
    product = reference.dense_hessian_vector_product(
        ROWS, DENSE, K, vector=V_ROWS, cotangents=cotangents, logit_softcap=cap, digits=DIGITS
    )
    for i in range(2):

        def value(x, i=i):
            loss = plain.dense_loss(x, [moved(q) for q in DENSE[i]]) + plain.z(x, moved(K))
            return moved(cotangents["loss"][i]) * loss + moved(cotangents["z_loss"][i]) * plain.z(x, moved(K))

        for j in range(3):
            assert_is_derivative("hvp of dense", product.values[3 * i + j], second(i, j, cap, value), order=2)


@pytest.mark.parametrize("cap", CAPS[1:])
def test_the_gradient_through_the_soft_cap(cap):
    """Fails when the gradient is that by the capped logits: without 1 - tanh^2."""
    gradient = reference.token_cross_entropy_gradients(
        ROWS, TARGETS, label_smoothing=E, z_loss=K, cotangents={"loss": [1, 1]}, logit_softcap=cap, digits=DIGITS
    ).logits
    for i in range(2):
        for j in range(3):

            def value(h, i=i, j=j):
                x = capped([moved(y) + (h if n == j else 0) for n, y in enumerate(ROWS[i])], cap)
                return plain.hard_loss(x, TARGETS[i], moved(E)) + plain.z(x, moved(K))

            assert_is_derivative("logits, soft-capped", gradient.values[3 * i + j], value)


def test_the_hessian_of_a_loss_without_its_z_loss_has_no_curvature_of_it():
    """Fails when z enters the curvature of a convention whose loss it is no part of."""
    apart = reference.Convention(add_z_loss=False)
    with_z = reference.weighted_hessian_vector_product(ROWS, TARGETS, z_loss=K, vector=V_ROWS, convention=apart)
    without = reference.weighted_hessian_vector_product(ROWS, TARGETS, vector=V_ROWS)
    assert [entry.decimal(20) for entry in with_z] == [entry.decimal(20) for entry in without]


def test_the_soft_cap_leaves_a_mask_and_ties_alone():
    """Fails when -inf is capped to -cap, which brings masked classes back, or equal logits become unequal."""
    values = reference.token_cross_entropy([[7, -INF, 7]], [0], logit_softcap=5)
    assert values.loss.item().decimal(20) == reference.token_cross_entropy([[0, 0]], [0]).loss.item().decimal(20)
    gradient = reference.token_cross_entropy_gradients([[7, -INF, 7]], [0], cotangents={"loss": [1]}, logit_softcap=5)
    assert kinds(gradient.logits) == ["finite", "0", "finite"]


@pytest.mark.parametrize("logit", [1e-300, 1e300])
def test_the_soft_cap_of_extreme_logits_is_settled(logit):
    """Fails when a cap far from the logit costs so many digits that the answer stays undecided."""
    values = reference.token_cross_entropy([[logit, 0]], [0], logit_softcap=30)
    gradient = reference.token_cross_entropy_gradients([[logit, 0]], [0], cotangents={"loss": [1]}, logit_softcap=30)
    assert values.loss.item().is_tight(20) and values.log_z.item().is_tight(20)
    assert all(entry.is_tight(20) for entry in gradient.logits)
    assert values.loss.item().rounded("float64") == (math.log(2) if logit < 1 else math.log1p(math.exp(-30)))


@pytest.mark.parametrize("cap", [0, -1, INF, math.nan])
def test_a_cap_that_is_none_is_refused(cap):
    """Fails when a cap of 0 divides by it, or an infinite one is taken."""
    with pytest.raises(ValueError, match="logit_softcap must be None or a positive finite number, got logit_softcap="):
        reference.token_cross_entropy([[1, 2]], [0], logit_softcap=cap)


def test_no_tangent_meets_no_infinite_derivative():
    """Fails when 0 times the infinite derivative by label_smoothing makes a jvp NaN."""
    outputs = reference.token_cross_entropy_jvp([[1, 2]], [0], tangents={"logits": [[1, 0]]})
    assert kinds(outputs.loss) == ["finite"]
    outputs = reference.token_cross_entropy_jvp([[1, 2]], [0], tangents={"label_smoothing": 1})
    assert kinds(outputs.loss) == ["-inf"]


@pytest.mark.parametrize(
    ("tangents", "message"),
    [
        ({"logit": [[1, 0]]}, "tangents must be of logits, label_smoothing, z_loss, got logit"),
        ({"logits": [1, 0]}, r"the tangent of logits must be finite numbers of the shape \(1, 2\), got \(2,\)"),
        ({"logits": [[1, INF]]}, "the tangent of logits must be finite numbers"),
        ({"z_loss": INF}, "the tangent of z_loss must be a finite number, got inf"),
    ],
)
def test_a_wrong_tangent_is_refused(tangents, message):
    """Fails when a tangent is misspelled, of another shape or infinite, and nobody says so."""
    with pytest.raises(ValueError, match=message):
        reference.token_cross_entropy_jvp([[1, 2]], [0], tangents=tangents)
