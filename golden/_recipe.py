"""Arrays that are written down as a rule: exact, and the same few lines of integer arithmetic in any language."""

import hashlib
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lossproof.golden._numbers import fits, from_hex, to_hex
from lossproof.spec import FORMATS

# Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), with the constants of Vigna's
# splitmix64.c (https://prng.di.unimi.it/splitmix64.c): a bijection of 64-bit integers, applied to a counter.
GENERATOR = "splitmix64"
GAMMA, FIRST, SECOND, MASK = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 2**64 - 1

MIDDLE = 131070  # of the sum of four 16-bit numbers, each from 0 to 65535
PACKED = {"float16": "e", "float32": "f", "float64": "d"}  # as the module struct calls them


@dataclass(frozen=True)
class Recipe:
    """The elements of a float array, drawn from a bell-shaped distribution, each from its index alone.

    Element i is (((s - 131070) >> drop) + offset) * 2^exponent, with s the sum of the four 16-bit quarters of h, h the
    finaliser of SplitMix64 at seed + (i + 1) * 0x9E3779B97F4A7C15 modulo 2^64, and >> rounding down.

    Attributes:
      length: the number of elements.
      seed: 0 to 2^32 - 1.
      drop: 0 to 17; the last bits of the draw that are cut off, so that the others fit into the array's type.
      offset: added to each draw, in units of 2^exponent.
      exponent: of the unit.
      patches: (index, value) of the elements that are something else, in the order of their indices.
    """

    length: int
    seed: int
    drop: int
    offset: int
    exponent: int
    patches: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        indices = [index for index, _ in self.patches]
        if indices != sorted(set(indices)) or any(not 0 <= index < self.length for index in indices):
            problem = f"expected the indices of patches in increasing order, from 0 to {self.length - 1}, got"
            raise ValueError(f"{problem} {indices[:8]}{'...' if indices[8:] else ''}: correct them")

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[float]:
        numbers = [
            math.ldexp((draw(self.seed, i) >> self.drop) + self.offset, self.exponent) for i in range(self.length)
        ]
        for index, value in self.patches:
            numbers[index] = value
        return iter(numbers)

    def check_type(self, dtype: str) -> None:
        """Raises a ValueError unless every element is a value of the float type `dtype`, whatever is drawn."""
        form = FORMATS[dtype]
        steps = max(abs((end >> self.drop) + self.offset) for end in (-MIDDLE, MIDDLE))
        lowest = form.min_exponent - form.precision + 1
        highest = form.max_exponent + 1 - steps.bit_length()
        if steps > 2**form.precision or not lowest <= self.exponent <= highest:
            came = f"drop {self.drop}, offset {self.offset}, exponent {self.exponent}"
            problem = f"expected a recipe whose elements are values of type {dtype}, got {came}"
            raise ValueError(f"{problem}: restore it, or drop more bits")
        for _, value in self.patches:
            if math.isnan(value) or not fits(value, dtype):
                raise ValueError(f"the patch {value!r} is not a number of type {dtype}: round it first")

    def to_json(self) -> dict[str, Any]:
        """Returns the form of the file."""
        return {
            "generator": GENERATOR,
            "seed": self.seed,
            "drop": self.drop,
            "offset": self.offset,
            "exponent": self.exponent,
            "patches": {
                "at": [index for index, _ in self.patches],
                "data": [to_hex(value) for _, value in self.patches],
            },
        }


def read_recipe(value: dict[str, Any], length: int) -> Recipe:
    """Returns the recipe of an array of `length` elements from its form in the file.

    Raises:
      ValueError: its patches contradict each other.
    """
    at, data = value["patches"]["at"], value["patches"]["data"]
    if len(at) != len(data):
        raise ValueError(f"expected a value for each patch, got {len(data)} for {len(at)}: add or remove some")
    patches = tuple(zip(at, map(from_hex, data), strict=True))
    return Recipe(length, value["seed"], value["drop"], value["offset"], value["exponent"], patches)


def draw(seed: int, index: int) -> int:
    """Returns an integer from -131070 to 131070."""
    h = (seed + (index + 1) * GAMMA) & MASK
    h = ((h ^ (h >> 30)) * FIRST) & MASK
    h = ((h ^ (h >> 27)) * SECOND) & MASK
    h ^= h >> 31
    return (h & 0xFFFF) + (h >> 16 & 0xFFFF) + (h >> 32 & 0xFFFF) + (h >> 48) - MIDDLE


def sha256(values: Iterable[float], dtype: str) -> str:
    """Returns the hash of float values: of their bits in type `dtype`, little-endian, one after the other."""
    numbers = tuple(values)
    content = struct.pack(f"<{len(numbers)}{PACKED.get(dtype, 'f')}", *numbers)
    if dtype == "bfloat16":  # the upper half of a float32
        content = struct.pack(f"<{len(numbers)}H", *struct.unpack(f"<{2 * len(numbers)}H", content)[1::2])
    return hashlib.sha256(content).hexdigest()
