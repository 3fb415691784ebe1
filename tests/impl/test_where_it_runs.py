"""Each public function under each transform of JAX on one device: a table "column-size-row", every cell of it run."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

from ._where_bounds import assert_near, assert_same_bits, plain
from ._where_rows import ROWS, batch_of, value_and_gradient

SMALL = ((2, 3, 5), "float32"), ((2, 3, 7), "bfloat16")
# One part of the two alone exceeds what is done at once.
PRODUCTION = ((2, 33, 32003), "float32"), ((2, 33, 32128), "bfloat16"), ((2, 33, 32128), "float16")


def on_device(batch):
    return {name: jnp.asarray(value) for name, value in batch.items()}


def eager(row, batch):
    return value_and_gradient(row, on_device(batch))


def vmapped(row, batch):
    return jax.jit(jax.vmap(partial(value_and_gradient, row)))(batch)


def gradient_of_vmap(row, batch):
    """The gradient is taken of a sum over vmap, not inside it."""

    def total_of(f):
        def total(logits, others):
            value, outputs = jax.vmap(f)(logits, others)
            return jnp.sum(value), outputs

        return total

    return jax.jit(partial(value_and_gradient, row, wrap=total_of))(batch)


def scanned(row, batch):
    def step(carried, each):
        return carried, value_and_gradient(row, each)

    return jax.jit(lambda batch: jax.lax.scan(step, None, batch)[1])(batch)


def gradient_of_scan(row, batch):
    """The gradient goes back through the loop."""

    def total_of(f):
        def total(logits, others):
            def step(sum_, each):
                value, outputs = f(*each)
                return sum_ + value, outputs

            return jax.lax.scan(step, jnp.zeros((), jnp.float32), (logits, others))

        return total

    return jax.jit(partial(value_and_gradient, row, wrap=total_of))(batch)


def checkpointed(row, batch, policy=None):
    return jax.jit(partial(value_and_gradient, row, wrap=partial(jax.checkpoint, policy=policy)))(batch)


def under_checkify(row, batch):
    error, results = jax.jit(checkify.checkify(partial(value_and_gradient, row), errors=checkify.float_checks))(batch)
    assert error.get() is None
    return results


def under_debug_nans(row, batch):
    with jax.debug_nans(True):
        return jax.jit(partial(value_and_gradient, row))(batch)


def without_jit(row, batch):
    with jax.disable_jit():
        return value_and_gradient(row, on_device(batch))


def with_promotion(row, batch, types, ranks):
    with jax.numpy_dtype_promotion(types), jax.numpy_rank_promotion(ranks):
        return jax.jit(partial(value_and_gradient, row))(batch)


def donated(row, batch):
    arrays = on_device(batch)
    logits = arrays.pop("logits")

    def program(logits, others):
        return value_and_gradient(row, others | {"logits": logits})

    results = jax.jit(program, donate_argnums=0)(logits, arrays)
    assert logits.is_deleted()
    return results


def with_x64(row, batch):
    with jax.enable_x64(True):
        return jax.jit(partial(value_and_gradient, row))(batch)


def by_name(row, batch):
    return jax.jit(partial(value_and_gradient, row, implementation="xla"))(batch)


# dots_saveable is checkpoint_dots under another name, and so is the policy without batch dimensions.
POLICIES = {
    "everything_saveable": jax.checkpoint_policies.everything_saveable,
    "nothing_saveable": jax.checkpoint_policies.nothing_saveable,
    "dots_saveable": jax.checkpoint_policies.dots_saveable,
    "dots_with_no_batch_dims_saveable": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "save_only_these_names": jax.checkpoint_policies.save_only_these_names("logits"),
    "save_any_names_but_these": jax.checkpoint_policies.save_any_names_but_these("logits"),
    "save_anything_except_these_names": jax.checkpoint_policies.save_anything_except_these_names("logits"),
}
SAME_BITS = {
    "debug_nans": under_debug_nans,
    "strict_promotion": partial(with_promotion, types="strict", ranks="raise"),
    "standard_promotion": partial(with_promotion, types="standard", ranks="allow"),
    "donation": donated,
    "x64_of_float32": with_x64,
}
WHOLE = {
    "eager": eager,
    "checkpoint": checkpointed,
    **{f"checkpoint_{name}": partial(checkpointed, policy=policy) for name, policy in POLICIES.items()},
    "checkify": under_checkify,
    "disable_jit": without_jit,
    "xla": by_name,
}
EACH = {
    "vmap": vmapped,
    "grad_of_vmap": gradient_of_vmap,
    "scan": scanned,
    "grad_of_scan": gradient_of_scan,
}
OFTEN = ("checkpoint", "xla", "grad_of_vmap", "grad_of_scan")
OF_FLOAT64 = {"x64_of_float64": with_x64}
COLUMNS = [*SAME_BITS, *WHOLE, *EACH, *OF_FLOAT64]


def cells(columns):
    """Every cell in both small sizes, and in a production size; those that are not thorough are some of each column."""
    return [
        pytest.param(
            columns[column],
            row,
            shape,
            dtype,
            id=f"{column}-{'x'.join(map(str, shape))}-{dtype}-{row}",
            marks=[] if quick else [pytest.mark.thorough],
        )
        for column in columns
        for number, row in enumerate(ROWS, COLUMNS.index(column))
        for (shape, dtype), quick in (
            (SMALL[0], number % 10 == 0),
            (SMALL[1], False),
            (PRODUCTION[number % 3], number % 10 == 0 and column in OFTEN),
        )
    ]


@pytest.mark.parametrize(("column", "row", "shape", "dtype"), cells(SAME_BITS))
def test_a_setting_changes_no_bit(column, row, shape, dtype):
    """Fails when a setting of JAX changes values or gradient, or is an error (VALUE-9)."""
    assert_same_bits(column(ROWS[row], batch_of(ROWS[row], shape, dtype)), plain(row, shape, dtype))


@pytest.mark.parametrize(("column", "row", "shape", "dtype"), cells(WHOLE))
def test_a_transform_of_the_whole_batch(column, row, shape, dtype):
    """Fails when a transform changes values or gradient beyond the order of sums, or is an error (GRAD-10)."""
    assert_near(column(ROWS[row], batch_of(ROWS[row], shape, dtype)), row, shape, dtype)


@pytest.mark.parametrize(("column", "row", "shape", "dtype"), cells(EACH))
def test_a_transform_over_parts_of_the_batch(column, row, shape, dtype):
    """Fails when a part has other values or another gradient than on its own (GRAD-10)."""
    actual = column(ROWS[row], batch_of(ROWS[row], shape, dtype))
    assert_near(actual, row, shape, dtype, parts=shape[0])


@pytest.mark.parametrize(("column", "row", "shape", "dtype"), cells(OF_FLOAT64))
def test_float64_of_the_same_numbers(column, row, shape, dtype):
    """Fails when float64 logits, under x64, are not carried in float64, or give other numbers (SHAPE-3, ACC-5)."""
    actual = column(ROWS[row], batch_of(ROWS[row], shape, "float64"))
    assert actual["loss"].dtype == actual["gradient"].dtype == np.float64
    assert_near(actual, row, shape, dtype, widened=True)
