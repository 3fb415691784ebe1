"""What is alike is computed once, and nobody can tell from the answers."""

import random

import numpy as np
import pytest

from lossproof import reference
from lossproof.conformance.judging.exact import as_pairs
from lossproof.reference import _token
from lossproof.reference._alike import kinds_of
from lossproof.reference._interval import Interval, exact, exp, total, working_precision

from ._planting import plant_in_function
from ._ties import calls


def all_different(function):
    """Each thing is a kind of its own."""

    def wrapped(*features):
        rows = [list(feature) for feature in features]
        return function(*rows, range(len(rows[0])))

    return wrapped


def ends(answer):
    """The raw ends of all that a call returns."""
    if answer is None:
        return None
    if isinstance(answer, reference.Enclosure):
        return answer.low._mpf_, answer.high._mpf_
    return [ends(part) for part in answer]


@pytest.mark.parametrize("seed", range(30))
def test_answers_are_those_of_each_class_and_token_on_its_own(seed, monkeypatch):
    """Fails when a kind is counted wrongly, or holds classes or tokens that differ in something that matters: ties with
    the first maximum and with the target, masks, the soft-cap, dense targets, V = 1, NaN rows.
    """
    together = [ends(ask()) for _, ask in calls(seed)]
    plant_in_function("kinds_of", all_different)(monkeypatch)
    for (name, ask), answer in zip(calls(seed), together, strict=True):
        assert answer == ends(ask()), name


def test_kinds_count_and_spread():
    """Fails when things of one kind are not found, or get another kind's result."""
    kinds = kinds_of([2.5, 0, 2.5, 2.5, 0.0], [False, False, False, True, False])
    assert (kinds.of, kinds.first, kinds.counts) == ([0, 1, 0, 2, 1], [0, 1, 3], [2, 2, 1])
    assert kinds.spread("abc") == [*"abacb"]
    assert kinds.samples("vwxyz") == [*"vwy"]
    assert kinds_of([], []).spread([]) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_counted_sum_is_that_of_the_repeated_terms(seed):
    """Fails when a term's count is lost or rounded, for terms far below the others too."""
    rng = random.Random(seed)  # noqa: S311  a seed, not a secret
    with working_precision(113):
        sizes = [exp(exact(rng.choice([0.0, -90.0, -400.5]))) for _ in range(5)]
        terms = [exact(rng.choice([1, -1]) * rng.random()) * size for size in sizes]
        counts = [rng.choice([1, 2, 3, 2**40 - 1]) for _ in terms]
        small = [min(count, 3) for count in counts]
        repeated = [term for term, count in zip(terms, small, strict=True) for _ in range(count)]
        assert_same(total(terms, small), total(repeated))
        assert_same(total([*terms, terms[0]], small), total([*repeated, terms[0]]))
        halves = [count // 2 for count in counts] + [count - count // 2 for count in counts]
        assert_same(total(terms, counts), total([*terms, *terms], halves))
        # What is left when the largest numbers cancel: the smallest, of which only some bits were kept.
        largest = exact(2.0**200)
        assert_same(total([largest, -largest, *terms], [2, 2, *small]), total([largest, -largest] * 2 + repeated))


def assert_same(left, right):
    assert isinstance(left, Interval)
    assert (left.low, left.high) == (right.low, right.high)


LOGITS = np.linspace(-3, 3, 7, dtype=np.float32)


def row_of(classes):
    """7 different logits, over and over."""
    return LOGITS[np.arange(classes) * 5 % 7][None]


QUESTIONS = {
    "values": lambda x: reference.token_cross_entropy(x, [9], label_smoothing=0.1, z_loss=0.5),
    "gradients": lambda x: reference.compute_weighted_cross_entropy_gradients(
        x, [9], None, 0.1, 0.5, cotangents={"loss": 1}
    ),
    "dense": lambda x: reference.cross_entropy_with_logits_gradients(x, abs(x), 0.5, cotangents={"loss": [1]}),
    "jvp": lambda x: reference.token_cross_entropy_jvp(x, [9], tangents={"logits": x}),
    "hvp": lambda x: reference.weighted_hessian_vector_product(x, [9], vector=x),
    "soft-cap": lambda x: reference.token_cross_entropy(x, [9], logit_softcap=2.0),
    "prediction": lambda x: reference.prediction(x, [9]),
    "prediction's gradients": lambda x: reference.prediction_gradients(x, [9], cotangents={"entropy": [1]}),
}


@pytest.fixture
def calls_of(monkeypatch):
    """How many times a function has been called since."""

    def start(owner, name):
        original, seen = getattr(owner, name), []

        def wrapped(*arguments):
            seen.append(name)
            return original(*arguments)

        monkeypatch.setattr(owner, name, wrapped)
        return lambda: len(seen)

    return start


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_row_of_few_logits_takes_few_exponentials(question, calls_of):
    """Fails when exp is taken of more than each logit, with one more for the first maximum."""
    exponentials = calls_of(_token, "exp")
    QUESTIONS[question](row_of(10_000))
    assert 7 <= exponentials() <= 8 + (question != "dense")  # and the target


@pytest.mark.parametrize("question", QUESTIONS)
def test_more_classes_of_the_same_logits_are_no_more_work(question, calls_of):
    """Fails when products are made, or enclosures proved to be narrow, for every class instead of every kind."""
    products, proofs = calls_of(Interval, "__mul__"), calls_of(reference.Enclosure, "is_tight")
    QUESTIONS[question](row_of(700))
    once = products(), proofs()
    QUESTIONS[question](row_of(7_000))
    assert (products(), proofs()) == (2 * once[0], 2 * once[1])


@pytest.mark.parametrize("weights", [None, np.array([0.5, 2.0] * 300)], ids=["plain", "weighted"])
def test_equal_tokens_are_computed_once(weights, calls_of):
    """Fails when a batch of 3 different tokens, of 2 weights each, takes the time of its 600."""
    exponentials, proofs = calls_of(_token, "exp"), calls_of(reference.Enclosure, "is_tight")
    logits = np.arange(12, dtype=np.float32).reshape(3, 4)[np.arange(600) % 3]
    batch = (logits, np.arange(600) % 3, weights)
    reference.compute_weighted_cross_entropy(*batch)
    reference.compute_weighted_cross_entropy_gradients(*batch, cotangents={"loss": 1})
    reference.token_cross_entropy(*batch[:2])
    problems = 1 if weights is None else 2  # the tokens of one are computed for the first question alone
    assert exponentials() == problems * (3 * 4)
    assert proofs() <= 3 + (3 + 6 * 4 + 6) + 3 * 3


def test_entries_that_are_alike_are_one_object(calls_of):
    """Fails when who converts an answer has to do it for every class."""
    gradient = reference.token_cross_entropy_gradients(row_of(700), [9], cotangents={"loss": [1]}).logits
    assert len(set(map(id, gradient))) <= 9
    converted = calls_of(reference.Enclosure, "float_pair")
    pairs = as_pairs(gradient)
    assert converted() <= 9
    assert list(zip(pairs.high.ravel(), pairs.low.ravel(), strict=True)) == [e.float_pair() for e in gradient]
