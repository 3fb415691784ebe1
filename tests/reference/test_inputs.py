"""Inputs: taken exactly, or refused with a message that helps."""

import decimal
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from lossproof import reference
from lossproof.reference._inputs import exact_array, exact_scalar

from ._kinds import holds, same

NUMBERS = [[0.1, -2.5, 3e-39], [65504.0, 0.0, 1 / 3]]
FLOATS = ["bfloat16", "float16", "float32", "float64"]


def rounded(dtype):
    """The numbers as the type holds them, through an array of that type and one of float64, which holds them all."""
    return np.asarray(NUMBERS).astype(getattr(ml_dtypes, dtype, dtype)).astype(np.float64).ravel().tolist()


def torch_array(numbers, dtype):
    torch = pytest.importorskip("torch")
    return torch.tensor(numbers, dtype=torch.float64).to(getattr(torch, dtype))


SOURCES = {
    "numpy": lambda numbers, dtype: np.asarray(numbers).astype(getattr(ml_dtypes, dtype, dtype)),
    "jax": lambda numbers, dtype: jnp.asarray(np.asarray(numbers).astype(getattr(ml_dtypes, dtype, dtype))),
    "torch": torch_array,
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_an_array_is_the_numbers_it_encodes(source, dtype):
    """Fails when an input is rounded or widened wrongly on its way in: the answers are then exact for other numbers."""
    with jax.enable_x64(True):
        array = exact_array("logits", SOURCES[source](NUMBERS, dtype))
    assert array.shape == (2, 3)
    assert list(array.values) == rounded(dtype)
    assert {type(value) for value in array.values} == {float}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integers_are_read_at_full_width(dtype):
    """Fails when a target beyond 32 bits is wrapped (SHAPE-2)."""
    ends = [int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)]
    assert exact_array("targets", np.array(ends, dtype)).values == tuple(ends)


def test_nested_lists_tuples_and_fractions_are_exact():
    """Fails when a plain Python number is sent through a float."""
    array = exact_array("logits", [(1, Fraction(1, 3)), [10**30, 0.1]])
    assert array.shape == (2, 2)
    assert array.values == (1, Fraction(1, 3), 10**30, 0.1)
    assert [array.row(0), array.row(1)] == [(1, Fraction(1, 3)), (10**30, 0.1)]
    assert exact_array("targets", 3).shape == () and exact_array("targets", []).shape == (0,)
    assert exact_array("weights", [True, False]).values == (1, 0)


def test_sources_agree_on_the_answer():
    """Fails when the same numbers give another answer from another library."""
    row = [[0.5, 1.25, -3.0]]
    expected = reference.token_cross_entropy(row, [1]).loss
    for source, make in SOURCES.items():
        targets = np.array([1]) if source != "jax" else jnp.asarray([1])
        actual = reference.token_cross_entropy(make(row, "float32"), targets).loss
        assert same(actual, expected), source


@pytest.mark.parametrize(
    ("array", "named"),
    [
        ("abc", "str"),
        ([["a"]], "str"),
        ([1j], "complex"),
        ([None], "NoneType"),
        ([decimal.Decimal(1)], "Decimal"),
        ([{}], "dict"),
    ],
)
def test_what_is_not_a_real_number_is_refused_by_type(array, named):
    """Fails when an element that is no number passes, or the message does not say which argument and type."""
    with pytest.raises(TypeError, match=rf"logits must hold real numbers, got .*\({named}\)"):
        exact_array("logits", array)
    with pytest.raises(TypeError, match="logits must hold real numbers"):
        exact_array("logits", np.array([1j]))


@pytest.mark.parametrize("array", [[[1, 2], [3]], [[1], 2], [[[1]], [[1, 2]]]])
def test_ragged_lists_are_refused(array):
    """Fails when a list that is no array is flattened."""
    with pytest.raises(ValueError, match="logits must be a rectangular array"):
        exact_array("logits", array)


@pytest.mark.parametrize("value", [True, np.True_, "0.1", 1j, None, [0.1], decimal.Decimal(1)])
def test_what_is_not_a_real_scalar_is_refused(value):
    """Fails when a bool, string or complex number passes for a scalar (SHAPE-6)."""
    with pytest.raises(TypeError, match="z_loss must be a real number, got z_loss="):
        exact_scalar("z_loss", value)


def test_arrays_with_axes_are_no_scalars():
    """Fails when a vector passes for a scalar, or the message hides its shape (SHAPE-6)."""
    with pytest.raises(ValueError, match=r"z_loss must be a scalar, got an array of shape \(1,\)"):
        exact_scalar("z_loss", np.zeros(1))
    scalars = [
        exact_scalar("z_loss", number) for number in (np.float32(0.1), np.array(2), jnp.asarray(0.5), Fraction(1, 3), 7)
    ]
    assert scalars == [float(np.float32(0.1)), 2, 0.5, Fraction(1, 3), 7]


