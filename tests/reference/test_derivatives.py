"""The closed-form derivatives against numerical differentiation of the plain formulas."""

import random
from fractions import Fraction

import pytest
from mpmath import mpf

from lossproof import reference

from . import _plain as plain
from ._differences import assert_is_derivative

DIGITS = 90  # narrower than any difference that they are compared with
E, K, FACTOR = Fraction(1, 8), Fraction(3, 16), Fraction(5, 2)  # exact in binary, so that mpf of them is too
COTANGENTS = {"loss": Fraction(3, 4), "z_loss": Fraction(-5, 8), "weight_sum": Fraction(1, 4)}
WEIGHTS = [Fraction(3, 2), Fraction(-1, 2), Fraction(0)]
CONVENTIONS = {
    "ours": {},
    "uniform": {"uniform": True},
    "no-entropy": {"entropy": False},
    "torch": {"uniform": True, "entropy": False},
    "z-loss apart": {"add_z": False},
}


def asked(words):
    """The reference's convention for these words of `_plain`."""
    smoothing = "uniform" if words.get("uniform") else "others"
    return reference.Convention(smoothing, words.get("entropy", True), words.get("add_z", True))


def batches():
    """Three tokens of three classes: ordinary, confident, with a large offset."""
    rng = random.Random(21)  # noqa: S311  a seed, not a secret
    for lead, offset in ((0, 0), (30, 0), (0, 1000), (-20, -7)):
        rows = [[Fraction(rng.randint(-64, 64), 16) + offset for _ in range(3)] for _ in range(3)]
        targets = [0, 2, 1]
        for row, target in zip(rows, targets, strict=True):
            row[target] += lead
        yield rows, targets


def real(number):
    """A rational with a power of 2 below as an mpf, without loss."""
    return mpf(number.numerator) / number.denominator


def shifted(rows, i, j, step):
    numbers = [[real(Fraction(number)) for number in row] for row in rows]
    numbers[i][j] += step
    return numbers


def total(rows, targets, weights=WEIGHTS, e=E, k=K, factor=FACTOR, **convention):
    """Returns the sum of cotangents * outputs, of arguments that may be mpf."""
    logits = [[number if isinstance(number, mpf) else real(Fraction(number)) for number in row] for row in rows]
    scalars = [number if isinstance(number, mpf) else real(number) for number in (e, k, factor)]
    weights = [number if isinstance(number, mpf) else real(number) for number in weights]
    outputs = plain.batch(logits, targets, weights, *scalars, **convention)
    return sum((real(c) * output for c, output in zip(COTANGENTS.values(), outputs, strict=True)), mpf(0))


def closed(rows, targets, convention=reference.LOSSPROOF):
    return reference.compute_weighted_cross_entropy_gradients(
        rows, targets, WEIGHTS, E, K, FACTOR, cotangents=COTANGENTS, convention=convention, digits=DIGITS
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_gradient_by_logits_is_the_derivative(convention):
    """Fails when GRAD-1 loses a term: Q, the 2 of the z-loss, a cotangent, c_i, or another convention's q."""
    words = CONVENTIONS[convention]
    for rows, targets in batches():
        gradient = closed(rows, targets, asked(words)).logits.values
        for i in (0, 1):
            for j in range(3):
                assert_is_derivative(
                    f"batch, {convention}: by logits",
                    gradient[3 * i + j],
                    lambda h, i=i, j=j, rows=rows, targets=targets: total(shifted(rows, i, j, h), targets, **words),
                )
        assert all(entry.low == entry.high == 0 for entry in gradient[6:])  # EXCL-1: weight 0


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_derivative_by_weights_is_the_derivative(convention):
    """Fails when GRAD-2 is off, at weight 0 above all."""
    words = CONVENTIONS[convention]
    for rows, targets in batches():
        gradient = closed(rows, targets, asked(words)).weights.values
        for i in range(3):

            def moved(h, i=i, rows=rows, targets=targets):
                weights = [real(w) + (h if n == i else 0) for n, w in enumerate(WEIGHTS)]
                return total(rows, targets, weights, **words)

            assert_is_derivative(f"batch, {convention}: by weights", gradient[i], moved)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_derivatives_by_scalars_are_the_derivatives(convention):
    """Fails when GRAD-3, GRAD-4 or GRAD-5 is off: lse^2, the logarithms of on and off, the sign of the factor's."""
    words = CONVENTIONS[convention]
    for rows, targets in batches():
        gradients = closed(rows, targets, asked(words))
        for field, argument, value in (
            ("label_smoothing", "e", E),
            ("z_loss", "k", K),
            ("loss_normalizing_factor", "factor", FACTOR),
        ):

            def moved(h, argument=argument, value=value, rows=rows, targets=targets):
                return total(rows, targets, **{argument: real(value) + h}, **words)

            assert_is_derivative(f"batch, {convention}: by {field}", getattr(gradients, field), moved)


def token_output(output, x, target, e, k):
    if output == "log_z":
        return plain.log_z(x)
    z = plain.z(x, k)
    return z if output == "z_loss" else plain.hard_loss(x, target, e) + z


@pytest.mark.parametrize("output", ["loss", "z_loss", "log_z"])
def test_the_gradients_of_tokens_are_the_derivatives(output):
    """Fails when a token's cotangent of loss, z or log_z is dropped or scaled (GRAD-7)."""
    cotangent = Fraction(-7, 4)
    for rows, targets in batches():
        gradients = reference.token_cross_entropy_gradients(
            rows[:1], targets[:1], label_smoothing=E, z_loss=K, cotangents={output: [cotangent]}, digits=DIGITS
        )

        def value(x, e=E, k=K, targets=targets):
            scalars = [number if isinstance(number, mpf) else real(number) for number in (e, k)]
            return real(cotangent) * token_output(output, x, targets[0], *scalars)

        for j, entry in enumerate(gradients.logits):
            assert_is_derivative(
                f"token, {output}: by logits",
                entry,
                lambda h, j=j, rows=rows, value=value: value(shifted(rows[:1], 0, j, h)[0]),
            )
        for field, argument, number in (("label_smoothing", "e", E), ("z_loss", "k", K)):

            def moved(h, argument=argument, number=number, rows=rows, value=value):
                return value(shifted(rows[:1], 0, 0, 0)[0], **{argument: real(number) + h})

            assert_is_derivative(f"token, {output}: by {field}", getattr(gradients, field), moved)
