"""Normalising factors and the weights that go with them."""

import re
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import (
    SpecialLossNormalizingFactor,
    convert_special_loss_normalizing_factor_to_enum,
    get_loss_normalizing_factor_and_weights,
)

from ._ulps import assert_within

TOKENS = np.array([[5, 6, 7, 0], [8, 0, 0, 0]], np.int32)
WEIGHTS = np.array([[1.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
PACKED = {
    "decoder_target_tokens": np.ones((1, 8), np.int32),
    "decoder_loss_weights": np.array([[1e8, 1e8, 1.0, 1.0, 2.0, 6.0, 5.0, 7.0]], np.float32),
    "decoder_segment_ids": np.array([[1, 1, 2, 2, 2, 2, 0, 0]], np.int32),
    "decoder_positions": np.array([[0, 1, 0, 1, 0, 1, 0, 0]], np.int32),
}


@pytest.mark.parametrize("member", SpecialLossNormalizingFactor)
def test_names_are_taken_in_any_case(member):
    """Breaks if a configuration's spelling is refused (NORM-1)."""
    for name in (member.name, member.name.lower(), member.name.title()):
        assert convert_special_loss_normalizing_factor_to_enum(name) is member


def test_an_unknown_name_is_answered_with_the_known_ones():
    """Breaks if the message does not say what to write (NORM-1)."""
    message = (
        "x must be the name of a special factor, got x='MEAN': pass one of NUM_REAL_TARGET_TOKENS, "
        "NUM_TOTAL_TARGET_TOKENS, AVERAGE_PER_SEQUENCE."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        convert_special_loss_normalizing_factor_to_enum("MEAN")


@pytest.mark.parametrize("factor", [None, 3, 2.5])
def test_plain_factors_pass_through(factor):
    """Breaks if a number is touched on its way (NORM-2)."""
    assert get_loss_normalizing_factor_and_weights(factor, {"decoder_target_tokens": TOKENS}) == (factor, None)
    batch = {"decoder_loss_weights": WEIGHTS}
    assert get_loss_normalizing_factor_and_weights(factor, batch)[1] is WEIGHTS


def test_weights_come_from_the_batch_or_from_its_real_tokens():
    """Breaks if padding gets a weight, or given weights are replaced (NORM-3, NORM-4)."""
    factor, weights = get_loss_normalizing_factor_and_weights(
        SpecialLossNormalizingFactor.NUM_REAL_TARGET_TOKENS, {"decoder_target_tokens": TOKENS}
    )
    np.testing.assert_array_equal(weights, TOKENS > 0)
    assert factor == 4
    batch = {"decoder_target_tokens": TOKENS, "decoder_loss_weights": WEIGHTS}
    factor, weights = get_loss_normalizing_factor_and_weights("num_real_target_tokens", batch)
    np.testing.assert_array_equal(weights, WEIGHTS)
    assert factor == 4


def test_the_total_is_a_plain_number_of_tokens():
    """Breaks if padding is left out, or the count becomes an array (NORM-5)."""
    factor, weights = get_loss_normalizing_factor_and_weights(
        "NUM_TOTAL_TARGET_TOKENS", {"decoder_target_tokens": TOKENS}
    )
    assert type(factor) is int
    assert factor == 8
    np.testing.assert_array_equal(weights, TOKENS > 0)


def test_each_sequence_counts_one():
    """Breaks if a long sequence counts more, or an empty one divides by 0 (NORM-6)."""
    batch = {"decoder_target_tokens": TOKENS, "decoder_loss_weights": WEIGHTS}
    factor, weights = get_loss_normalizing_factor_and_weights("AVERAGE_PER_SEQUENCE", batch)
    np.testing.assert_array_equal(weights, [[0.25, 0.75, 0, 0], [0, 0, 0, 0]])
    assert factor == 1


def test_packed_rows_are_summed_segment_by_segment():
    """Breaks if segments are told apart by id alone, or sums are differences (NORM-7, DIFF-13)."""
    for function in (
        get_loss_normalizing_factor_and_weights,
        jax.jit(get_loss_normalizing_factor_and_weights, static_argnums=0),
    ):
        factor, weights = function("AVERAGE_PER_SEQUENCE", PACKED)
        np.testing.assert_array_equal(weights, [[0.5, 0.5, 0.5, 0.5, 0.25, 0.75, 0, 0]])
        assert factor == 3


def test_a_segment_ends_with_its_row():
    """Breaks if the last sequence of a row runs on into the next one (NORM-7)."""
    batch = {
        "decoder_loss_weights": np.ones((2, 1, 2), np.float32),
        "decoder_segment_ids": np.ones((2, 1, 2), np.int32),
        "decoder_positions": np.ones((2, 1, 2), np.int32),
    }
    factor, weights = get_loss_normalizing_factor_and_weights("AVERAGE_PER_SEQUENCE", batch)
    np.testing.assert_array_equal(weights, np.full((2, 1, 2), 0.5))
    assert factor == 2


def test_a_change_of_id_without_a_restart_starts_a_segment():
    """Breaks if only positions are looked at (NORM-7)."""
    batch = {
        "decoder_loss_weights": np.array([[1.0, 3.0]], np.float32),
        "decoder_segment_ids": np.array([[1, 2**32]]),
        "decoder_positions": np.array([[4, 5]]),
    }
    _, weights = get_loss_normalizing_factor_and_weights("AVERAGE_PER_SEQUENCE", batch)
    np.testing.assert_array_equal(weights, [[1, 1]])


# A packed row of each awkward kind: its weights, segment ids and positions, and the lengths of its sequences, negative
# for padding.
ON = [3, 4, 5, 6, 7, 8, 9, 10]  # positions of a row that begins within a sequence
ROWS = {
    "a segment of zero weights": ([0, 0, 0, 1, 2, 0, 0, 5], [1, 1, 1, 2, 2, 3, 3, 3], ON, [3, 2, 3]),
    "leading padding": ([9, 9, 0.1, 0.7, 0.2, 3, 4, 9], [0, 0, 1, 1, 1, 2, 2, 0], ON, [-2, 3, 2, -1]),
    "padding between": ([1, 1, 5, 5, 1, 3, 5, 5], [1, 1, 0, 0, 1, 1, 0, 0], ON, [2, -2, 2, -2]),
    "one token each": ([1e-8, 1, 1e8, 2, 3, 0, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8], ON, [1] * 8),
    "1e8 next to 1": ([1e8, 1e8, 1, 1, 1e8, 1, 0.5, 0.7], [1, 1, 2, 2, 3, 3, 4, 4], ON, [2, 2, 2, 2]),
    "an id that comes back": ([1, 2, 4, 8, 16, 32, 64, 1], [1, 1, 2, 2, 1, 1, 1, 2], ON, [2, 2, 3, 1]),
    "restarts in one id": ([0.1, 0.2, 0.3, 1, 5, 7, 8, 9], [1] * 8, [0, 1, 2, 0, 1, 0, 1, 2], [3, 2, 3]),
    "weights that cancel": ([1e8, 1, -1e8, -1, 0.1, 0.3, -0.3, -0.1], [1] * 8, [0, 1, 2, 3, 0, 1, 2, 3], [4, 4]),
    "both signs": ([1e8, -1, -1e8, 3, 7, -2, 0.1, 0.2], [1, 1, 1, 1, 2, 2, 2, 2], ON, [4, 4]),
    "beyond the largest float": ([3e38, 3e38, 1e38, 1e36, 0, 0, 2e35, 6e35], [1, 1, 1, 1, 2, 2, 3, 3], ON, [4, 2, 2]),
    "far apart": ([1e20, 3e20, 1, 3, 1e-20, 3e-20, 1, 1], [1, 1, 2, 2, 3, 3, 4, 4], ON, [2, 2, 2, 2]),
    "one sequence": ([0.1] * 8, [3] * 8, [0, 1, 2, 3, 4, 5, 6, 7], [8]),
}
AVERAGE = partial(get_loss_normalizing_factor_and_weights, SpecialLossNormalizingFactor.AVERAGE_PER_SEQUENCE)


def shares(weights, lengths):
    """Each weight divided by the exact sum of its sequence; 0 for padding, and where the sum is 0."""
    expected, start = np.zeros(len(weights)), 0
    for length in lengths:
        part = [Fraction(weight) for weight in weights[start : start + abs(length)].tolist()]
        total = sum(part)
        if length > 0 and total != 0:
            expected[start : start + length] = [float(weight / total) for weight in part]
        start += abs(length)
    assert start == len(weights)
    return expected


def assert_shares(actual, weights, lengths):
    """Equal but for three roundings: of the sum, its reciprocal and a product, as XLA divides by what is broadcast."""
    assert_within(actual, shares(weights, lengths), 3, dtype=weights.dtype)


def packed_rows(dtype=np.float32):
    weights, ids, positions = (np.array([row[i] for row in ROWS.values()]) for i in range(3))
    names = ("decoder_loss_weights", "decoder_segment_ids", "decoder_positions")
    return dict(zip(names, (weights.astype(dtype), ids, positions), strict=True))


def exactly(numbers):
    """The sum of floats, rounded once."""
    return np.float32(float(sum(map(Fraction, np.ravel(numbers).tolist()))))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_segments_of_every_kind_are_summed_to_a_rounding(wrap):
    """Fails when a segment begins or ends elsewhere, or its sum is not the exact one rounded (NORM-6, NORM-7)."""
    batch = packed_rows()
    factor, weights = wrap(AVERAGE)(batch)
    for given, row, (*_, lengths) in zip(batch["decoder_loss_weights"], weights, ROWS.values(), strict=True):
        assert_shares(row, given, lengths)
    totals = map(exactly, weights) if wrap is jax.vmap else exactly(weights)
    np.testing.assert_array_equal(factor, list(totals) if wrap is jax.vmap else totals)


def test_rows_that_are_not_packed_are_summed_to_a_rounding():
    """Fails when a row's sum loses the small beside the large, or runs on into the next row (NORM-6)."""
    batch = {"decoder_loss_weights": packed_rows()["decoder_loss_weights"].reshape(1, -1, 8)}
    factor, weights = AVERAGE(batch)
    for given, row in zip(batch["decoder_loss_weights"][0], weights[0], strict=True):
        assert_shares(row, given, [8])
    assert factor == exactly(weights)


@pytest.mark.parametrize("packed", [False, True])
def test_long_sequences_are_summed_to_a_rounding(packed):
    """Fails when the error of a sum grows with the length of its sequence (NORM-6, DIFF-13)."""
    length = 100_000
    weights = np.random.default_rng(4).choice(np.array([0.1, 1e-4, 3e4], np.float32), (1, length))
    lengths = [3, 69_997, 1, 29_999] if packed else [length]
    starts = np.isin(np.arange(length), np.cumsum([0, *lengths]))[None]
    batch = {"decoder_loss_weights": weights}
    if packed:
        batch |= {"decoder_segment_ids": np.cumsum(starts, -1), "decoder_positions": np.where(starts, 0, 1)}
    factor, averaged = AVERAGE(batch)
    assert_shares(averaged[0], weights[0], lengths)
    assert factor == exactly(averaged)


def test_double_precision_segments_are_summed_in_double_precision():
    """Fails when the weights of packed rows pass through single precision (NORM-7)."""
    batch = packed_rows(np.float64)
    with jax.enable_x64(True):
        _, weights = AVERAGE(batch)
    for given, row, (*_, lengths) in zip(batch["decoder_loss_weights"], weights, ROWS.values(), strict=True):
        assert_shares(row, given, lengths)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64])
def test_weights_of_other_types_are_summed_as_numbers(dtype):
    """Fails when bool or integer weights are added in their own type, and wrap (SHAPE-2, NORM-4, NORM-6)."""
    weights = np.ones((1, 8), dtype) if dtype is bool else np.full((1, 8), 100, dtype)
    batch = {"decoder_loss_weights": weights}
    total, same = get_loss_normalizing_factor_and_weights("NUM_REAL_TARGET_TOKENS", batch)
    assert same is weights
    assert float(total) == weights.sum(dtype=float)
    factor, averaged = AVERAGE(batch)
    assert factor == 1
    np.testing.assert_array_equal(averaged, np.full((1, 8), 0.125, np.float32))


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_an_undefined_weight_makes_its_own_sequence_undefined(weight):
    """Fails when it leaks into a neighbour, or a sequence with an infinite weight weighs nothing (NORM-6, NORM-7)."""
    batch = packed_rows()
    batch["decoder_loss_weights"][0, 4] = weight
    _, packed = AVERAGE(batch)
    np.testing.assert_array_equal(np.isnan(packed[0]), [False] * 3 + [True] * 2 + [False] * 3)
    assert np.isfinite(packed[1:]).all()
    _, rows = AVERAGE({"decoder_loss_weights": batch["decoder_loss_weights"]})
    assert np.isnan(rows[0]).all()
    assert np.isfinite(rows[1:]).all()


@pytest.mark.parametrize("packed", [False, True])
def test_shares_have_derivatives_by_the_weights(packed):
    """Fails when learned weights cannot be averaged: d sum_j v_j w_j / S = (v_i - mean of v) / S (NORM-6)."""
    batch = {"decoder_segment_ids": np.array([[1, 1, 2, 2]]), "decoder_positions": np.array([[0, 1, 0, 1]])}
    weights, v = np.array([[1, 3, 1, 1]], np.float32), np.array([[1, 0, 0, 0]], np.float32)

    def total(weights):
        return jnp.sum(AVERAGE({"decoder_loss_weights": weights} | (batch if packed else {}))[1] * v)

    expected = [[3 / 16, -1 / 16, 0, 0]] if packed else [[5 / 36, -1 / 36, -1 / 36, -1 / 36]]
    tangent = np.array([[1, 2, 0, 0]], np.float32)
    assert_within(jax.jit(jax.grad(total))(weights), np.array(expected), 6)
    along = np.sum(np.array(expected) * tangent)
    assert_within(jax.jvp(total, (weights,), (tangent,))[1], along, 6, np.sum(np.abs(np.array(expected) * tangent)))


@pytest.mark.parametrize("packed", [False, True])
def test_an_empty_batch_has_a_factor_of_zero(packed):
    """Breaks if there must be a row, or a token in it (SHAPE-4, NORM-6)."""
    for shape in ((0, 4), (4, 0)):
        keys = PACKED if packed else ["decoder_target_tokens"]
        batch = dict.fromkeys(keys, jnp.zeros(shape, jnp.int32))
        factor, weights = get_loss_normalizing_factor_and_weights("AVERAGE_PER_SEQUENCE", batch)
        assert factor == 0
        assert weights.shape == shape


@pytest.mark.parametrize(
    ("name", "missing", "batch"),
    [
        ("NUM_REAL_TARGET_TOKENS", "decoder_target_tokens", {}),
        ("NUM_TOTAL_TARGET_TOKENS", "decoder_target_tokens", {"decoder_loss_weights": WEIGHTS}),
        ("AVERAGE_PER_SEQUENCE", "decoder_target_tokens", {"decoder_segment_ids": TOKENS}),
        ("AVERAGE_PER_SEQUENCE", "decoder_positions", {"decoder_segment_ids": TOKENS, "decoder_loss_weights": WEIGHTS}),
    ],
)
def test_a_missing_key_is_named(name, missing, batch):
    """Breaks if a KeyError or a NoneType error comes from deep inside (NORM-3, NORM-7)."""
    message = (
        f"{name} needs batch[{missing!r}], got a batch with the keys {sorted(batch)}: add {missing!r} to the batch."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        get_loss_normalizing_factor_and_weights(name, batch)


def test_arrays_of_a_packed_batch_have_one_shape():
    """Breaks if segment ids of another shape are broadcast (SHAPE-1)."""
    batch = PACKED | {"decoder_positions": np.zeros(8, np.int32)}
    message = (
        "batch['decoder_positions'] must have the shape of the weights: weights (1, 8) need decoder_positions (1, 8), "
        "got (8,)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        get_loss_normalizing_factor_and_weights("AVERAGE_PER_SEQUENCE", batch)
