"""Bounds for the tests: numbers of roundings, counted from the formulas, times the unit roundoff."""

import math

import numpy as np

# Error of XLA:CPU's exp, log and log1p in u (float32, measured over all inputs: 1.01, 1.18, 2.52 ulp), rounded up.
FUNCTION = 3


def depth(terms):
    """Roundings on the way through a blocked sum of so many terms: a pairwise tree and one block of 8."""
    return math.ceil(math.log2(max(terms, 2))) + 8


def loss_roundings(x):
    """Relative error of lse - x_j in u: a gap, the mean gap of the rest of the sum, exp, log, the sum, a few steps."""
    gap, rest = _gaps(x)
    return (
        (rest * gap).sum(-1) / np.maximum(rest.sum(-1), np.finfo(np.float64).tiny)
        + 2 * FUNCTION
        + depth(gap.shape[-1])
        + 8
    )


def row_roundings(x):
    """Relative error of p_j and 1 - p_j in u, [..., V]: the entry's own gap, and what the sum has."""
    return _gaps(x)[0] + np.expand_dims(loss_roundings(x), -1)


def _gaps(x):
    x = np.asarray(x, np.float64)
    gap = x.max(-1, keepdims=True) - x
    rest = np.where(gap > 0, np.exp(-gap), 0.0)
    return np.where(np.isfinite(gap), gap, 0.0), rest


def assert_within(actual, expected, roundings, scale=None, dtype=np.float32):
    """|actual - expected| <= roundings * u * scale, elementwise; the scale is |expected| unless another is given.

    Non-finite values must be equal. The smallest normal number is allowed on top: the platform flushes subnormals.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    scale = np.abs(expected) if scale is None else scale
    bound = np.broadcast_to(roundings * 2.0 ** -(np.finfo(dtype).nmant + 1) * scale, expected.shape)
    excess = np.abs(actual[finite] - expected[finite]) - (bound[finite] + float(np.finfo(dtype).tiny))
    assert (excess <= 0).all(), f"expected {expected}, got {actual}, bound {bound}"
