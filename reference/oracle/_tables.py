"""Constants and tables as double-doubles, from the standard library's decimal arithmetic.

decimal's exp and ln are correctly rounded (docs.python.org/3/library/decimal.html, Context.exp and Context.ln), so
each entry is wrong by one decimal rounding, 10^-79 relative, and the rounding to two float64: docs/oracle-proof.md,
section 3.
"""

from collections.abc import Iterable
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from lossproof.reference.oracle._double_double import Array, Pair

EXP_STEPS = 2**13  # exp(x) is 2^(n / EXP_STEPS) exp(t), |t| <= 2^-14.5
LOG_STEPS = 2**5  # log(x) is log(c / LOG_STEPS) + ..., LOG_STEPS <= c <= 2 LOG_STEPS

DECIMAL = Context(prec=80)


def decimal(number: Fraction) -> Decimal:
    """A rational number, rounded to 80 digits."""
    return DECIMAL.divide(Decimal(number.numerator), Decimal(number.denominator))


def pair(number: Fraction) -> tuple[float, float]:
    """The float64 nearest to a rational number, and the one nearest to what is left."""
    high = float(number)
    return high, float(number - Fraction(high))


def pairs(numbers: Iterable[Fraction]) -> Pair:
    """Arrays of the high and the low words."""
    high, low = zip(*map(pair, numbers), strict=True)
    return np.array(high), np.array(low)


class ExpTables(NamedTuple):
    """2^(i / EXP_STEPS), and step = ln 2 / EXP_STEPS as a sum of three floats, the first two of 30 bits."""

    powers: Pair
    step: tuple[float, float, float]


class LogTables(NamedTuple):
    """log(c / LOG_STEPS) for c from LOG_STEPS on, ln 2, and 1 / (2i + 1)."""

    logs: Pair
    ln_2: tuple[float, float]
    odd_reciprocals: Pair


@cache
def ln_2() -> Fraction:
    """The natural logarithm of 2, to 80 digits."""
    return Fraction(DECIMAL.ln(Decimal(2)))


@cache
def exp_tables() -> ExpTables:
    """The tables of `_exp`."""
    _check_subnormals()
    step = ln_2() / EXP_STEPS
    first = Fraction(round(step * 2**43), 2**43)
    second = Fraction(round((step - first) * 2**73), 2**73)
    powers = pairs(Fraction(DECIMAL.exp(decimal(i * step))) for i in range(EXP_STEPS))
    return ExpTables(powers, (float(first), float(second), float(step - first - second)))


@cache
def log_tables(terms: int) -> LogTables:
    """The tables of `_log1p`, with `terms` reciprocals."""
    logs = pairs(Fraction(DECIMAL.ln(decimal(Fraction(c, LOG_STEPS)))) for c in range(LOG_STEPS, 2 * LOG_STEPS + 1))
    return LogTables(logs, pair(ln_2()), pairs(Fraction(1, 2 * i + 1) for i in range(terms)))


def _check_subnormals() -> None:
    smallest: Array = np.array([2.0**-1022])
    if smallest[0] / 2 == 0 or (smallest * 0.5)[0] == 0:
        raise RuntimeError(
            "the oracle's proof needs subnormal numbers, but this process flushes them to zero: "
            "find the library that was built with -ffast-math and load it in another process"
        )
