"""Sums over very many tokens."""

import math
import subprocess
import sys
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, token_cross_entropy
from lossproof.impl._sums import exact_sum, exact_sums
from lossproof.reference.bounds import unit_roundoff

COUNT = 10**6 + 3  # no multiple of anything
RNG = np.random.default_rng(20)


def cancelling():
    half = RNG.lognormal(0, 4, COUNT // 2)
    return RNG.permutation(np.concatenate([half, -half, [1e-3]]))


TERMS = {
    "equal": np.full(COUNT, 0.1),
    "uniform": RNG.uniform(0, 12, COUNT),
    "log-normal": RNG.lognormal(0, 4, COUNT),
    "of both signs": cancelling(),
    "1e8 next to 1": np.where(np.arange(COUNT) % 100_000 == 7, 1e8, 1.0),
}


def assert_summed(total, terms):
    """Equal but for the total's own rounding and 3 u^2 of the partial sums at each addition (`add_pairs`)."""
    u, wide = unit_roundoff("float32"), np.asarray(terms, np.float64)
    exact = math.fsum(wide)
    assert abs(float(total) - exact) <= u * abs(exact) + 3 * u**2 * wide.size * math.fsum(np.abs(wide))


@pytest.mark.parametrize("implementation", [None, "xla"])
@pytest.mark.parametrize("kind", TERMS)
def test_a_million_terms_are_summed_to_a_rounding(kind, implementation):
    """Fails when the error of a total grows with the number of its terms (ACC-4)."""
    terms = TERMS[kind].astype(np.float32)
    assert_summed(jax.jit(partial(exact_sum, implementation=implementation))(terms), terms)


@pytest.mark.parametrize("implementation", [None, "xla"])
def test_sums_that_are_taken_together_are_those_taken_alone(implementation):
    """Fails when one array's terms enter another's sum, or an axis that stays is summed over (ACC-4)."""
    first, second = (TERMS[kind].astype(np.float32)[:1200].reshape(3, 400) for kind in ("uniform", "log-normal"))
    jitted = jax.jit(partial(exact_sums, implementation=implementation), static_argnames="axis")
    for axis in (0, -1):
        for together, array in zip(jitted(first, second, axis=axis), (first, second), strict=True):
            for total, terms in zip(together, np.moveaxis(array, axis, -1), strict=True):
                assert_summed(total, terms)


def spread(dtype, count):
    """Numbers of every size that stays normal, of both signs, with some that cancel."""
    info = np.finfo(dtype)
    sizes = RNG.integers(info.minexp + 1, info.maxexp - 30, count)
    terms = np.ldexp(RNG.uniform(1, 2, count), sizes).astype(dtype) * RNG.choice([-1, 1], count)
    return np.concatenate([terms, -terms[::3]]).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 7, 100, 5000])
def test_digits_add_up_to_the_exact_sum_of_numbers_of_any_size(dtype, count):
    """Fails when a digit is lost, counted twice, of the wrong sign, or a sum of digits overflows (ACC-4)."""
    with jax.enable_x64(dtype == "float64"):
        program = jax.jit(partial(exact_sum, implementation="xla"))
        for limit in (None, 2.0**40, 2.0**-40, 1e-30, 1e-10):
            terms = spread(dtype, count)
            terms = terms if limit is None else terms[np.abs(terms) < limit]
            exact = sum(map(Fraction, terms.tolist()), Fraction(0))
            found, u = float(program(jnp.asarray(terms))), Fraction(unit_roundoff(dtype))
            size = sum((abs(Fraction(term)) for term in terms.tolist()), Fraction(0))
            # The sum's rounding, and what double-float loses of all that is added up.
            allowed = u * abs(exact) + 3 * u**2 * size + Fraction(float(np.finfo(dtype).smallest_normal))
            assert abs(Fraction(found) - exact) <= allowed


def test_digits_add_up_to_the_same_bits_in_any_order():
    """Fails when a total depends on where its tokens are, which on many devices nobody knows (ACC-6)."""
    terms = jnp.asarray(spread("float32", 30_000))
    program = jax.jit(partial(exact_sum, implementation="xla"))
    totals = {float(program(terms[RNG.permutation(terms.size)])) for _ in range(5)}
    assert len(totals) == 1


@pytest.mark.parametrize("implementation", [None, "xla"])
@pytest.mark.parametrize(
    ("terms", "total"),
    [
        ([np.inf, 1.0], np.inf),
        ([1.0, -np.inf], -np.inf),
        ([np.inf, -np.inf], np.nan),
        ([np.nan, np.inf], np.nan),
        ([3e38, 3e38, -3e38], 3e38),
        ([3e38, 3e38], np.inf),
        ([3e38, -3e38, 1e-30], 1e-30),
        ([-0.0, 0.0], 0.0),
    ],
)
def test_terms_that_are_not_finite_and_partial_sums_that_overflow(terms, total, implementation):
    """Fails when an infinite term makes a NaN of the total, or a partial sum beyond the range stays there (STATE-4)."""
    found = jax.jit(partial(exact_sum, implementation=implementation))(jnp.asarray(terms, jnp.float32))
    if (implementation, total) == (None, 1e-30):
        assert_summed(found, np.float32(terms))  # pairs keep 48 bits of the largest, digits keep all
    else:
        np.testing.assert_array_equal(found, np.float32(total))


def test_a_batch_of_a_million_tokens_is_the_sum_of_its_tokens():
    """Fails when loss, z_loss or weight_sum of a large batch lose what each token has (ACC-4)."""
    rng = np.random.default_rng(21)
    logits = rng.normal(0, 4, (COUNT, 2)).astype(np.float32)
    targets, weights = rng.integers(0, 2, COUNT), np.full(COUNT, 0.5, np.float32)
    tokens = token_cross_entropy(logits, targets, z_loss=0.5)
    loss, z_loss, weight_sum = compute_weighted_cross_entropy(logits, targets, weights, 0.0, 0.5)
    assert_summed(loss, np.asarray(tokens.loss) / 2)  # 0.5 is a power of 2: the products are exact
    assert_summed(z_loss, np.asarray(tokens.z_loss) / 2)
    assert float(weight_sum) == np.float32(COUNT / 2)


SHARDED = """
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
from lossproof.impl._sums import exact_sum
terms = np.where(np.arange(8000) % 1000 == 7, 1e8, 0.1).astype(np.float32).reshape(16, 500)
for kind in jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit:
    mesh = jax.make_mesh((8,), ("tokens",), axis_types=(kind,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("tokens"))
    for array in terms, terms.reshape(-1):
        print(float(jax.jit(exact_sum)(jax.device_put(array, sharding))))
"""


def test_terms_on_eight_devices_are_summed_to_a_rounding():
    """Fails when the devices' partial sums are added in one float, or sharded terms cannot be summed (ACC-4)."""
    result = subprocess.run([sys.executable, "-c", SHARDED], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    terms = np.where(np.arange(8000) % 1000 == 7, 1e8, 0.1).astype(np.float32)
    totals = result.stdout.split()
    assert len(totals) == 4
    for total in totals:
        assert_summed(float(total), terms)


def test_a_total_of_many_terms_has_their_derivatives():
    """Fails when the total is differentiated through its rounding errors, in either mode (GRAD-8)."""
    terms = jnp.arange(1.0, 9.0)
    assert jax.jvp(jax.jit(exact_sum), (terms,), (terms,))[1] == 36
    np.testing.assert_array_equal(jax.jit(jax.grad(exact_sum))(terms), np.ones(8))
