"""exp, log1p and the tables of the oracle against Arb."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx, fmpq

from lossproof.reference import LOSSPROOF
from lossproof.reference.oracle import _exp, _log1p, _problem, _tables

from ._oracle_brackets import exp_arguments, exp_misses, log1p_arguments, log1p_misses, rounding_misses

POINTS = 8000


def power(i):
    return arb(2) ** (arb(i) / _tables.EXP_STEPS)


def logarithm(i):
    return (arb(_tables.LOG_STEPS + i) / _tables.LOG_STEPS).log()


def one_ulp_up(words, place):
    """Two words with the low one of one entry moved by an ulp."""
    changed = np.array(words)
    changed[1, place] += np.spacing(changed[1, place])
    return changed


def test_exp_is_within_its_proven_error():
    """Fails when a step of the exponential loses more than docs/oracle-proof.md, section 4, allows it."""
    arguments = exp_arguments(POINTS)
    assert arguments.shape[1] >= 20_000
    assert exp_misses(arguments) == []


def test_log1p_is_within_its_proven_error():
    """Fails when a step of the logarithm loses more than docs/oracle-proof.md, section 6, allows it."""
    arguments = log1p_arguments(POINTS)
    assert arguments.shape[1] >= 20_000
    assert log1p_misses(arguments) == []


def test_log1p_of_0_is_0():
    """Fails when a token that is alone, with all others masked, gets a loss above 0."""
    assert np.array_equal(_log1p.log1p(np.zeros((2, 1))), np.zeros((2, 1)))


def test_exp_of_0_is_1():
    """Fails when ties of the largest logit are not counted exactly."""
    found = np.empty((2, 1))
    _exp.exp(np.zeros((2, 1)), found, np.empty((_exp.BUFFERS, 1)))
    assert found.tolist() == [[1], [0]]


def test_powers_of_two_are_correctly_rounded():
    """Fails when one entry of the table is wrong by an ulp of its low word."""
    powers = _tables.exp_tables().powers
    assert rounding_misses(powers, power) == []
    assert rounding_misses(one_ulp_up(powers, 4321), power) == [4321]


def test_logarithms_are_correctly_rounded():
    """Fails when one entry of the table is wrong by an ulp of its low word."""
    logs = _tables.log_tables(8).logs
    assert rounding_misses(logs, logarithm) == []
    assert rounding_misses(one_ulp_up(logs, 9), logarithm) == [9]


def test_the_step_is_split_for_exact_products():
    """Fails when n * step is rounded: the first two parts must have 30 bits, and the three must be ln 2 / EXP_STEPS."""
    *short, _ = parts = _tables.exp_tables().step
    for part, last_bit in zip(short, (43, 73), strict=True):
        assert (part * 2**last_bit).is_integer() and abs(part * 2**last_bit) < 2**30
    error = sum(map(arb, parts), arb(0)) - arb(2).log() / _tables.EXP_STEPS
    assert abs(error) < arb(2) ** -127


def entropy_misses():
    """The label smoothings, with V, at which H is not within its radius, by Arb."""
    ctx.prec = 400
    wrong = []
    for classes, e in itertools.product((2, 3, 1000, 128256), (Fraction(1, 10), 0.1, 1e-300, 1.0)):
        problem = _problem.make_problem(np.zeros((1, classes)), [0], None, e, 0, None, LOSSPROOF)
        on, off = (arb(fmpq(*Fraction(q).as_integer_ratio())) for q in (1 - Fraction(e), Fraction(e) / (classes - 1)))
        true = -(on * on.log() if on != 0 else 0) - (classes - 1) * off * off.log()
        middle = arb(fmpq(*problem.entropy.fraction().as_integer_ratio()))
        if not abs(middle - true) <= arb(problem.entropy.radius):
            wrong.append((classes, e))
    return wrong


def test_the_entropy_is_within_its_radius(monkeypatch):
    """Fails when the constant H of label smoothing is off by more than its radius."""
    assert entropy_misses() == []
    monkeypatch.setattr(_problem, "_ENTROPY_ERROR", 0.0)
    assert entropy_misses()


@pytest.mark.parametrize("place", ["powers", "step"])
def test_a_wrong_constant_of_exp_is_seen(monkeypatch, place):
    """Fails when the points of the first test would not notice a constant that is wrong by the error it allows."""
    tables = _tables.exp_tables()
    if place == "powers":
        wrong = tables._replace(powers=(tables.powers[0], tables.powers[1] * (1 + 2.0**-40)))
    else:
        wrong = tables._replace(step=(*tables.step[:2], tables.step[2] * (1 + 2.0**-40)))
    monkeypatch.setattr(_exp, "exp_tables", lambda: wrong)
    assert exp_misses(exp_arguments(500))


def test_a_wrong_constant_of_log1p_is_seen(monkeypatch):
    """Fails when the points of the second test would not notice a constant that is wrong by the error it allows."""
    tables = _tables.log_tables(8)
    logs = (tables.logs[0], tables.logs[1] * (1 + 2.0**-30))
    monkeypatch.setattr(_log1p, "log_tables", lambda _: tables._replace(logs=logs))
    assert log1p_misses(log1p_arguments(500))


@pytest.mark.parametrize(("module", "found"), [(_exp, exp_misses), (_log1p, log1p_misses)])
def test_an_error_bound_of_0_is_seen(monkeypatch, module, found):
    """Fails when the tests of the errors cannot fail, whatever the bounds say."""
    monkeypatch.setattr(module, "ERROR", 0.0)
    assert found(exp_arguments(100) if module is _exp else log1p_arguments(100))
