"""NORM: normalising factors against sums of fractions."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from lossproof import reference
from lossproof.reference import SpecialLossNormalizingFactor as Special

from ._kinds import holds, kind, kinds

NAMES = ["NUM_REAL_TARGET_TOKENS", "NUM_TOTAL_TARGET_TOKENS", "AVERAGE_PER_SEQUENCE"]
TOKENS = np.array([[3, 0, 5, 1], [0, 0, 2, -1]], np.int32)
WEIGHTS = [[0.5, 1e8, 1.0, 0.1], [0.0, 2.0**-60, 3.0, 1e8]]


def answer(factor, **batch):
    return reference.get_loss_normalizing_factor_and_weights(
        factor, {f"decoder_{key}": value for key, value in batch.items()}
    )


def assert_weights(array, expected):
    numbers = [number for row in expected for number in row]
    assert array.shape == (len(expected), len(expected[0]))
    assert [holds(entry, number) for entry, number in zip(array, numbers, strict=True)] == [True] * len(numbers)


def shares(weights, sequences):
    """Each weight as a fraction of the sum over its sequence; `sequences` numbers them, None is padding."""
    sums = {}
    for weight, sequence in zip(weights, sequences, strict=True):
        sums[sequence] = sums.get(sequence, Fraction(0)) + Fraction(weight)
    return [
        Fraction(weight) / sums[sequence] if sequence is not None and sums[sequence] else Fraction(0)
        for weight, sequence in zip(weights, sequences, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_known_in_any_case(name):
    """Fails when a name that t5x knows is refused (NORM-1)."""
    convert = reference.convert_special_loss_normalizing_factor_to_enum
    assert [convert(spelled) for spelled in (name, name.lower(), name.title())] == [Special[name]] * 3
    by_name, by_member = (answer(factor, target_tokens=TOKENS).factor for factor in (name.lower(), Special[name]))
    assert by_name == by_member
    assert list(Special.__members__) == NAMES


@pytest.mark.parametrize("name", ["", "NUM_TOKENS", "AVERAGE", " average_per_sequence"])
def test_another_name_is_refused_with_the_list(name):
    """Fails when a misspelt factor passes, or its message does not help (NORM-1)."""
    with pytest.raises(ValueError, match=", ".join(NAMES)) as refusal:
        answer(name, target_tokens=TOKENS)
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize("factor", [None, 3, 2.5, -7, 0, np.float32(0.1)])
def test_plain_factors_pass_through(factor):
    """Fails when a number is taken for something else, or weights are made up (NORM-2)."""
    with_weights, without = (
        answer(factor, loss_weights=WEIGHTS, target_tokens=TOKENS),
        answer(factor, target_tokens=TOKENS),
    )
    for result in (with_weights, without):
        assert result.factor is None if factor is None else holds(result.factor, float(factor))
    assert without.weights is None
    assert_weights(with_weights.weights, WEIGHTS)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_plain_factors_that_are_not_finite_pass_through(factor):
    """Fails when a special value becomes an error or a number (NORM-2)."""
    assert kind(answer(factor, target_tokens=TOKENS).factor) == str(factor)


@pytest.mark.parametrize("factor", [True, 1j, [2.0]])
def test_what_is_not_a_real_number_is_no_factor(factor):
    """Fails when a bool or a list passes for a factor, or the message does not say which argument (SHAPE-6)."""
    with pytest.raises(TypeError, match="loss_normalizing_factor must be a real number"):
        answer(factor, target_tokens=TOKENS)


def test_real_tokens_are_the_sum_of_the_weights():
    """Fails when NORM-4 counts anything but weights, or padding without them (NORM-3)."""
    given = answer(NAMES[0], loss_weights=WEIGHTS)
    assert holds(given.factor, sum(Fraction(weight) for row in WEIGHTS for weight in row))
    assert_weights(given.weights, WEIGHTS)
    counted = answer(NAMES[0], target_tokens=TOKENS)
    assert holds(counted.factor, 4)  # tokens above 0
    assert_weights(counted.weights, (TOKENS > 0).astype(int).tolist())


def test_total_tokens_count_padding():
    """Fails when NORM-5 leaves out what has no weight."""
    assert holds(answer(NAMES[1], target_tokens=TOKENS).factor, 8)
    given = answer(NAMES[1], target_tokens=TOKENS, loss_weights=WEIGHTS)
    assert holds(given.factor, 8)
    assert_weights(given.weights, WEIGHTS)


def test_weights_are_averaged_over_their_sequence():
    """Fails when a row's weights do not add up to 1, or an empty row divides by 0 (NORM-6)."""
    weights = [*WEIGHTS, [0.0] * 4, [1e16, 1.0, -1e16, -1.0]]
    result = answer(NAMES[2], loss_weights=weights)
    expected = [shares(row, [0] * 4) for row in weights]
    assert_weights(result.weights, expected)
    assert holds(result.factor, 2)


