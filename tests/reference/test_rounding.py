"""Rounding to floats and to decimals, against those who do it for a living."""

import decimal
import math
import random
from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np
import pytest

from lossproof.reference import FORMATS, Enclosure, UndecidedError, round_to
from lossproof.reference._rounding import decimal_digits

from ._neighbours import TYPES, rounding_interval

# Where numpy's and ml_dtypes' casts round once: from the next wider type. (float64 to bfloat16 goes through float32.)
SOURCES = {"bfloat16": np.float32, "float16": np.float64, "float32": np.float64}


def fraction(number):
    """An mpmath number as a rational."""
    sign, mantissa, exponent, _ = number._mpf_
    return (-1 if sign else 1) * int(mantissa) * Fraction(2) ** exponent


def exact(number):
    """A rational whose denominator is a power of 2 as an mpmath number."""
    shift = number.denominator.bit_length() - 1
    assert number.denominator == 1 << shift
    return mpmath.mp.make_mpf(mpmath.libmp.from_man_exp(number.numerator, -shift))


def float_bits(kind, count):
    """Floats of a numpy type with random bits: every exponent, subnormals too."""
    rng = np.random.default_rng(7)
    size = np.dtype(kind).itemsize
    numbers = np.frombuffer(rng.bytes(count * size), kind)
    return numbers[np.isfinite(numbers)]


@pytest.mark.parametrize("dtype", SOURCES)
def test_rounding_is_that_of_numpy(dtype):
    """Fails when a float of any size - subnormal, overflowing - is rounded other than as IEEE 754 says."""
    source, form = SOURCES[dtype], FORMATS[dtype]
    rng = np.random.default_rng(8)
    near = rng.uniform(1, 2, 4000) * 2.0 ** rng.integers(
        form.min_exponent - form.precision - 3, form.max_exponent + 3, 4000
    )
    top = float(ml_dtypes.finfo(TYPES[dtype]).max) * (1 + rng.uniform(-1, 1, 400) * 2.0**-form.precision)
    made = np.concatenate([near, top])
    numbers = np.concatenate([float_bits(source, 4000), made[made <= np.finfo(source).max].astype(source)])
    with np.errstate(over="ignore", under="ignore"):
        expected = numbers.astype(TYPES[dtype]).astype(np.float64)
    actual = np.array([round_to(mpmath.mpf(float(number)), dtype) for number in numbers])
    np.testing.assert_array_equal(actual, expected)
    subnormal = (np.abs(expected) > 0) & (np.abs(expected) < 2.0**form.min_exponent)
    assert subnormal.sum() > 20 and np.isinf(expected).sum() > 20 and (expected == 0).sum() > 20


def test_rounding_to_float64_is_that_of_python_fractions():
    """Fails when a number of more than 53 bits is not rounded as Python rounds a quotient of integers."""
    rng = random.Random(9)  # noqa: S311  a seed, not a secret
    for _ in range(4000):
        numerator, shift = rng.getrandbits(rng.randint(1, 150)) + 1, rng.randint(-900, 1250)
        number = Fraction(numerator) / Fraction(2) ** shift
        try:
            expected = number.numerator / number.denominator
        except OverflowError:
            expected = math.inf
        assert round_to(exact(number), "float64") == expected
        assert round_to(exact(-number), "float64") == -expected


@pytest.mark.parametrize("dtype", TYPES)
def test_ties_go_to_the_even_float(dtype):
    """Fails when a number halfway between two floats goes up, down or away from 0 instead."""
    kind, form = TYPES[dtype], FORMATS[dtype]
    rng = random.Random(10)  # noqa: S311  a seed, not a secret
    for _ in range(500):
        smallest = form.min_exponent - form.precision + 1
        last_bit = rng.choice([smallest, rng.randint(smallest, form.max_exponent - form.precision)])
        subnormal = last_bit == smallest
        units = rng.randrange(1 if subnormal else 2 ** (form.precision - 1), 2**form.precision - 1)
        below, above = (exact(Fraction(n) * Fraction(2) ** last_bit) for n in (units, units + 1))
        halfway = exact(Fraction(2 * units + 1, 2) * Fraction(2) ** last_bit)
        even = below if units % 2 == 0 else above
        assert mpmath.mpf(round_to(halfway, dtype)) == even
        assert float(kind(round_to(halfway, dtype))) == round_to(halfway, dtype)
        nudge = mpmath.mpf(2) ** (last_bit - 200)
        assert mpmath.mpf(round_to(mpmath.fsub(halfway, nudge, exact=True), dtype)) == below
        assert mpmath.mpf(round_to(mpmath.fadd(halfway, nudge, exact=True), dtype)) == above


@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_nearer_to_the_next_power_than_to_the_largest_float_overflows(dtype):
    """Fails when the largest floats round to inf, or numbers beyond them to the largest."""
    largest = float(ml_dtypes.finfo(TYPES[dtype]).max)
    edge, _ = rounding_interval(math.inf, dtype)
    below = mpmath.fsub(edge, mpmath.mpf(2) ** -1100, exact=True)
    assert [round_to(mpmath.mpf(largest), dtype), round_to(below, dtype)] == [largest, largest]
    assert [round_to(edge, dtype), round_to(mpmath.fneg(edge, exact=True), dtype)] == [math.inf, -math.inf]


