"""Two classes, every gap between them that 16 bits can hold: is the loss the nearest float? All of them:
`python -m pytest tests/reference/test_exhaustive_gaps.py --exhaustive --reference-report`.
"""

import collections
import math
import time

import ml_dtypes
import numpy as np
import pytest
from flint import arb, ctx

from lossproof import reference

from ._kinds import kind
from ._neighbours import TYPES


@pytest.mark.parametrize("gap_type", ["bfloat16", "float16"])
def test_the_loss_of_two_classes_is_the_nearest_float_for_every_gap(gap_type, gap_step, note):
    """Fails when the loss of logits (0, d), target 0, is rounded wrongly or left undecided for any d of 16 bits."""
    began = time.process_time()
    with np.errstate(invalid="ignore"):  # signalling NaNs are among them
        gaps = np.arange(0, 2**16, gap_step, dtype=np.uint16).view(TYPES[gap_type]).astype(np.float64)
    losses = [reference.token_cross_entropy([[0.0, gap]], [0]).loss.item() for gap in gaps.tolist()]
    elapsed = time.process_time() - began
    for gap, loss in zip(gaps, losses, strict=True):
        if not math.isfinite(gap):
            assert kind(loss) == ("0" if gap == -math.inf else "nan")  # STATE-1, STATE-3
    finite = np.isfinite(gaps)
    balls = [_Loss(gap) for gap in gaps[finite].tolist()]
    wrong = collections.Counter()
    for dtype in TYPES:
        floats = [loss.rounded(dtype) for loss, ordinary in zip(losses, finite, strict=True) if ordinary]
        wrong["undecided in " + dtype] += floats.count(None)
        decided = [(number, ball) for number, ball in zip(floats, balls, strict=True) if number is not None]
        wrong["not the nearest " + dtype] += _count_wrong(*zip(*decided, strict=True), dtype)
    total = time.process_time() - began
    note(f"{gap_type}: {len(gaps)} gaps in 4 types, reference {elapsed:.1f} s, all {total:.1f} s; {dict(+wrong)}")
    assert not dict(+wrong)
    assert len(gaps) == -(-(2**16) // gap_step)


class _Loss:
    """log(1 + e^gap), which is max(gap, 0) and a rest; never a rational number, so never a tie."""

    def __init__(self, gap):
        ctx.prec = 256
        self.base, self.rest = arb(max(gap, 0.0)), (-abs(arb(gap))).exp().log1p()

    def lies_between(self, low, high):
        """Whether this is so for certain; the ends must be exact."""
        return self.rest > low - self.base and self.rest < high - self.base


def _count_wrong(rounded, balls, dtype):
    """How many numbers do not lie in the cell of the float that they are said to round to."""
    largest = float(ml_dtypes.finfo(TYPES[dtype]).max)
    floats = np.array(rounded).astype(TYPES[dtype])
    assert (floats.astype(np.float64) == rounded).all()
    with np.errstate(over="ignore"):
        below, above = (
            np.nextafter(floats, TYPES[dtype](end)).astype(np.float64).tolist() for end in (-math.inf, math.inf)
        )
    wrong = 0
    for number, lower, upper, ball in zip(rounded, below, above, balls, strict=True):
        # Beyond the largest float lies what would be next if the exponent went on; halfway to it rounding overflows.
        following = 2 * largest - float(np.nextafter(TYPES[dtype](largest), TYPES[dtype](0)))
        if number == math.inf:
            low, high = (arb(largest) + following) / 2, arb(math.inf)
        else:
            low = (arb(lower) + number) / 2
            high = (arb(following if upper == math.inf else upper) + number) / 2
        wrong += not ball.lies_between(low, high)
    return wrong


@pytest.mark.parametrize("dtype", TYPES)
def test_a_float_next_to_the_nearest_is_counted_as_wrong(dtype):
    """Fails when the comparison above accepts the neighbour of the nearest float."""
    gaps = [-80.0, -1.0, 0.0, 3.0, 5.0]
    right = [reference.token_cross_entropy([[0.0, gap]], [0]).loss.item().rounded(dtype) for gap in gaps]
    balls = [_Loss(gap) for gap in gaps]
    assert _count_wrong(right, balls, dtype) == 0
    for towards in (-math.inf, math.inf):
        moved = np.nextafter(np.array(right).astype(TYPES[dtype]), TYPES[dtype](towards)).astype(np.float64)
        assert _count_wrong(moved.tolist(), balls, dtype) == len(gaps)
