"""What is computed of a call is kept for the next question about the same call, and for no other."""

import numpy as np
import pytest

from lossproof import reference
from lossproof.reference import _problem
from lossproof.reference._problem import batch_problem, dense_problem
from lossproof.spec import LOSSPROOF

LOGITS = np.array([[0.5, 1.0, 2.0]], np.float32)
ZERO = np.array([0])
PLAIN = (ZERO, None, 0.0, 0.0, None, None, LOSSPROOF)


def test_equal_calls_have_one_problem():
    """Fails when the tokens of a call are computed anew for each of its outputs and cotangents."""
    assert batch_problem(LOGITS, *PLAIN) is batch_problem(LOGITS.copy(), *PLAIN)
    assert dense_problem(LOGITS, LOGITS, 0.1, None) is dense_problem(LOGITS, LOGITS.copy(), 0.1, None)


@pytest.mark.parametrize(
    "other",
    [
        (LOGITS + 1, *PLAIN),
        (LOGITS.astype(np.float64), *PLAIN),
        (LOGITS.reshape(1, 1, 3), ZERO.reshape(1, 1), *PLAIN[1:]),
        (LOGITS, ZERO + 1, *PLAIN[1:]),
        (LOGITS, ZERO, np.array([2.0]), *PLAIN[2:]),
        (LOGITS, ZERO, None, 0.5, *PLAIN[3:]),
        (LOGITS, ZERO, None, 0.0, 0.5, *PLAIN[4:]),
        (LOGITS, ZERO, None, 0.0, 0.0, 2.0, *PLAIN[5:]),
        (LOGITS, ZERO, None, 0.0, 0.0, None, 2.0, LOSSPROOF),
    ],
)
def test_other_calls_have_another(other):
    """Fails when a call is answered with what was computed for one that differs in an argument."""
    assert batch_problem(*other) is not batch_problem(LOGITS, *PLAIN)


def test_an_array_that_was_changed_is_another():
    """Fails when arrays are told apart by being the same object: the caller may write to his."""
    logits = LOGITS.copy()
    first = reference.token_cross_entropy(logits, ZERO).loss.item()
    logits[0, 0] = 1.5
    second = reference.token_cross_entropy(logits, ZERO).loss.item()
    assert second != first
    assert second == reference.token_cross_entropy(logits.tolist(), ZERO.tolist()).loss.item()


def test_what_is_refused_is_refused_after_its_equal_was_taken():
    """Fails when False, which equals 0, is answered with the problem of 0."""
    assert reference.token_cross_entropy(LOGITS, ZERO, z_loss=0).z_loss.item().rounded("float32") == 0
    with pytest.raises(TypeError, match="z_loss"):
        reference.token_cross_entropy(LOGITS, ZERO, z_loss=False)


def test_few_are_kept_and_what_fills_the_memory_until_the_next(monkeypatch):
    """Fails when the tokens of every call of a run stay in memory."""
    kept = batch_problem(LOGITS, *PLAIN)
    for number in range(_problem._REMEMBERED):
        batch_problem(LOGITS + 2 + number, *PLAIN)
    assert batch_problem(LOGITS, *PLAIN) is not kept
    large = batch_problem(LOGITS, *PLAIN)
    large.token(0)
    monkeypatch.setattr(_problem, "_LARGE", large.distinct_classes - 1)
    batch_problem(LOGITS + 1, *PLAIN)
    assert batch_problem(LOGITS, *PLAIN) is not large
