"""Each public function exported: sizes known and symbolic, written to bytes and read again, for other platforms too."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

from ._where_bounds import assert_near, assert_same_bits, plain
from ._where_rows import FURTHER, ROWS, batch_of, value_and_gradient

SMALL = ((2, 3, 5), "float32"), ((2, 3, 7), "bfloat16")
OTHER_SIZE = (3, 4, 5)
PRODUCTION = ((2, 33, 32003), "float32"), ((2, 33, 32128), "bfloat16"), ((2, 33, 32128), "float16")
PLATFORMS = ("cpu", "cuda", "tpu")


def exported(row, batch, *, symbolic, platforms=None):
    """The program of values and gradient, for the shapes of the batch or for any batch and length."""
    b, t = export.symbolic_shape("b, t") if symbolic else batch["logits"].shape[:2]
    shapes = {
        name: jax.ShapeDtypeStruct((b, t, *value.shape[2:]), jnp.asarray(value).dtype) for name, value in batch.items()
    }
    return export.export(jax.jit(partial(value_and_gradient, row)), platforms=platforms)(shapes)


def read_again(program):
    return export.deserialize(program.serialize())


def cells():
    return [
        pytest.param(
            symbolic,
            platforms,
            row,
            shape,
            dtype,
            id="-".join([*words, "x".join(map(str, shape)), dtype, row]),
            marks=[] if quick else [pytest.mark.thorough],
        )
        for first, (symbolic, platforms) in enumerate(
            [(False, None), (True, None), (False, PLATFORMS), (True, PLATFORMS)]
        )
        for words in [["symbolic" if symbolic else "static"] + ["platforms"] * (platforms is not None)]
        for number, row in enumerate(ROWS, first)
        for (shape, dtype), quick in (
            (SMALL[0], number % (3 if symbolic and platforms is None else 10) == 0),
            (SMALL[1], False),
            (PRODUCTION[number % 3], number % 10 == 0 and symbolic and platforms is None),
        )
    ]


@pytest.mark.parametrize(("symbolic", "platforms", "row", "shape", "dtype"), cells())
def test_an_exported_program_is_written_read_and_called(symbolic, platforms, row, shape, dtype):
    """Fails when the program cannot be exported or kept, or computes something else afterwards (VALUE-9)."""
    batch = batch_of(ROWS[row], shape, dtype)
    program = exported(ROWS[row], batch, symbolic=symbolic, platforms=platforms)
    again = read_again(program)
    for each in (program, again):
        actual = jax.jit(each.call)(batch)
        if symbolic or platforms:
            assert_near(actual, row, shape, dtype)
        else:
            assert_same_bits(actual, plain(row, shape, dtype))
    if symbolic and shape == SMALL[0][0]:
        assert_near(jax.jit(again.call)(batch_of(ROWS[row], OTHER_SIZE, dtype)), row, OTHER_SIZE, dtype)


LOSSES = {
    "token": partial(token_cross_entropy, z_loss=0.25),
    "token_also": partial(token_cross_entropy, label_smoothing=0.125, z_loss=0.25, also=FURTHER),
    "weighted": compute_weighted_cross_entropy,
    "dense": partial(cross_entropy_with_logits, z_loss=0.25),
}


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_itself_is_exported_with_its_derivative(name, symbolic):
    """Fails when the results' own type is not known to what writes programs, or the vjp is not written with them."""
    row = ROWS["dense" if name == "dense" else "token"]
    batch = batch_of(row, (2, 3, 5), "float32")
    logits, targets = jnp.asarray(batch["logits"]), jnp.asarray(batch["targets"])
    b, t = export.symbolic_shape("b, t") if symbolic else (2, 3)
    shapes = [jax.ShapeDtypeStruct((b, t, *each.shape[2:]), each.dtype) for each in (logits, targets)]
    loss = jax.jit(LOSSES[name])
    again = export.deserialize(export.export(loss)(*shapes).serialize(vjp_order=1))
    actual, expected = again.call(logits, targets), loss(logits, targets)
    assert type(actual) is type(expected)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        if not symbolic:
            np.testing.assert_array_equal(one, other)

    def gradient(function):
        return jax.grad(lambda logits: jnp.sum(function(logits, targets)[0]))(logits)

    assert np.isfinite(gradient(again.call)).all()
    if not symbolic:
        np.testing.assert_array_equal(gradient(again.call), gradient(loss))
