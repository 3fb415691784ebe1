"""Numerical differentiation whose error is measured, not guessed.

A central difference of step h is D(h) = f' + f''' h^2 / 6 + O(h^4), so D(h) - D(h/2) is three times the error of
D(h/2): that is what the closed form is allowed. With h = 10^-STEP_DIGITS, about 2 * STEP_DIGITS digits agree, provided
that f is right to many more: it is evaluated with WORKING_DIGITS, of which its own roundings spoil fewer than
GUARD_DIGITS, and dividing by h^order takes order * STEP_DIGITS more.
"""

import mpmath
from mpmath import mpf

STEP_DIGITS = 25
WORKING_DIGITS = 160
GUARD_DIGITS = 10
AGREEING_DIGITS = 40  # below 2 * STEP_DIGITS by what f''' / f' may be

# By the name of a derivative: how many entries were compared, and their largest relative disagreement.
LARGEST = {}


def assert_is_derivative(name, enclosure, function, *, order=1):
    """Checks an enclosure against the derivative of function(h) at h = 0, or of function(g, h) by both; keeps the
    disagreement under `name`.
    """
    difference = {1: _first, 2: _mixed}[order]
    with mpmath.workdps(WORKING_DIGITS):
        step = mpf(10) ** -STEP_DIGITS
        coarse, fine = difference(function, step), difference(function, step / 2)
        size = 1 + abs(function(*[step] * order))
        rounding = size * mpf(10) ** (GUARD_DIGITS - WORKING_DIGITS) / step**order
        allowed = abs(coarse - fine) + rounding
        assert allowed <= abs(fine) * mpf(10) ** -AGREEING_DIGITS or fine == enclosure.value == 0, (
            "the difference says too little"
        )
        assert enclosure.low - allowed <= fine <= enclosure.high + allowed, (fine, enclosure.value)
        assert enclosure.high - enclosure.low <= allowed, "the enclosure is wider than the comparison"
        entries, largest = LARGEST.get(name, (0, 0.0))
        disagreement = float(abs(fine - enclosure.value) / abs(fine)) if fine else 0.0
        LARGEST[name] = entries + 1, max(largest, disagreement)


def _first(f, h):
    return (f(h) - f(-h)) / (2 * h)


def _mixed(f, h):
    return (f(h, h) - f(h, -h) - f(-h, h) + f(-h, -h)) / (4 * h * h)