@pytest.mark.parametrize("dtype", TYPES)
def test_special_values_pass_through(dtype):
    """Fails when nan, inf, -inf or 0 become numbers of another kind."""
    assert [round_to(mpmath.mpf(number), dtype) for number in (math.inf, -math.inf, 0.0)] == [math.inf, -math.inf, 0.0]
    assert math.isnan(round_to(mpmath.mpf("nan"), dtype))


def test_decimals_are_those_of_pythons_decimal():
    """Fails when a decimal digit of a golden file is off: sizes from 10^-400 to 10^400, carries, powers of 10."""
    rng = random.Random(11)  # noqa: S311  a seed, not a secret
    numbers = [rng.getrandbits(rng.randint(1, 200)) * Fraction(2) ** rng.randint(-1500, 1200) for _ in range(1500)]
    numbers += [Fraction(10**n) for n in range(60)] + [Fraction(10**n - 1) for n in range(1, 60)]
    numbers += [Fraction(rng.getrandbits(40) | 1, 2 ** rng.randint(1, 30)) for _ in range(500)]  # ties
    for number in filter(None, numbers):
        for digits in (3, 17, 40):
            context = decimal.Context(prec=digits, rounding=decimal.ROUND_HALF_UP, Emin=-9999, Emax=9999)
            expected = context.divide(decimal.Decimal(number.numerator), decimal.Decimal(number.denominator))
            for sign, signed in (("", exact(number)), ("-", exact(-number))):
                actual = decimal_digits(signed, digits)
                assert decimal.Decimal(actual) == decimal.Decimal(f"{sign}{expected}")
                assert len(actual.lstrip("-").partition("e")[0].replace(".", "")) == digits


def test_decimals_of_special_values_are_words():
    """Fails when a special value is written as a number, or 0 with digits."""
    assert [decimal_digits(mpmath.mpf(number), 5) for number in (0, math.inf, -math.inf, math.nan)] == [
        "0",
        "inf",
        "-inf",
        "nan",
    ]


def test_an_enclosure_that_spans_a_boundary_is_undecided():
    """Fails when an enclosure guesses: its ends round differently, so there is no answer."""
    one, above = mpmath.mpf(1), mpmath.mpf(1) + mpmath.mpf(2) ** -30
    wide = Enclosure(one, above)
    assert [wide.rounded(dtype) for dtype in TYPES] == [1.0, 1.0, 1.0, None]
    assert (wide.decimal(5), wide.decimal(20)) == ("1.0000e+0", None)
    assert wide.is_tight(5) is False


def test_radius_and_value_reach_both_ends():
    """Fails when the radius is rounded down, so that the interval around the midpoint misses an end."""
    rng = random.Random(12)  # noqa: S311  a seed, not a secret
    for _ in range(500):
        low = exact(Fraction(rng.getrandbits(113), 2**113))
        high = mpmath.fadd(low, exact(Fraction(rng.getrandbits(70) + 1, 2**200)), exact=True)
        enclosure = Enclosure(low, high)
        assert 2 * fraction(enclosure.value) == fraction(low) + fraction(high)
        assert 2 * fraction(enclosure.radius) >= fraction(high) - fraction(low)


def test_a_float_pair_is_never_a_guess():
    """Fails when an answer that the last precision left open is given as its midpoint."""
    wide = Enclosure(exact(Fraction(1)), exact(Fraction(1) + Fraction(1, 2**60)))
    with pytest.raises(UndecidedError, match="only known to lie between 1"):
        wide.float_pair()
    across = Enclosure(exact(Fraction(-1, 2**200)), exact(Fraction(1, 2**200)))
    with pytest.raises(UndecidedError):
        across.float_pair()
    for low in (Fraction(-1, 2**1500), Fraction(0)):
        negligible = Enclosure(exact(low), exact(Fraction(1, 2**1500)))
        assert negligible.is_tight(40) and negligible.float_pair() == (0.0, 0.0) and negligible.decimal(40) == "0"
    for special in (math.inf, -math.inf, math.nan):
        number = Enclosure(mpmath.mpf(special), mpmath.mpf(special))
        assert str(number.float_pair()[0]) == str(special) and number.decimal(40) != "0"


def test_a_float_pair_holds_the_value_to_a_hundred_bits():
    """Fails when the suite's comparison loses the digits behind a float64."""
    rng = random.Random(13)  # noqa: S311  a seed, not a secret
    for _ in range(500):
        number = exact(Fraction(rng.getrandbits(200) | 1, 2**210))
        high, low = Enclosure(number, number).float_pair()
        assert high == round_to(number, "float64")
        assert low == round_to(mpmath.fsub(number, high, exact=True), "float64")
        assert abs(Fraction(high) + Fraction(low) - fraction(number)) <= abs(fraction(number)) / 2**106
