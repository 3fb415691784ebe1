"""Arrays that are rules: the same elements everywhere, and no others."""

import hashlib
import math
import random
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from lossproof import golden, reference
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.checks.golden import examine
from lossproof.conformance.targets import load_target
from lossproof.golden import _recipe
from lossproof.golden._builders import recipe, token
from lossproof.golden._functions import answer
from lossproof.golden._numbers import fits
from lossproof.golden._recipe import Recipe, draw

NUMPY = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float64}


def test_draws_are_those_of_splitmix64() -> None:
    """Fails when the generator is another one: many libraries' tests have the first two outputs of seed 1234567."""
    for index, published in enumerate((6457827717110365317, 3203168211198807973)):
        quarters = [published >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
        assert draw(1234567, index) == sum(quarters) - 131070


def test_draws_are_bell_shaped() -> None:
    """Fails when the middle is not that of the sum: mean and deviation are within five of their standard errors."""
    count, deviation = 20_000, 65536 / math.sqrt(3)
    draws = [draw(1, i) for i in range(count)]
    assert abs(sum(draws)) < 5 * deviation * math.sqrt(count)
    assert abs(sum(x * x for x in draws) / count / deviation**2 - 1) < 5 * math.sqrt(2 / count)


def test_elements_are_the_formula_and_the_patches() -> None:
    """Fails when the shift does not round down, the offset is scaled, or a patch is added instead of put in place."""
    drawn = Recipe(50, 3, 9, 7, -5, ((0, 1.5), (49, -math.inf)))
    expected = [(math.floor(draw(3, i) / 2**9) + 7) * 2.0**-5 for i in range(50)]
    assert list(drawn) == [1.5, *expected[1:49], -math.inf]
    assert min(expected) < 0 < max(expected)


@pytest.mark.parametrize("dtype", sorted(reference.FORMATS))
def test_a_recipe_is_taken_exactly_where_its_type_holds_all_draws(dtype: str) -> None:
    """Fails when a recipe can draw what its type does not hold, or one that cannot is refused."""
    form, sample = reference.FORMATS[dtype], random.Random(4)  # noqa: S311 - numbers, not secrets
    lowest, taken = form.min_exponent - form.precision + 1, 0
    for _ in range(300):
        drop = sample.randint(9, 17)
        offset = sample.choice((0, 0, 1, 2**form.precision + sample.randint(-1, 1) - (131070 >> drop)))
        exponent = sample.choice(
            (lowest - 1, lowest, -5, 0, form.max_exponent - sample.randint(-2, form.precision + 2))
        )
        steps = range((-131070 >> drop) + offset, (131070 >> drop) + offset + 1)
        try:
            every = all(fits(math.ldexp(step, exponent), dtype) for step in steps)
            exact = all(float(step) == step for step in steps) and math.ldexp(1, exponent) > 0
        except OverflowError:
            every, exact = False, True
        drawn = Recipe(1, 0, drop, offset, exponent)
        if every and exact:
            drawn.check_type(dtype)
            taken += 1
        else:
            with pytest.raises(ValueError, match="drop more bits"):
                drawn.check_type(dtype)
    assert 30 < taken < 270


@pytest.mark.parametrize(("dtype", "drop"), [("bfloat16", 9), ("float16", 6), ("float32", 0), ("float64", 0)])
def test_hash_is_that_of_the_bits_in_memory(dtype: str, drop: int) -> None:
    """Fails when a reader that hashes its own array, little-endian, gets another hash than the file's."""
    array = recipe((3, 40), dtype, seed=5, drop=drop, exponent=-14, patches={7: -math.inf, 8: 0.5})
    memory = np.asarray(array.tolist(), NUMPY[dtype])
    assert memory.shape == array.shape
    assert array.sha256 == hashlib.sha256(memory.tobytes()).hexdigest()


def test_nothing_is_drawn_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a recipe is filled in where it is defined, so that importing the definitions takes seconds."""

    def refuse(seed: int, index: int) -> int:
        raise AssertionError(f"element {index} of seed {seed} is drawn")

    monkeypatch.setattr(_recipe, "draw", refuse)
    array = recipe((1000, 1000), "float32", seed=1, drop=0, exponent=-14)
    assert (len(array.values), array.shape) == (10**6, (1000, 1000))
    with pytest.raises(AssertionError, match="element 0 of seed 1"):
        array.tolist()


def test_sampled_gradient_is_part_of_the_whole_one() -> None:
    """Fails when a number of a sampled gradient belongs to another element, or one that is promised is missing."""
    array = recipe((2, 300), "float32", seed=6, drop=0, exponent=-14, patches={17: 2.0, 400: -math.inf})
    listed = golden.Array("float32", (2, 300), tuple(array.values))
    sampled, whole = (
        answer(token(x, [5, 260], z_loss=0.5, clauses="GRAD-1", note="x"), "topic").gradients["logits"]
        for x in (array, listed)
    )
    assert sampled.at is not None and whole.at is None
    assert sampled.shape == whole.shape
    assert sampled.decimal == tuple(whole.decimal[i] for i in sampled.at)
    rows = array.tolist()
    promised = {5, 560, 17, 400, 0, 299, 300, 599, rows[0].index(max(rows[0])), 300 + rows[1].index(max(rows[1]))}
    assert promised <= set(sampled.at)
    assert len(sampled.at) < 30


def test_sampled_gradient_is_judged(fresh: Path) -> None:
    """Fails when a wrong gradient of a recipe's logits passes the golden checks, or the right one does not."""
    case = golden.load(["drawn"], directory=fresh)[1]
    gradient = case.gradients["logits"]
    run = Run(load_target("lossproof"), case.function, "float32", "standard", 0)
    examine(case, run)
    moved = replace(gradient, decimal=(*gradient.decimal[:-1], "1.0"))
    with pytest.raises(Violation, match=r"the derivative by logits, at \[0, 1, .*, exactly 1\.0"):
        examine(replace(case, gradients={**case.gradients, "logits": moved}), run)
    flat = replace(gradient, shape=(600,))
    with pytest.raises(Violation, match=r"must have the shape \(600,\), got \(2, 300\)"):
        examine(replace(case, gradients={**case.gradients, "logits": flat}), run)
