"""Small errors, and the places of the reference to plant them in."""

import itertools
import math
import sys
from functools import partial

from mpmath import libmp

from lossproof import reference
from lossproof.reference import _enclosure as enclosure, _problem as problem, _rounding as rounding, _token as token
from lossproof.reference._interval import Interval, current_precision


def beyond(value, widths=1):
    """The interval as wide as this one that many widths above: with 1 the smallest error that an enclosure can have.
    Of a single number, a working ulp counts as its width.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(beyond(element, widths) for element in value)
    one_ulp = libmp.mpf_shift(libmp.mpf_abs(value.low), 1 - current_precision())
    width = one_ulp if value.is_point else libmp.mpf_sub(value.high, value.low, 60, "c")
    by = libmp.mpf_mul(width, libmp.from_int(widths))
    low, high = (libmp.mpf_add(end, by, 2 * current_precision(), "c") for end in (value.low, value.high))
    return Interval(low, low if value.is_point else high)


def plant_in_function(name, wrap):
    """Wraps the function of that name in every module of the reference that calls it by this name."""

    def plant(monkeypatch):
        problem._known.clear()
        modules = [module for path, module in sys.modules.items() if path.startswith("lossproof.reference._")]
        (original,) = {getattr(module, name) for module in modules if hasattr(module, name)}
        for module in modules:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, wrap(original))

    return plant


def plant_in_attribute(owner, name, wrap):
    """Wraps a method or property."""

    def plant(monkeypatch):
        problem._known.clear()
        original = vars(owner)[name]
        if hasattr(original, "func"):  # a cached_property
            monkeypatch.setattr(owner, name, property(wrap(original.func)))
        else:
            monkeypatch.setattr(owner, name, wrap(original))

    return plant


def moved(function, widths=1):
    """Its result is the next interval, or one further above."""
    return lambda *arguments, **named: beyond(function(*arguments, **named), widths)


def second_moved(function, widths=1):
    """The second of its two results is an interval above."""

    def wrapped(*arguments):
        first, second = function(*arguments)
        return first, beyond(second, widths)

    return wrapped


def third_call_moved(function):
    """Every third result is the next interval: a term of a sum."""
    calls = itertools.count(1)
    return lambda x: beyond(function(x)) if next(calls) % 3 == 0 else function(x)


def inwards(function):
    """The lower end is rounded up, as far as the upper one."""
    return lambda x: (function(x)[1],) * 2


def next_float(function):
    """One unit of the last place of a float64 up."""
    return lambda number, dtype: (
        math.nextafter(function(number, dtype), math.inf) if dtype == "float64" else function(number, dtype)
    )


def half_up(_):
    return lambda mantissa, shift: (mantissa + (1 << (shift - 1))) >> shift


def last_digit_up(function):
    def wrapped(number, digits):
        significand, e, power = function(number, digits).partition("e")
        return significand[:-1] + chr(ord(significand[-1]) + 1) + e + power

    return wrapped


def plant_a_guess(monkeypatch):
    """Ziv's loop stops at its first precision, and an end is taken for the value."""
    problem._known.clear()
    monkeypatch.setattr(enclosure, "PRECISIONS", enclosure.PRECISIONS[:1])
    monkeypatch.setattr(reference.Enclosure, "rounded", lambda self, dtype: rounding.round_to(self.low, dtype))


PLANTS = {
    "exp": plant_in_function("exp", moved),
    "log": plant_in_function("log", moved),
    "log1p": plant_in_function("log1p", moved),
    "every sum": plant_in_function("total", moved),
    "a term of the sum": plant_in_function("exp", third_call_moved),
    "an infinite or finite sum": plant_in_function("added", moved),
    "off": plant_in_attribute(token.HardTarget, "on_off", second_moved),
    # The sum by which it is multiplied is wide enough to make up for less.
    "slope of off": plant_in_attribute(token.HardTarget, "on_off_slopes", partial(second_moved, widths=16)),
    "Q - q": plant_in_attribute(token.HardTarget, "rests", moved),
    "H": plant_in_attribute(token.HardTarget, "entropy", moved),
    "q of dense targets": plant_in_attribute(token.DenseTarget, "weights", moved),
    "log_z": plant_in_attribute(token.Token, "log_z", moved),
    "z_loss": plant_in_attribute(token.Token, "z_loss", moved),
    "loss": plant_in_attribute(token.Token, "loss", moved),
    "lse - x": plant_in_attribute(token.Token, "shortfall", moved),
    "p": plant_in_attribute(token.Token, "probability", moved),
    "1 - p": plant_in_attribute(token.Token, "complement", moved),
    "gradient": plant_in_attribute(token.Token, "logits_gradient", moved),
    "by label_smoothing": plant_in_attribute(token.Token, "smoothing_derivative", moved),
    "Hessian": plant_in_attribute(token.Token, "hessian_vector_product", moved),
    "what the entropy has besides log s": plant_in_function("_mean_gap", moved),
    "gradient of the entropy": plant_in_function("_entropy_gradient", moved),
    "by the factor": plant_in_function("_by_factor", moved),
    "an end rounded inwards": plant_in_function("endpoints", inwards),
    "the last bit of a float64": plant_in_function("round_to", next_float),
    "half up": plant_in_function("_half_even", half_up),
    "the last decimal digit": plant_in_function("decimal_digits", last_digit_up),
    "a guess": plant_a_guess,
}
