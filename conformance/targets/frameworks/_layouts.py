"""The same numbers, laid out in memory as callers have them: whole, strided, by columns, read-only."""

import zlib
from collections.abc import Mapping

import numpy as np

from lossproof.conformance.judging.case import Array
from lossproof.conformance.judging.judge import Violation

LAYOUTS = ("whole", "strided", "by columns", "read-only")


def layout_of(arrays: Mapping[str, Array]) -> str:
    """One of `LAYOUTS`: any of them, but the same one for the same numbers, so that equal calls are equal."""
    hashed = 0
    for name in sorted(arrays):
        hashed = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), hashed)
    return LAYOUTS[hashed % len(LAYOUTS)]


def laid_out(array: Array, layout: str) -> Array:
    """A copy of an array in a layout."""
    if layout == "strided" and array.ndim:
        wider = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        view = wider[..., ::2]
        view[...] = array
        return view
    copy = np.array(array, order="F" if layout == "by columns" else "C")
    if layout == "read-only":
        copy.flags.writeable = False
    return copy


def require_unchanged(what: str, before: Mapping[str, Array], after: Mapping[str, Array]) -> None:
    """Raises Violation if a call has written into an argument: all bits, those of NaN too.

    Args:
      what: was called, for the message.
      before: the arguments as they were.
      after: those that were given, as they are now.
    """
    for name, array in before.items():
        if np.asarray(after[name]).tobytes() != np.ascontiguousarray(array).tobytes():
            raise Violation(f"{what} has changed its argument {name}: a loss must not write into what it is given")
