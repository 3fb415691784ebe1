"""The reference against Arb, which shares neither code nor algorithm with it."""

import pytest

from lossproof import reference

from ._arb import ends, overlap, token
from ._cases import KINDS, tokens
from ._neighbours import TYPES, rounding_interval


def _answers(logits, target, smoothing, k):
    inputs = {"label_smoothing": smoothing, "z_loss": k}
    values = reference.token_cross_entropy([logits], [target], **inputs)
    gradients = reference.token_cross_entropy_gradients([logits], [target], cotangents={"loss": [1]}, **inputs)
    answers = {name: getattr(values, name).item() for name in ("log_z", "z_loss", "loss")}
    return answers | {("gradient", j): entry for j, entry in enumerate(gradients.logits)}


def _balls(logits, target, smoothing, k):
    balls = token(logits, target, smoothing, k)
    gradient = balls.pop("gradient")
    return balls | {("gradient", j): entry for j, entry in enumerate(gradient)}


@pytest.mark.parametrize("kind", KINDS)
def test_enclosures_hold_the_value_that_arb_finds(kind):
    """Fails when an answer of the reference is wrong, however good it looks: two rigorous enclosures must meet."""
    misses, compared = [], 0
    for case in tokens(kind, 60):
        answers, balls = _answers(*case), _balls(*case)
        assert answers.keys() == balls.keys()
        misses += [(case, name) for name in answers if not overlap(answers[name], balls[name])]
        compared += len(answers)
    assert not misses
    assert compared > 60 * 3


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_answers_round_to_the_nearest_float(kind, dtype):
    """Fails when an answer is rounded twice, towards zero, or taken from an enclosure too wide to know."""
    decided = undecided = 0
    for case in tokens(kind, 15):
        answers, balls = _answers(*case), _balls(*case)
        for name, answer in answers.items():
            rounded = answer.rounded(dtype)
            assert rounded is not None, (case, name)
            (low, high), (first, last) = ends(balls[name]), rounding_interval(rounded, dtype)
            assert low <= last and first <= high, (case, name, rounded)
            inside = first <= low and high <= last
            decided, undecided = decided + inside, undecided + (not inside)
    # Arb's ball around an exact 0, or an exact tie, has a width, and lies on both sides of a boundary.
    assert decided > undecided or kind in ("ties", "huge")
    assert decided
