"""axis_name: the classes of every row split over mesh axes, inside `shard_map`, against whole rows on one device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

from ._where_bounds import assert_near
from ._where_classes import COLUMNS
from ._where_devices import started
from ._where_rows import ROWS

SMALL = ((2, 3, 8), "float32"), ((2, 4, 16), "bfloat16")
# Each of 2 devices has more than what is done at once.
PRODUCTION = ((4, 33, 32128), "float32"), ((4, 33, 50304), "bfloat16"), ((4, 33, 32128), "float16")
OFTEN = {
    "1_vma",
    "8_vma_grad_outside",
    "2x4_vma",
    "2x4_no_vma_grad_outside",
    "2x2_and_tokens_vma",
    "4_and_tokens_no_vma_grad_outside",
    "2_explicit_vma",
}


def cells():
    return [
        pytest.param(
            column,
            row,
            shape,
            dtype,
            id=f"{column}-{'x'.join(map(str, shape))}-{dtype}-{row}",
            marks=[] if quick else [pytest.mark.thorough],
        )
        for first, column in enumerate(COLUMNS)
        for number, row in enumerate(ROWS, first)
        for (shape, dtype), quick in (
            (SMALL[0], (number % 10 == 0 and column in OFTEN) or (column, row) in FEWEST or is_plain(column, row)),
            (SMALL[1], False),
            (PRODUCTION[number % 3], number % 10 == 4 and column == "2_vma"),
        )
    ]


# A class a device: the one that is masked is all that its device has.
FEWEST = {("8_vma", "token"), ("8_vma", "token_dense")}


def is_plain(column, row):
    return column == "4_vma" and ROWS[row].special is None


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    with started(tmp_path_factory.mktemp("devices")) as program:
        yield program


@pytest.mark.parametrize(("column", "row", "shape", "dtype"), cells())
def test_split_classes_have_the_results_of_whole_rows(devices, column, row, shape, dtype):
    """Fails when a device takes its own classes for all, or its gradient counts others' (VALUE-1, GRAD-1)."""
    actual = devices.results("classes", column, row, shape, dtype)
    assert_near(actual, row, shape, dtype, parts=COLUMNS[column].parts)


@pytest.mark.parametrize("row", ["weighted", "token", "token_softcap", "token_dense", "dense"])
def test_every_device_has_the_same_results(devices, row):
    """Fails when devices disagree about results that all of them are said to have."""
    for name, each in devices.results("classes", "every_device", row, (2, 3, 8), "float32").items():
        assert len(each) == 4
        np.testing.assert_array_equal(each, np.broadcast_to(each[0], each.shape), err_msg=name)


LOSSES = {
    "weighted": lambda x, t, axis: compute_weighted_cross_entropy(x, t, axis_name=axis)[0],
    "token": lambda x, t, axis: token_cross_entropy(x, t, axis_name=axis).loss,
    "dense": lambda x, t, axis: cross_entropy_with_logits(x, jax.nn.one_hot(t, 4), 0.0, axis_name=axis)[0],
}
X, T = np.zeros((3, 4), np.float32), np.zeros(3, np.int32)


def on_one_device(loss, axis_name):
    mesh = jax.make_mesh((1,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    specs = (PartitionSpec(None, "model"), PartitionSpec())
    return jax.shard_map(lambda x, t: loss(x, t, axis_name), mesh=mesh, in_specs=specs, out_specs=PartitionSpec())(X, T)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_an_axis_that_there_is_not_is_an_error(loss):
    """Fails when a misspelt axis is an error of JAX's, which does not say what the argument is for."""
    with pytest.raises(ValueError, match="axis_name must be an axis that the call is inside of, got axis_name='modle'"):
        on_one_device(loss, "modle")
    with pytest.raises(ValueError, match="axis_name must be an axis that the call is inside of, got axis_name='b'"):
        on_one_device(loss, ("model", "b"))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_outside_of_the_axis_is_an_error(loss, wrap):
    """Fails when the argument is ignored where nothing is split."""
    with pytest.raises(ValueError, match=r"axis_name must be an axis that the call is inside of.*jax\.shard_map"):
        wrap(lambda x, t: loss(x, t, "model"))(X[None], T[None])


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(
    ("axis_name", "error", "message"),
    [
        (3, TypeError, "axis_name must be the name of a mesh axis.*got axis_name=3"),
        ((), TypeError, "axis_name must be the name of a mesh axis"),
        (("model", "model"), ValueError, "axis_name must name an axis once"),
    ],
    ids=["number", "nothing", "twice"],
)
def test_what_is_not_the_name_of_an_axis_is_an_error(loss, axis_name, error, message):
    """Fails when the error is one of JAX's, or there is none."""
    with pytest.raises(error, match=message):
        on_one_device(loss, axis_name)


@pytest.mark.parametrize("row", ["weighted_dense", "token_dense", "dense"])
def test_dense_targets_of_all_classes_are_an_error(devices, row):
    """Fails when the targets of other devices' classes are taken for this device's (SHAPE-1)."""
    with pytest.raises(
        AssertionError, match=r"ValueError: dense targets must have the shape of logits.*\(2, 3, 2\).*\(2, 3, 8\)"
    ):
        devices.results("classes", "whole_targets", row, (2, 3, 8), "float32")


def test_one_device_of_one_has_whole_rows():
    """Fails when the name of an axis of one device changes the loss."""
    actual = on_one_device(LOSSES["token"], "model")
    np.testing.assert_array_equal(actual, token_cross_entropy(jnp.asarray(X), T).loss)
