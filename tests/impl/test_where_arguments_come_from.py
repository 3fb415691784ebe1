"""Arguments as other libraries and files have them: foreign enums, other byte orders, one-hot targets."""

import enum

import jax
import numpy as np
import pytest

from lossproof import (
    SpecialLossNormalizingFactor,
    compute_weighted_cross_entropy,
    cross_entropy_with_logits,
    get_loss_normalizing_factor_and_weights,
    token_cross_entropy,
)


class Foreign(enum.Enum):
    """Another library's enum of the same names, with numbers of its own."""

    NUM_REAL_TARGET_TOKENS = 11
    NUM_TOTAL_TARGET_TOKENS = 12
    AVERAGE_PER_SEQUENCE = 13


class Unknown(enum.Enum):
    """One that has another name, and the number of a known one."""

    PER_DOCUMENT = 1


BATCH = {
    "decoder_target_tokens": np.array([[1, 2, 0, 0], [3, 1, 2, 0]], np.int32),
    "decoder_segment_ids": np.array([[1, 2, 0, 0], [1, 1, 2, 0]], np.int32),
    "decoder_positions": np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.int32),
}


@pytest.mark.parametrize("name", SpecialLossNormalizingFactor.__members__)
def test_a_member_of_a_foreign_enum_is_taken_by_its_name(name):
    """Fails when t5x's own members are passed through as numbers, and divide the loss (NORM-1, NORM-3)."""
    actual = get_loss_normalizing_factor_and_weights(Foreign[name], BATCH)
    expected = get_loss_normalizing_factor_and_weights(SpecialLossNormalizingFactor[name], BATCH)
    assert float(actual[0]) == float(expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])


def test_a_foreign_member_of_an_unknown_name_is_an_error():
    """Fails when a member is taken by its number, or passes through to where the loss is divided (NORM-1)."""
    with pytest.raises(ValueError, match="PER_DOCUMENT") as error:
        get_loss_normalizing_factor_and_weights(Unknown.PER_DOCUMENT, BATCH)
    for name in SpecialLossNormalizingFactor.__members__:
        assert name in str(error.value)


RNG = np.random.default_rng(3)
X = (RNG.integers(-40, 41, (2, 3, 5)) / 8).astype(np.float32)
T = RNG.integers(0, 5, (2, 3)).astype(np.int32)
W = (RNG.integers(0, 17, (2, 3)) / 8).astype(np.float32)
Q = (RNG.integers(0, 9, (2, 3, 5)) / 8).astype(np.float32)
LOSSES = {
    "weighted": (compute_weighted_cross_entropy, (X, T, W)),
    "weighted_dense": (compute_weighted_cross_entropy, (X, Q, W)),
    "token": (token_cross_entropy, (X, T)),
    "token_dense": (token_cross_entropy, (X, Q)),
    "dense": (lambda x, q: cross_entropy_with_logits(x, q, 0.0), (X, Q)),
}


def works_or_says_what_to_do(call, expected, word):
    """Either the bits of the same numbers in the machine's order, or an error that names the type and what to do."""
    try:
        actual = call()
    except (TypeError, ValueError) as error:
        message = str(error)
        assert word in message, message
        assert any(hint in message for hint in ("convert", "pass", "astype")), message
    else:
        for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["logits", "targets", "weights"])
@pytest.mark.parametrize("name", LOSSES)
def test_arrays_of_the_other_byte_order(name, place):
    """Fails when what a big-endian file holds is an error that does not say so, or is read in the wrong order."""
    loss, arguments = LOSSES[name]
    if place == len(arguments):
        pytest.skip("this loss has no weights")
    swapped = list(arguments)
    swapped[place] = arguments[place].astype(arguments[place].dtype.newbyteorder(">"))
    argument = ("logits", "targets", "weights")[place]
    works_or_says_what_to_do(lambda: loss(*swapped), loss(*arguments), argument)


@pytest.mark.parametrize("key", BATCH)
@pytest.mark.parametrize("name", SpecialLossNormalizingFactor.__members__)
def test_batches_of_the_other_byte_order(name, key):
    """Fails when a big-endian batch gives other weights, or an error that does not say what is wrong with it."""
    swapped = BATCH | {key: BATCH[key].astype(">i4")}
    expected = get_loss_normalizing_factor_and_weights(name, BATCH)
    works_or_says_what_to_do(lambda: get_loss_normalizing_factor_and_weights(name, swapped), expected, key)


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.uint8])
@pytest.mark.parametrize("name", ["weighted", "token"])
def test_one_hot_targets_that_are_not_floating_point(name, dtype):
    """Fails when one-hot targets of bools or integers are taken for class numbers, or the error does not say that they
    are to be floating-point (VALUE-12, SHAPE-1).
    """
    loss, arguments = LOSSES[name]
    one_hot = (np.arange(5) == T[..., None]).astype(dtype)
    expected = loss(X, one_hot.astype(np.float32), *arguments[2:])

    def call():
        return loss(X, one_hot, *arguments[2:])

    works_or_says_what_to_do(call, expected, "targets")
    try:
        call()
    except (TypeError, ValueError) as error:
        assert "float" in str(error) or "argmax" in str(error), error  # noqa: PT017 - either is allowed