@pytest.mark.parametrize(
    ("weights", "ids", "positions", "sequences"),
    [
        ([1e8, 1e8, 1.0, 1.0], [1, 1, 2, 2], [0, 1, 0, 1], [0, 0, 1, 1]),  # DIFF-13
        ([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]),  # one id, two sequences
        ([1.0, 2.0, 3.0, 4.0], [1, 2, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3]),  # an id that comes back
        ([1.0, 2.0, 3.0, 4.0], [0, 5, 5, 0], [0, 1, 2, 0], [None, 0, 0, None]),  # padding at both ends
        ([1.0, 2.0, 3.0, 4.0], [7, 0, 7, 7], [3, 0, 4, 5], [0, None, 1, 1]),  # padding in between
        ([0.0, 0.0, 3.0, -3.0], [1, 1, 2, 2], [0, 1, 0, 1], [0, 0, 1, 1]),  # sums of 0
        ([1.0, 2.0, 3.0, 4.0], [0, 0, 0, 0], [0, 0, 0, 0], [None] * 4),  # nothing but padding
    ],
)
def test_packed_rows_are_averaged_segment_by_segment(weights, ids, positions, sequences):
    """Fails when a neighbour's weights enter a sequence's sum, or padding gets any (NORM-7)."""
    result = answer(NAMES[2], loss_weights=[weights], segment_ids=[ids], positions=[positions])
    expected = shares(weights, sequences)
    assert_weights(result.weights, [expected])
    assert holds(result.factor, sum(expected))


def test_random_packed_rows_are_averaged_segment_by_segment():
    """Fails when segments are cut wrongly in any mixture of lengths, padding and repeated ids (NORM-7)."""
    rng = random.Random(31)  # noqa: S311  a seed, not a secret
    for _ in range(150):
        rows = []
        for _ in range(2):
            ids, positions, sequences = [], [], []
            for sequence in range(12):
                length, segment = rng.randint(1, 4), rng.choice([0, 1, 2, 2**40])
                ids += [segment] * length
                positions += range(length)  # restarts at 0, so that a repeated id is a sequence of its own
                sequences += [sequence if segment else None] * length
            rows.append((ids[:12], positions[:12], sequences[:12]))
        weights = [[rng.choice([0.0, 1.0, 1e8, 1e-6, 0.1]) for _ in range(12)] for _ in range(2)]
        result = answer(
            NAMES[2], loss_weights=weights, segment_ids=[r[0] for r in rows], positions=[r[1] for r in rows]
        )
        expected = [shares(row, sequences) for row, (_, _, sequences) in zip(weights, rows, strict=True)]
        assert_weights(result.weights, expected)
        assert holds(result.factor, sum(map(sum, expected)))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_weight_that_is_not_finite_spoils_its_own_sequence(bad):
    """Fails when NaN becomes a number, or reaches another sequence."""
    result = answer(NAMES[2], loss_weights=[[bad, 1.0], [1.0, 3.0]])
    assert kinds(result.weights) == ["nan", "nan", "finite", "finite"]
    assert kind(result.factor) == "nan"
    assert kind(answer(NAMES[0], loss_weights=[[bad, 1.0]]).factor) == str(bad)


@pytest.mark.parametrize(
    ("factor", "batch", "key"),
    [
        (NAMES[0], {}, "decoder_target_tokens"),
        (NAMES[1], {"loss_weights": WEIGHTS}, "decoder_target_tokens"),
        (NAMES[2], {"segment_ids": [[1]], "loss_weights": [[1]]}, "decoder_positions"),
    ],
)
def test_a_missing_key_is_named(factor, batch, key):
    """Fails when a batch that lacks what is needed is not a ValueError that says what (NORM-3)."""
    with pytest.raises(ValueError, match=f"'{key}'"):
        answer(factor, **batch)
