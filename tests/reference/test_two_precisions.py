"""The reference against itself, with more bits from the start."""

import pytest

from lossproof.reference import FORMATS, _enclosure as enclosure, _interval as interval, _token as token

from ._cases import KINDS, questions
from ._planting import moved

# By the digits asked for (golden files have 40): the precision that is enough, as an index.
ENOUGH = {20: 0, 40: 1}


def disagreements(asked, digits, monkeypatch):
    """What a precision that is enough, and one of twice as many bits, do not say alike, in words; and how many
    answers were compared. Enclosures of one number meet; their roundings and digits are equal.
    """
    first = [question.answers(digits) for question in asked]
    with monkeypatch.context() as patch:
        patch.setattr(enclosure, "PRECISIONS", enclosure.PRECISIONS[ENOUGH[digits] + 1 :])
        second = [question.answers(digits) for question in asked]
    found, compared = [], 0
    for answers, others in zip(first, second, strict=True):
        for key, answer in answers.items():
            compared += 1
            found += [(*key, words) for words in _differences(answer, others[key], digits)]
    return found, compared


def _differences(answer, other, digits):
    if answer.is_special:
        return [] if repr(answer.low) == repr(other.low) else ["another special value"]
    if not (answer.low <= other.high and other.low <= answer.high):
        return ["enclosures do not meet"]
    found = [dtype for dtype in FORMATS if answer.rounded(dtype) != other.rounded(dtype)]
    return found + ["decimal"] * (answer.decimal(digits) != other.decimal(digits))


@pytest.mark.parametrize("digits", ENOUGH)
@pytest.mark.parametrize("kind", KINDS)
def test_twice_the_precision_gives_the_same_answers(kind, digits, monkeypatch, reference_cases, note):
    """Fails when an enclosure at one of two precisions is beside the value, or rounded as if it were known."""
    asked = list(questions(kind, reference_cases // 60, seed="precisions"))
    found, compared = disagreements(asked, digits, monkeypatch)
    note(f"{kind:<13}{compared:>6} answers with {digits} digits at two precisions: {len(found)} differ")
    assert not found
    assert compared > reference_cases // 20


@pytest.mark.parametrize("digits", ENOUGH)
def test_an_error_at_one_precision_is_seen(digits, monkeypatch):
    """Fails when both answers above come from one precision: exp is some working ulps off at the lower one."""
    wrong, right, lower = moved(interval.exp, widths=4), interval.exp, enclosure.PRECISIONS[ENOUGH[digits]]

    def exp(x):
        return (wrong if interval.current_precision() == lower else right)(x)

    monkeypatch.setattr(token, "exp", exp)
    found, _ = disagreements(list(questions("normal", 10)), digits, monkeypatch)
    assert any(words == "enclosures do not meet" for *_, words in found)
