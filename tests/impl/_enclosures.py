"""Comparison with the reference: the error of each element is within its bound, special values are equal."""

import numpy as np

from lossproof.reference import Enclosure


def assert_within_bound(actual, exact, bound, dtype=np.float32):
    """|actual - exact| <= bound, elementwise; exact is an enclosure or an array of them.

    A result of which the exact value is beyond the range of the type may be inf.
    """
    actual = np.asarray(actual, np.float64)
    enclosures = [exact] if isinstance(exact, Enclosure) else list(exact)
    high, low = (
        np.array(part).reshape(actual.shape) for part in zip(*(e.float_pair() for e in enclosures), strict=True)
    )
    special = ~(np.abs(high) <= float(np.finfo(dtype).max))
    np.testing.assert_array_equal(actual[special], high[special].astype(dtype))
    error = np.abs((actual[~special] - high[~special]) - low[~special])
    allowed = np.broadcast_to(bound, actual.shape)[~special]
    assert np.isfinite(allowed).all()
    assert (error <= allowed).all(), f"exact {high}, got {actual}, bound {bound}"
