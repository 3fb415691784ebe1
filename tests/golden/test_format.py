"""The text of the files: exact, canonical, readable."""

import json
import math
import random
import struct

import pytest

from lossproof.golden._case import Array, Scalar
from lossproof.golden._numbers import fits, from_hex, to_hex
from lossproof.golden._render import WIDTH, render

SPECIAL = [0.0, -0.0, 1.0, -3.0, 0.1, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, math.inf, -math.inf]


def test_hexadecimal_text_is_exact_and_short() -> None:
    """Fails when a float does not come back from its text, or has two texts."""
    draw = random.Random(2)  # noqa: S311 - numbers, not secrets
    drawn = [struct.unpack("d", draw.randbytes(8))[0] for _ in range(2000)]
    for number in [*SPECIAL, *(x for x in drawn if not math.isnan(x))]:
        text = to_hex(number)
        assert struct.pack("d", from_hex(text)) == struct.pack("d", number)
        assert from_hex(text).hex() == number.hex()
    assert [to_hex(x) for x in (3.0, 0.0, -0.0, 5e-324, math.nan)] == [
        "0x1.8p+1",
        "0x0p+0",
        "-0x0p+0",
        "0x1p-1074",
        "nan",
    ]


def test_a_number_fits_exactly_where_its_type_holds_it() -> None:
    """Fails when a case claims an input that its type does not hold, or refuses one that it does."""
    draw = random.Random(3)  # noqa: S311 - numbers, not secrets
    for dtype, code, size in (("float32", "f", 4), ("float16", "e", 2)):
        for _ in range(2000):
            (number,) = struct.unpack(code, draw.randbytes(size))
            assert fits(number, dtype)
            if number and math.isfinite(number):
                assert not fits(number * (1 + 2.0**-40), dtype)
    for number, dtype, expected in (
        (1.0078125, "bfloat16", True),
        (1.00390625, "bfloat16", False),
        (2.0**-133, "bfloat16", True),
        (2.0**-134, "bfloat16", False),
        (65504.0, "float16", True),
        (65536.0, "float16", False),
        (255, "uint8", True),
        (-1, "uint8", False),
        (True, "bool", True),
        (1, "bool", False),
        (True, "int32", False),
        (1.0, "int32", False),
        (1, "float32", False),
    ):
        assert fits(number, dtype) is expected, (number, dtype)


@pytest.mark.parametrize(
    ("shape", "count", "nested"),
    [((), 1, 0.0), ((2,), 2, [0.0, 1.0]), ((2, 1), 2, [[0.0], [1.0]]), ((0, 3), 0, []), ((2, 0), 0, [[], []])],
)
def test_arrays_nest_as_numpy_does(shape: tuple[int, ...], count: int, nested: object) -> None:
    """Fails when rows come out with the wrong elements, or an empty array loses an axis."""
    assert Array("float32", shape, tuple(float(i) for i in range(count))).tolist() == nested


def test_wrong_arrays_are_refused() -> None:
    """Fails when a definition with a slip in it gets an id."""
    with pytest.raises(ValueError, match=r"shape \[2\] needs 2 elements, got 1"):
        Array("float32", (2,), (1.0,))
    with pytest.raises(ValueError, match=r"0\.1 is not a value of type float32"):
        Scalar("float32", 0.1)


def test_text_says_the_value_and_keeps_to_the_width() -> None:
    """Fails when the text says something else than the value, or its lines cannot be read side by side."""
    value = {
        "empty": [{}, []],
        "short": [1, 2, {"a": None}],
        "long": [f"{i:040d}" for i in range(9)],
        "nested": [{"key": list(range(60))}, {"other": ["x" * 100, "y" * 100]}],
        "text": "\u00e9\n",
    }
    text = render(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert text.endswith("}\n")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert ' "short": [1, 2, {"a": null}],' in text.splitlines()