@pytest.mark.parametrize("smoothing", [-1e-300, 1 + 2.0**-52, 2, math.nan, math.inf])
def test_smoothing_outside_its_range_is_refused(smoothing):
    """Fails when e outside [0, 1] gives a number (SHAPE-5)."""
    for function in (reference.token_cross_entropy, reference.compute_weighted_cross_entropy):
        with pytest.raises(
            ValueError, match=f"label_smoothing must be between 0 and 1, got label_smoothing={smoothing}"
        ):
            function([[0, 1]], [0], label_smoothing=smoothing)


@pytest.mark.parametrize("targets", [[0], [[0, 0]], [0, 0, 0], 0, [[0], [0]]])
def test_targets_of_another_shape_are_refused(targets):
    """Fails when a shape is broadcast (SHAPE-1)."""
    shape = exact_array("targets", targets).shape
    with pytest.raises(ValueError, match="targets must have the shape") as refusal:
        reference.token_cross_entropy([[0, 1], [2, 3]], targets)
    assert all(str(named) in str(refusal.value) for named in ((2, 2), (2,), shape))


def test_weights_and_dense_targets_of_another_shape_are_refused():
    """Fails when weights or dense targets are broadcast (SHAPE-1)."""
    with pytest.raises(ValueError, match=r"logits \(2, 2\) need weights \(2,\), got \(1,\)"):
        reference.compute_weighted_cross_entropy([[0, 1], [2, 3]], [0, 0], [1])
    with pytest.raises(ValueError, match=r"logits \(1, 2\) need targets \(1, 2\), got \(2,\)"):
        reference.cross_entropy_with_logits([[0, 1]], [0, 1], 0)
    with pytest.raises(ValueError, match=r"at least one class: got logits \(1, 0\)"):
        reference.token_cross_entropy(np.zeros((1, 0)), [0])
    with pytest.raises(ValueError, match=r"cotangent of loss must have the shape \(1,\), got \(\)"):
        reference.token_cross_entropy_gradients([[0, 1]], [0], cotangents={"loss": 1})


def test_targets_must_be_integers():
    """Fails when 1.0 passes for a class (SHAPE-2)."""
    with pytest.raises(TypeError, match="targets must be integers"):
        reference.token_cross_entropy([[0, 1]], [1.0])


def test_any_shape_in_front_of_the_classes_is_kept():
    """Fails when arrays with more axes come back flat or transposed."""
    logits, targets = np.arange(24.0).reshape(2, 3, 4), np.arange(6).reshape(2, 3) % 4
    answer = reference.token_cross_entropy(logits, targets)
    gradient = reference.token_cross_entropy_gradients(logits, targets, cotangents={"loss": np.ones((2, 3))})
    assert (answer.loss.shape, gradient.logits.shape) == ((2, 3), (2, 3, 4))
    alone = reference.token_cross_entropy(logits[1, 2][None], targets[1, 2][None])
    assert same([answer.loss.values[5]], alone.loss)
    assert holds(reference.compute_weighted_cross_entropy(logits, targets).weight_sum, 6)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1.8p+1", 3.0),
        ("-0x.8", -0.5),
        ("0x1p-1074", 5e-324),
        ("+0XAp0", 10.0),
        ("0x1.00000000000001p0", 1 + Fraction(1, 2**56)),
        ("0x1p1024", Fraction(2**1024)),
        ("inf", math.inf),
        ("-inf", -math.inf),
    ],
)
def test_text_in_hexadecimal_is_exact(text, value):
    """Fails when a hex float is rounded, or read as another number."""
    assert exact_array("logits", [[text, 0.0]]).values == (value, 0.0)
    assert exact_scalar("z_loss", text) == value


@pytest.mark.parametrize("text", ["0.1", "1e3", "0x", "0x1.8q1", "", "Infinity", "0x1p", "0x1 p1"])
def test_other_text_is_refused(text):
    """Fails when a decimal, which may not be what it says in binary, or a misprint is taken for a number."""
    with pytest.raises(TypeError, match=r"logits must hold real numbers, got .*\(str\): text must be hexadecimal"):
        exact_array("logits", [text])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_floats_and_integers_cost_no_conversion(dtype, monkeypatch):
    """Fails when each element of an array is converted on its own, which takes longer than the loss of a long row."""
    monkeypatch.delattr("lossproof.reference._inputs._exact_number")
    array = np.arange(12, dtype=dtype).reshape(3, 4)
    assert exact_array("logits", array).rows() == [tuple(row) for row in array.tolist()]


def test_what_is_beside_floats_is_converted():
    """Fails when a bool or a Fraction is taken for a float because there are floats in its row."""
    mixed = exact_array("logits", [[1, 2.5], [True, 0.5], [2, Fraction(1, 3)], [np.float32(0.1), 3]]).values
    assert [*map(repr, mixed)] == ["1", "2.5", "1", "0.5", "2", "Fraction(1, 3)", "0.10000000149011612", "3"]
