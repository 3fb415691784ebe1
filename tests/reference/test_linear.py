"""The loss fused with its linear layer: against the loss of logits multiplied out, and numerical differentiation."""

import random
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from lossproof import reference

from . import _plain as plain
from ._differences import assert_is_derivative
from ._kinds import INF, kinds

DIGITS = 90
E, K, FACTOR = Fraction(1, 8), Fraction(3, 16), Fraction(5, 2)
WEIGHTS = [Fraction(3, 2), Fraction(-1, 2), Fraction(0)]
TARGETS = [2, 0, 1]
COTANGENTS = {"loss": Fraction(3, 4), "z_loss": Fraction(-5, 8), "weight_sum": Fraction(1, 4)}
CAPS = [None, Fraction(3)]


def layer(seed=5):
    """hidden [3, 2], kernel [2, 4], bias [4]: dyadic fractions."""
    rng = random.Random(seed)  # noqa: S311  a seed, not a secret

    def matrix(rows, columns):
        return [[Fraction(rng.randint(-64, 64), 32) for _ in range(columns)] for _ in range(rows)]

    return matrix(3, 2), matrix(2, 4), matrix(1, 4)[0]


def real(number):
    return number if isinstance(number, mpf) else mpf(number.numerator) / number.denominator


def total(hidden, kernel, bias, cap):
    """The sum of cotangents * outputs; numbers may be fractions or mpf."""
    logits = [
        [sum((real(h) * real(kernel[d][j]) for d, h in enumerate(row)), real(bias[j])) for j in range(len(bias))]
        for row in hidden
    ]
    if cap is not None:
        logits = [[real(cap) * mpmath.tanh(y / real(cap)) for y in row] for row in logits]
    outputs = plain.batch(logits, TARGETS, [real(w) for w in WEIGHTS], real(E), real(K), real(FACTOR))
    return sum((real(c) * output for c, output in zip(COTANGENTS.values(), outputs, strict=True)), mpf(0))


def shifted(matrix, i, j, step):
    return [[real(x) + (step if (n, m) == (i, j) else 0) for m, x in enumerate(row)] for n, row in enumerate(matrix)]


def decimals(answers):
    return [
        enclosure.decimal(30) for answer in answers for enclosure in ([answer] if hasattr(answer, "low") else answer)
    ]


@pytest.mark.parametrize("cap", CAPS)
def test_it_is_the_loss_of_the_exact_dot_products(cap):
    """Fails when a dot product is rounded before it enters the loss, or the bias or the cap is lost."""
    hidden, kernel, bias = layer()
    logits = [[sum((h * kernel[d][j] for d, h in enumerate(row)), bias[j]) for j in range(4)] for row in hidden]
    arguments = (TARGETS, WEIGHTS, E, K, FACTOR)
    fused = reference.linear_cross_entropy(hidden, kernel, *arguments, bias=bias, logit_softcap=cap, digits=40)
    apart = reference.compute_weighted_cross_entropy(logits, *arguments, logit_softcap=cap, digits=40)
    assert decimals(fused) == decimals(apart)


