"""The reference against Arb, which shares neither code nor algorithm with it. More cases:
`python -m pytest tests/reference/test_against_arb.py --reference-cases 20000 --reference-report`.
"""

import dataclasses

import pytest

from lossproof.reference import _enclosure as enclosure, _interval as interval

from ._arb import balls
from ._cases import KINDS, questions
from ._verdicts import complaints


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_that_arb_finds(kind, reference_cases, note):
    """Fails when an enclosure misses the value, is wide, or is not rounded to the nearest float or decimal: of values,
    gradients by every argument and Hessian-vector products, in every convention.
    """
    found, compared, tokens = [], 0, 0
    for question in questions(kind, -(-reference_cases // len(KINDS))):
        wrong, count = complaints(question)
        found += [(question, *words) for words in wrong]
        compared, tokens = compared + count, tokens + len(question.logits)
    note(f"{kind:<13}{tokens:>6} tokens, {compared:>7} answers: {len(found)} wrong")
    assert not found
    assert compared > 3 * tokens >= 3 * (reference_cases // len(KINDS))


@pytest.mark.parametrize("kind", ["normal", "confident", "wrong", "equal"])
def test_answers_without_the_widening_of_exp_and_log_are_caught(kind, monkeypatch):
    """Fails when the comparison cannot tell enclosures from numbers near the value: those of mpmath's exp and log."""
    unwidened = lambda x: interval.Interval(x.low, (*x.high,))  # noqa: E731  another object: not taken for exact
    monkeypatch.setattr(interval, "_widened", unwidened)
    missed = (words for question in questions(kind, 250) for *_, words in complaints(question)[0])
    assert "misses the value" in missed


def test_constructed_near_ties_need_more_than_the_first_precision(monkeypatch):
    """Fails when the near-ties are not near: then they say nothing about Ziv's loop."""
    monkeypatch.setattr(enclosure, "PRECISIONS", enclosure.PRECISIONS[:1])
    words = [words for question in questions("near-tie", 200) for *_, words in complaints(question)[0]]
    undecided = {word.split()[1] for word in words if word.endswith("undecided")}
    assert undecided == {"bfloat16", "float16", "float32", "float64"}


def test_every_answer_is_compared():
    """Fails when the oracle has no opinion on a function's output or derivative, whatever the case."""
    compared, answered = set(), set()
    for kind in KINDS:
        for question in questions(kind, 20):
            function = type(question).__name__
            compared |= {(function, name) for (name, _), ball in balls(question).items() if ball is not None}
            answered |= {(function, name) for name, _ in question.answers()}
    assert compared == answered
    assert len(answered) == 6 + 8 + 5 + 1 + 4


def test_every_convention_is_compared():
    """Fails when a switch of `Convention` is the same in all questions."""
    asked = [q.convention for kind in KINDS for q in questions(kind, 60) if hasattr(q, "convention")]
    for field in ("smoothing", "subtract_entropy", "add_z_loss"):
        assert len({dataclasses.asdict(convention)[field] for convention in asked}) == 2
