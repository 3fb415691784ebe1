"""What a row of the table is elsewhere against what it is under plain jit: the bits, or each within its bound."""

import functools

import jax
import numpy as np

from lossproof.reference.bounds import Bounds, Call, PredictionBounds, with_final_rounding

from ._where_rows import ROWS, SHARES, WEIGHTED, batch_of, value_and_gradient

KNOWN = ("factor", "weights", "weight_sum", "predicted_class")  # exact, whatever the order


def slices(batch, parts):
    """The batch in equal parts along its first axis."""
    cut = {name: np.split(value, parts) for name, value in batch.items()}
    return [{name: cut[name][i] for name in batch} for i in range(parts)]


def joined(results):
    """Results of several parts: of each token and gradients one after the other, totals as a new first axis."""

    def join(name):
        each = [np.asarray(result[name]) for result in results]
        return np.concatenate(each) if each[0].ndim else np.stack(each)

    return {name: join(name) for name in results[0]}


@functools.cache
def plain(name, shape, dtype, parts=None):
    """What plain jit gives for the batch, or for each part of it."""
    row = ROWS[name]
    with jax.enable_x64(dtype == "float64"):
        program = jax.jit(functools.partial(value_and_gradient, row))
        batch = batch_of(row, shape, dtype)
        if parts is None:
            return {key: np.asarray(value) for key, value in program(batch).items()}
        return joined([program(part) for part in slices(batch, parts)])


@functools.cache
def bounds(name, shape, dtype, parts=None):
    """The bound on each result and on the gradient, of the same shapes; those of exact results are 0."""
    row, expected = ROWS[name], plain(name, shape, dtype, parts)
    batch = batch_of(row, shape, dtype)
    if parts is None:
        return _bounds(row, batch, expected)
    cut = [{} for _ in range(parts)]
    for i, each in enumerate(cut):
        for key in ("factor", "weights"):
            if key in expected:
                part = np.split(expected[key], parts)[i]
                each[key] = part[0] if key == "factor" else part
    return joined([_bounds(row, part, each) for part, each in zip(slices(batch, parts), cut, strict=True)])


def _bounds(row, batch, known):
    inputs = {name: batch[name] for name in ("logits", "targets", "weights") if name in batch}
    inputs |= {name: value for name, value in row.scalars.items() if name != "also"}
    if row.special is not None:
        inputs |= {"targets": batch["decoder_target_tokens"], "weights": known["weights"]}
        inputs["loss_normalizing_factor"] = float(known["factor"])
    cotangents = {
        name: share * (1.0 if row.function == WEIGHTED else batch["cotangents"]) for name, share in SHARES.items()
    }
    of_loss = Bounds(Call(row.function, inputs))
    found = of_loss.values() | {"gradient": of_loss.gradients(cotangents)["logits"]}
    if "also" in row.scalars:
        further = PredictionBounds(Call(row.function, inputs | {"z_loss": 0.0, "label_smoothing": 0.0}))
        found |= further.values()
        found["gradient"] = found["gradient"] + further.gradients(cotangents)["logits"]
    return {name: np.asarray(value) for name, value in found.items()}


def assert_same_bits(actual, expected):
    """Every result is the same number, of the same type."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert np.asarray(actual[name]).dtype == value.dtype, name
        np.testing.assert_array_equal(np.asarray(actual[name]), value, err_msg=name)


def assert_near(actual, name, shape, dtype, parts=None, *, widened=False):
    """Two results, each within its bound of the exact one, are twice the bound apart at most.

    With `widened` the actual results are of float64 logits of the same values, and exact beside the others.
    """
    expected, allowed = plain(name, shape, dtype, parts), bounds(name, shape, dtype, parts)
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        found = np.asarray(actual[key])
        assert found.shape == value.shape, (key, found.shape, value.shape)
        assert widened or found.dtype == value.dtype, (key, found.dtype, value.dtype)
        if key in KNOWN:
            np.testing.assert_array_equal(found, value, err_msg=key)
            continue
        expected_value, actual_value = value.astype(np.float64), found.astype(np.float64)
        assert np.isfinite(expected_value).all(), key
        bound = allowed[key]
        if key == "gradient":
            bound = with_final_rounding(bound, np.abs(expected_value) + bound, dtype)
        error = np.abs(actual_value - expected_value)
        assert (error <= 2 * bound).all(), f"{key}: expected {value}, got {found}, error {error}, bound {2 * bound}"