def test_a_dot_product_that_cancels_is_exact():
    """Fails when the products are summed in floating point: 1e16 + 1 - 1e16 is 1."""
    hidden, kernel = [[1e16, 1.0, -1e16]], [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    fused = reference.linear_cross_entropy(hidden, kernel, [0])
    assert decimals(fused) == decimals(reference.compute_weighted_cross_entropy([[1.0, 0.0]], [0]))


@pytest.mark.parametrize("cap", CAPS)
def test_the_gradients_are_the_derivatives(cap):
    """Fails when a gradient misses a token, a class, the soft-cap's slope, or takes a kernel for its transpose."""
    hidden, kernel, bias = layer()
    gradients = reference.linear_cross_entropy_gradients(
        hidden, kernel, TARGETS, WEIGHTS, E, K, FACTOR,
        cotangents=COTANGENTS, bias=bias, logit_softcap=cap, digits=DIGITS,
    )  # fmt: skip
    assert [gradients.hidden.shape, gradients.kernel.shape, gradients.bias.shape] == [(3, 2), (2, 4), (4,)]
    for i, j in np.ndindex(3, 2):
        entry = gradients.hidden.values[2 * i + j]
        if i == 2:
            assert entry.low == entry.high == 0  # EXCL-1
        else:
            assert_is_derivative(
                "hidden", entry, lambda h, i=i, j=j: total(shifted(hidden, i, j, h), kernel, bias, cap)
            )
    for i, j in np.ndindex(2, 4):
        entry = gradients.kernel.values[4 * i + j]
        assert_is_derivative("kernel", entry, lambda h, i=i, j=j: total(hidden, shifted(kernel, i, j, h), bias, cap))
    for j in range(4):
        entry = gradients.bias.values[j]
        assert_is_derivative("bias", entry, lambda h, j=j: total(hidden, kernel, shifted([bias], 0, j, h)[0], cap))


def test_the_other_gradients_are_those_of_the_loss():
    """Fails when weights, label_smoothing, z_loss or the factor get another derivative than without the layer."""
    hidden, kernel, bias = layer()
    logits = [[sum((h * kernel[d][j] for d, h in enumerate(row)), bias[j]) for j in range(4)] for row in hidden]
    arguments = (TARGETS, WEIGHTS, E, K, FACTOR)
    fused = reference.linear_cross_entropy_gradients(hidden, kernel, *arguments, cotangents=COTANGENTS, bias=bias)
    apart = reference.compute_weighted_cross_entropy_gradients(logits, *arguments, cotangents=COTANGENTS)
    assert decimals(fused[3:]) == decimals(apart[1:5])


def test_a_masked_class_and_an_excluded_token_are_absorbed():
    """Fails when -inf in the bias, or NaN in the hidden state of a token of weight 0, spreads."""
    hidden, kernel, bias = [[1.0], [float("nan")]], [[1.0, 2.0, 3.0]], [0.0, -INF, 0.0]
    fused = reference.linear_cross_entropy(hidden, kernel, [0, 1], [1, 0], bias=bias)
    apart = reference.token_cross_entropy([[1.0, 3.0]], [0]).loss.item()
    assert fused.loss.decimal(20) == apart.decimal(20)
    gradients = reference.linear_cross_entropy_gradients(
        hidden, kernel, [0, 1], [1, 0], bias=bias, cotangents={"loss": 1}
    )
    assert kinds(gradients.hidden) == ["finite", "0"]
    assert kinds(gradients.bias) == ["finite", "0", "finite"]


def test_an_infinite_product_makes_its_token_undefined():
    """Fails when 0 * inf or inf - inf in a dot product gives a number."""
    for hidden, kernel in (([[0.0]], [[INF, 1.0]]), ([[1.0, 1.0]], [[INF, 1.0], [-INF, 1.0]])):
        assert kinds(reference.linear_cross_entropy(hidden, kernel, [0]))[0] == "nan"


@pytest.mark.parametrize(
    ("hidden", "kernel", "bias", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], None, r"hidden \(1, 2\) need kernel \(2, V\), got \(1, 2\)"),
        ([[1.0]], [1.0], None, r"kernel must be \[D, V\]"),
        (1.0, [[1.0]], None, r"kernel must be \[D, V\]"),
        (
            [[1.0]],
            [[1.0, 2.0]],
            [0.0],
            r"bias must be \[V\] for a kernel of \[D, V\]: kernel \(1, 2\) needs \(2,\), got \(1,\)",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(hidden, kernel, bias, message):
    """Fails when a layer of the wrong shape is broadcast."""
    with pytest.raises(ValueError, match=message):
        reference.linear_cross_entropy(hidden, kernel, [0], bias=bias)
