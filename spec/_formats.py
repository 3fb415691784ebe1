"""The floating-point types."""

from collections.abc import Mapping
from typing import NamedTuple


class FloatFormat(NamedTuple):
    """A binary floating-point format: `precision` bits of significand, exponents from `min_exponent` to
    `max_exponent`.
    """

    precision: int
    min_exponent: int
    max_exponent: int


FORMATS: Mapping[str, FloatFormat] = {
    "bfloat16": FloatFormat(8, -126, 127),
    "float16": FloatFormat(11, -14, 15),
    "float32": FloatFormat(24, -126, 127),
    "float64": FloatFormat(53, -1022, 1023),
}
