"""What the devices of a mesh tell each other in a compiled program, read from its HLO."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_BITS = {"pred": 8, "bf16": 16}  # of the types whose name does not end in them
_OPERATIONS = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")
_COLLECTIVE = re.compile(rf"= (\(.*?\)|\S+) ({'|'.join(_OPERATIONS)})(?:-start)?\(")
_ARRAY = re.compile(r"\b(pred|bf16|[a-z]+\d+)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_CALLED = re.compile(r"(?:body|calls|to_apply)=%?([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


class Collective(NamedTuple):
    """An instruction that several devices carry out together.

    Attributes:
      operation: all-reduce, all-gather, ...
      arrays: what a device has of the result, for instance "f32[1024], f32[1024,1,251]".
      size: its bytes; of a reduce-scatter the bytes of all devices' results.
      times: how often it is carried out.
    """

    operation: str
    arrays: str
    size: int
    times: int


def collectives(hlo: str, devices: int) -> list[Collective]:
    """Every collective of a compiled program.

    Args:
      hlo: the text of a compiled module.
      devices: their number.

    Raises:
      ValueError: a loop contains a collective, and how often it runs is not known.
    """
    computations: dict[str, list[str]] = {}
    entry, lines = "", list[str]()
    for line in hlo.splitlines():
        if match := _COMPUTATION.match(line):
            lines = computations.setdefault(match[2], [])
            entry = match[2] if match[1] else entry
        else:
            lines.append(line)
    return list(_of_computation(computations, entry, devices))


def _of_computation(computations: dict[str, list[str]], name: str, devices: int) -> Iterator[Collective]:
    for line in computations[name]:
        if match := _COLLECTIVE.search(line):
            arrays = [(kind, shape) for kind, shape in _ARRAY.findall(match[1])]
            size = sum(_size(*array) for array in arrays) * (devices if match[2] == "reduce-scatter" else 1)
            yield Collective(match[2], ", ".join(f"{kind}[{shape}]" for kind, shape in arrays), size, 1)
            continue
        inner = [each for called in _CALLED.findall(line) for each in _of_computation(computations, called, devices)]
        if inner and " while(" in line:
            trips = _TRIPS.search(line)
            if trips is None:
                raise ValueError(f"a loop with collectives must have a known number of steps, got {line.strip()}")
            inner = [each._replace(times=each.times * int(trips[1])) for each in inner]
        yield from inner


def _size(kind: str, shape: str) -> int:
    size = _BITS.get(kind) or int(re.sub(r"\D", "", kind))
    for length in filter(None, shape.split(",")):
        size *= int(length)
    return size // 8
