"""What a compiled program reads from and writes to a device's memory, read from its HLO."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TYPE = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\](\{[^}]*\})?")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_LINE = re.compile(r"\s+(ROOT )?%?([\w.-]+) = (.*?) ([\w-]+)\(([^)]*)\)(.*)")
_CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.-]+)")
_COMMENT = re.compile(r"/\*.*?\*/")  # /*index=5*/ before every fifth operand
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')

# They name values, or wait for what another instruction has begun.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier", "partition-id"}
_CALLS = {"call", "call-start", "async-start"}  # of a computation whose instructions then count
_RENAMES = {"bitcast", "reshape"}  # inside a fusion
_READS_A_PART = {"gather", "dynamic-slice"}
_WRITES_A_PART = {"scatter": 2, "dynamic-update-slice": 1}  # in place; which operand is what they write


class Instruction(NamedTuple):
    """An instruction of the entry computation, or of one that it calls, that does something.

    Attributes:
      name, operation: as in the text: "fusion.3", "fusion".
      read, written: bytes of the device's main memory; what a TPU holds in its vector memory costs nothing.
      cycles: the TPU compiler's own estimate; None where it has none, as for loops and kernels.
    """

    name: str
    operation: str
    read: int
    written: int
    cycles: int | None


class _Line(NamedTuple):
    name: str
    operation: str
    size: int
    operands: list[str]
    rest: str
    root: bool


def instructions(hlo: str) -> list[Instruction]:
    """What the entry computation does, and those that it calls or starts beside it.

    A fusion, a loop or a kernel reads its operands and writes its results, each once, with two exceptions: what is only
    gathered or sliced from is read as far as that goes, and what is scattered into or updated in place is written as
    far as that goes.

    Args:
      hlo: the text of a compiled module.

    Raises:
      ValueError: it is none, or an operand is not understood, which would count as nothing.
    """
    return list(_of_computation(*_computations(hlo)))


def transfers(found: list[Instruction]) -> int:
    """The bytes that the instructions read and write."""
    return sum(each.read + each.written for each in found)


def kernels(found: list[Instruction]) -> int:
    """How many of them are launched: all but copies that run beside others."""
    return sum(each.operation != "copy-start" for each in found)


def _of_computation(computations: dict[str, list[_Line]], name: str) -> Iterator[Instruction]:
    size = {line.name: line.size for line in computations[name]}
    for line in computations[name]:
        if line.operation in _FREE or line.operation.endswith("-done") or '"AllocateBuffer"' in line.rest:
            continue
        called = _CALLED.search(line.rest)
        if called and line.operation in _CALLS:
            yield from _of_computation(computations, called[1])
            continue
        if unknown := [operand for operand in line.operands if operand not in size]:
            raise ValueError(f"expected operands that have a line of their own, got {unknown} of {line.name}")
        body = computations[called[1]] if called and line.operation == "fusion" else _as_a_body(line, size)
        read = [_read(body, i, size[operand]) for i, operand in enumerate(line.operands)]
        written = _written(body, line.size)
        if line.operation == "copy-start":  # its result is the copy together with what it copies
            written -= sum(read)
        cycles = [int(each) for each in _CYCLES.findall(line.rest) if int(each) < 2**62]  # 2^63 - 1: not known
        yield Instruction(line.name, line.operation, sum(read), written, cycles[0] if cycles else None)


def _computations(hlo: str) -> tuple[dict[str, list[_Line]], str]:
    found: dict[str, list[_Line]] = {}
    entry, lines = "", list[_Line]()
    for text in hlo.splitlines():
        if match := _COMPUTATION.match(text):
            lines = found.setdefault(match[2], [])
            entry = match[2] if match[1] else entry
        elif match := _LINE.match(_COMMENT.sub("", text)):
            root, name, types, operation, operands, rest = match.groups()
            # Each is a name, perhaps with its type before it; a parameter's is its number.
            named = [each.split()[-1].removeprefix("%") for each in operands.split(", ") if each]
            lines.append(_Line(name, operation, _size(types), named, rest, bool(root)))
    if not entry:
        raise ValueError(f"expected the text of a compiled module, with an ENTRY, got {hlo[:60]!r}")
    return found, entry


def _size(types: str) -> int:
    """Bytes in main memory: a layout with S(1) or the like is of another."""
    total = 0
    for kind, bits, shape, layout in _TYPE.findall(types):
        if not re.search(r"S\([1-9]", layout):
            size = 8 if kind == "pred" else int(bits)
            for length in filter(None, shape.split(",")):
                size *= int(length)
            total += size // 8
    return total


def _as_a_body(line: _Line, size: dict[str, int]) -> list[_Line]:
    """The computation of a fusion that does only this."""
    operands = [_Line(f"{i}", "parameter", size[name], [f"{i}"], "", False) for i, name in enumerate(line.operands)]
    return [*operands, line._replace(operands=[each.name for each in operands], root=True)]


def _read(body: list[_Line], parameter: int, size: int) -> int:
    names = {each.name for each in body if each.operation == "parameter" and each.operands == [f"{parameter}"]}
    read = 0
    for line in body:
        if line.operation == "parameter" or names.isdisjoint(line.operands):
            continue
        whole = line.operands[0] in names and names.isdisjoint(line.operands[1:])  # it is no index and no update
        if line.operation in _RENAMES:
            names.add(line.name)
        elif whole and line.operation in _READS_A_PART:
            read += line.size
        elif not (whole and line.operation in _WRITES_A_PART and _last(body).name == line.name):
            return size
    return min(read, size)


def _written(body: list[_Line], size: int) -> int:
    last = _last(body)
    if last.operation not in _WRITES_A_PART:
        return size
    lines = {each.name: each for each in body}
    target = _origin(lines, last.operands[0])
    update = lines.get(last.operands[_WRITES_A_PART[last.operation]])
    return min(size, update.size) if target.operation == "parameter" and update else size


def _last(body: list[_Line]) -> _Line:
    """What computes a body's result."""
    lines = {each.name: each for each in body}
    return _origin(lines, next(each.name for each in body if each.root))


def _origin(lines: dict[str, _Line], name: str) -> _Line:
    while lines[name].operation in _RENAMES:
        name = lines[name].operands[0]
    return lines[name]
