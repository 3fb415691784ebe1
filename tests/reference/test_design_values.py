"""The numbers the design was written with: 25 digits from a third computation."""

import math
from fractions import Fraction

import pytest

from lossproof import reference
from lossproof.reference._interval import endpoints, working_precision
from lossproof.reference._token import HardTarget

TENTH = Fraction(1, 10)
ENOUGH = 30  # digits to settle, more than any number below has


def digits_of(text):
    """How many significant digits a plain decimal number is given to."""
    return len(text.replace(".", "").lstrip("0"))


def scientific(text):
    """A plain decimal number the way `Enclosure.decimal` writes it."""
    whole, _, fraction = text.partition(".")
    digits = (whole + fraction).lstrip("0")
    power = len(whole) - 1 if whole.strip("0") else len(digits) - len(fraction) - 1
    return f"{digits[0]}.{digits[1:]}e{power:+d}"


@pytest.mark.parametrize(
    ("logits", "smoothing", "k", "output", "expected"),
    [
        ([1, 2, 3], 0, 0, "loss", "2.40760596444438030448292"),
        ([1, 2, 3], TENTH, 0, "loss", "1.863208272996937534034647"),
        ([1, 2, 3], 0, TENTH, "z_loss", "1.161177840891691524787774"),
        ([1, 2, 3], 1, 0, "loss", "0.2144587838844349950656878"),
        ([1, 2, -math.inf], 0, 0, "loss", "1.313261687518222834048995"),
        ([0, -200, 0], TENTH, 0, "loss", "10.29874948911250253896896"),
    ],
)
def test_a_token_has_the_value_of_the_design(logits, smoothing, k, output, expected):
    """Fails when on, off, H or z is not what SPEC.md says, at the 25th digit."""
    answer = reference.token_cross_entropy([logits], [0], label_smoothing=smoothing, z_loss=k, digits=ENOUGH)
    assert getattr(answer, output).item().decimal(digits_of(expected)) == scientific(expected)


def test_the_entropy_has_the_value_of_the_design():
    """Fails when H is off, which a loss that adds and subtracts it elsewhere would hide."""
    expected = "0.3943976914474427704482732"
    with working_precision(200):
        ends = endpoints(HardTarget(0, (1, 2), TENTH).entropy())
    assert reference.Enclosure(*ends).decimal(digits_of(expected)) == scientific(expected)


def test_leaving_out_the_entropy_adds_it():
    """Fails when Convention(subtract_entropy=False) does anything but leave H out."""
    expected = "2.25760596444438030448292"  # 2.40760596444438030448292 - 0.15, since x_j - x_t is 1 and 2
    keep = reference.Convention(subtract_entropy=False)
    answer = reference.token_cross_entropy([[1, 2, 3]], [0], label_smoothing=TENTH, convention=keep, digits=ENOUGH)
    assert answer.loss.item().decimal(digits_of(expected)) == scientific(expected)


def test_spreading_over_all_classes_moves_a_third_of_the_mass_back():
    """Fails when Convention(smoothing="uniform") is not on = 1 - e + e/V, off = e/V."""
    expected = "2.30760596444438030448292"  # 2.40760596444438030448292 - 0.1
    uniform = reference.Convention(smoothing="uniform", subtract_entropy=False)
    answer = reference.token_cross_entropy([[1, 2, 3]], [0], label_smoothing=TENTH, convention=uniform, digits=ENOUGH)
    assert answer.loss.item().decimal(digits_of(expected)) == scientific(expected)
