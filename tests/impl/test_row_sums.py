"""Every way to reduce a row: in one block, in many, by copies; against the oracle and the bound of a good algorithm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import token_cross_entropy
from lossproof.impl import _xla_cpu_rows
from lossproof.impl._xla_cpu_blocks import block_length
from lossproof.reference import oracle
from lossproof.reference.bounds import Bounds, Call, with_final_rounding

# One block, blocks, no block length, blocks of an odd length; the last two are copied, all of 4096 where it is float16.
SIZES = [(5, 64), (3, 1000), (5, 1009), (7, 4096), (3, 6929), (262, 521), (24, 4096)]
DTYPES = ["float32", "bfloat16", "float16", "float64"]
SCALARS = [{}, {"label_smoothing": 0.1, "z_loss": 1e-3}, {"label_smoothing": 1.0}]


@pytest.fixture
def copied_sooner(monkeypatch):
    """Rows are copied a few at a time from fewer logits on."""
    monkeypatch.setattr(_xla_cpu_rows, "COPIED", 2**14)


def logits_of(count, classes, dtype):
    """Rows of many kinds: ordinary, confident, tied, with an offset, masked, undefined, and huge ones."""
    rng = np.random.default_rng(count * classes)
    x, targets = 3 * rng.normal(size=(count, classes)), rng.integers(0, classes, count)
    x[0, targets[0]] += 25
    x[1] = np.round(x[1] / 3)
    x[2] += 1e3
    x[2, :: 3 if targets[2] % 3 else 4] = -np.inf
    x[2, targets[2]] = 1e3
    if count > 4:
        x[3, targets[3]] = -np.inf
        x[4, classes // 2] = np.nan
    if count > 5:
        x[5], x[5, classes // 3], x[5, targets[5]] = -3e38, 3e38, 0
    return jnp.asarray(x).astype(dtype), targets


def shares(actual, exact, bound):
    """Error / bound where the exact value is a number in the range of the type; the others must be equal, or inf."""
    expected = np.where(np.abs(exact.high) > jnp.finfo(actual.dtype).max, np.copysign(np.inf, exact.high), exact.high)
    actual = np.asarray(actual, np.float64)
    special = ~np.isfinite(expected)
    np.testing.assert_array_equal(actual[special], expected[special])
    error = np.abs((actual[~special] - exact.high[~special]) - exact.low[~special])
    return np.divide(error, bound[~special], out=np.zeros_like(error), where=error > 0)


def differentiated(program, ones, x):
    """Values, and the gradient of loss and z_loss."""
    values, pull_back = jax.vjp(program, x)
    cotangents = jax.tree.map(jnp.zeros_like, values)._replace(loss=ones, z_loss=ones)
    return values, pull_back(cotangents)[0]


def ways():
    """Size, implementation, type and scalars; the plain passes take float16 as bfloat16, and float64 as float32. Every
    size has every type, the scalars by turns; those of float32 on the platform all.
    """
    for number, size in enumerate(SIZES):
        for implementation in (None, "xla"):
            for place, dtype in enumerate(DTYPES):
                takes_long = implementation == "xla" and dtype in ("float16", "float64")
                own = SCALARS[: 3 if dtype == "float32" else 2]
                for turn, scalars in enumerate(own):
                    has_turn = (number + place) % len(own) == turn or (implementation, dtype) == (None, "float32")
                    words = [*map(str, size), implementation or "best", dtype]
                    words += [f"{k}={v}" for k, v in scalars.items()]
                    marks = [pytest.mark.thorough] * (takes_long or not has_turn)
                    yield pytest.param(*size, implementation, dtype, scalars, marks=marks, id="-".join(words))


@pytest.mark.parametrize(("count", "classes", "implementation", "dtype", "scalars"), list(ways()))
@pytest.mark.usefixtures("copied_sooner")
def test_values_and_gradients_are_within_the_bound(count, classes, dtype, scalars, implementation):
    """Breaks if a block is left out or counted twice, the target or the peak is not where it is looked for, a row is
    copied with its neighbour's end, or a NaN is overlooked (VALUE, GRAD-1, STATE-1, STATE-3, ACC-1, ACC-3).
    """
    with jax.enable_x64(dtype == "float64"):
        x, targets = logits_of(count, classes, dtype)
        program = jax.jit(lambda x: token_cross_entropy(x, targets, **scalars, implementation=implementation))
        ones = jnp.ones(count, "float64" if dtype == "float64" else "float32")
        values, gradient = jax.jit(lambda x: differentiated(program, ones, x))(x)
        if implementation is None and dtype in ("float32", "bfloat16"):  # more programs for more types say the same
            values = program(x)
    logits = np.asarray(x)
    exact = oracle.token_cross_entropy(logits, targets, **scalars)
    bounds = Bounds(Call("token_cross_entropy", {"logits": logits, "targets": targets, **scalars}))
    for name, bound in bounds.values().items():
        assert np.max(shares(getattr(values, name), getattr(exact, name), bound)) <= 1, name
    bound = bounds.gradients({"loss": np.ones(count), "z_loss": np.ones(count)})["logits"]
    blocks = oracle.logits_gradient_rows(logits, targets, **scalars, cotangents={"loss": 1.0, "z_loss": 1.0})
    for rows, exact_rows in blocks:
        allowed = with_final_rounding(bound[rows], np.abs(exact_rows.high), dtype)
        assert np.max(shares(gradient[rows], exact_rows, allowed)) <= 1


@pytest.mark.parametrize(
    ("classes", "length"),
    [(1, 1), (64, 64), (67, None), (1000, 125), (32128, 251), (50257, 1733), (50304, 262), (128256, 334),
     (262144, 256), (32003, None), (100003, None)],
)  # fmt: skip
def test_blocks_divide_the_row(classes, length):
    """Breaks if a vocabulary gets blocks that do not divide it, are a large part of it, or too few to be sharded."""
    assert block_length(classes) == length
    assert length is None or classes % length == 0


@pytest.mark.parametrize("dtype", DTYPES[:3])
@pytest.mark.parametrize("classes", [32003, 32128, 50257, 128256])
@pytest.mark.parametrize("differentiated", [False, True], ids=["forward", "value_and_grad"])
def test_no_copy_of_the_logits_is_made(classes, dtype, differentiated):
    """Breaks if XLA merges two passes and writes what they share: at best a block of each row is copied."""
    logits = jax.ShapeDtypeStruct((16_000_000 // classes, classes), dtype)
    targets = jax.ShapeDtypeStruct(logits.shape[:1], "int32")

    def loss(x, t):
        return token_cross_entropy(x, t, label_smoothing=0.1, z_loss=1e-4).loss.sum()

    program = jax.jit(jax.value_and_grad(loss) if differentiated else loss).lower(logits, targets).compile()
    size = logits.size * np.dtype(logits.dtype).itemsize
    # A copy would be all of it, in float32 twice that of 16 bits.
    share = 0.04 if dtype == "float32" else 0.1
    assert program.memory_analysis().temp_size_in_bytes < share * size
