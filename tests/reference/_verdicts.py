"""What the oracle has to say about an answer of the reference."""

from fractions import Fraction

import mpmath
from flint import arb

from ._arb import balls, ends, exact, is_negligible
from ._neighbours import TYPES, nearest

DIGITS = 20


def complaints(question, digits=DIGITS):
    """Compares the answers to a question with Arb's.

    Returns:
      What is wrong, as (name, index, words); and how many answers were compared.
    """
    answers, expected = question.answers(digits), balls(question)
    assert answers.keys() == expected.keys()
    opinions = {key: ball for key, ball in expected.items() if ball is not None}
    found = [(*key, words) for key, ball in opinions.items() for words in verdicts(answers[key], ball, digits)]
    return found, len(opinions)


def verdicts(enclosure, ball, digits=DIGITS):
    """Everything wrong with one enclosure, in words; [] if nothing is.

    The ball is so narrow (`_arb.RELATIVE_BITS`) that to meet it is as good as to hold the value, and so that a float
    on which its ends do not agree is an exact tie, or as good as one.
    """
    if isinstance(ball, float):
        return [] if repr(float(enclosure.low)) == repr(float(enclosure.high)) == repr(ball) else [f"is not {ball}"]
    if enclosure.is_special:
        return [f"is {enclosure.low}, not a number"]
    low, high = ends(ball)
    if not (enclosure.low <= high and low <= enclosure.high):
        return ["misses the value"]
    first, last = (end.man_exp() for end in (ball.lower(), ball.upper()))
    found = [words for dtype in TYPES for words in _about_rounding(enclosure, dtype, first, last)]
    if not is_negligible(ball):
        found += _about_digits(enclosure, ball, low, high, digits)
    return found


def _about_rounding(enclosure, dtype, first, last):
    rounded = enclosure.rounded(dtype)
    allowed = {nearest(int(numerator), int(exponent), dtype) for numerator, exponent in (first, last)}
    if rounded is None:
        # Rational answers may be ties: test_exact_cases.py. Of others Arb's ball is no single number.
        return [f"leaves {dtype} undecided"] if len(allowed) == 1 and first != last else []
    return [] if rounded in allowed else [f"rounds to {rounded.hex()} in {dtype}, not {sorted(allowed)}"]


def _about_digits(enclosure, ball, low, high, digits):
    width = mpmath.fsub(enclosure.high, enclosure.low, prec=60, rounding="c")
    if width > min(abs(low), abs(high)) * mpmath.mpf(10) ** (1 - digits):
        return [f"is too wide for {digits} digits"]
    decimal = enclosure.decimal(digits)
    if decimal is None:
        return []  # a decimal tie; what becomes a golden file is refused there
    unit = Fraction(10) ** (int(decimal.partition("e")[2] or 0) - digits + 1)
    off = 2 * abs(ball - exact(Fraction(decimal))) - exact(unit)
    return [f"is not {decimal}"] if off > arb(0) else []
