"""Normalising factors and the weights that go with them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import (
    SpecialLossNormalizingFactor,
    convert_special_loss_normalizing_factor_to_enum,
    get_loss_normalizing_factor_and_weights,
)

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
