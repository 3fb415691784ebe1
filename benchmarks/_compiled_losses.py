"""Losses compiled for devices that are not there, and what their compilers say of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import _absent_devices
import jax
import numpy as np
from _collectives import collectives
from _contestants import FORWARD, PLAIN, SETTINGS, SMOOTHED, Contestant, contestants
from _transfers import instructions, kernels, transfers
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

WIDTH = 512  # of the hidden states whose product with a kernel gives logits

# Where logits come from: they are an argument, or the product of two arguments.
ARGUMENT, PRODUCT = "argument", "product"
# What is compared, and as what: optax has neither smoothing nor z-loss.
COMPARED = {SMOOTHED: ("lossproof", "t5x"), PLAIN: ("lossproof", "optax")}


@dataclass(frozen=True)
class Group:
    """Programs that are compiled for the same devices and the same logits.

    Attributes:
      topology: a name that `_absent_devices.devices` takes.
      mesh: into how many parts the tokens are sharded, and V.
      source: ARGUMENT or PRODUCT.
      tokens, classes, dtype: of the logits, all parts together.
    """

    topology: str
    mesh: tuple[int, int]
    source: str
    tokens: int
    classes: int
    dtype: str

    @property
    def where(self) -> str:
        """The devices in words."""
        tokens, classes = self.mesh
        if tokens * classes == 1:
            return _absent_devices.platform(self.topology)
        if 1 in self.mesh:
            return f"{self.topology} {'tokens' if classes == 1 else 'vocabulary'} sharded"
        return f"{self.topology} both sharded, {tokens}x{classes}"

    @property
    def bytes(self) -> float:
        """Those of one device's part of the logits."""
        return self.tokens * self.classes * jax.numpy.dtype(self.dtype).itemsize / (self.mesh[0] * self.mesh[1])


class Request(NamedTuple):
    """What is compiled in a group: whose loss, a name of SETTINGS, forward or value_and_grad."""

    contestant: str
    setting: str
    mode: str


def measure(group: Group, request: Request, devices: Sequence[Any] | None = None) -> dict[str, Any]:
    """Compiles a loss.

    Returns:
      transfers: bytes that a device reads and writes, as a multiple of its part of the logits; with PRODUCT, less those
        of the products alone.
      temporaries: what it allocates besides arguments and results, likewise.
      kernels: how many it launches.
      collectives, bytes_per_token: the number of each kind, and what a device receives for each token it has.
      flops, cycles: the compiler's own estimates, None where it has none.
      seconds: of tracing, lowering and compiling.
      processor_seconds: of all three, in all threads; what else the machine does is not in them.
    """
    contestant = _contestants()[request.contestant]
    devices = _absent_devices.devices(group.topology) if devices is None else devices
    _warm_up(devices[0])
    jax.clear_caches()  # each program pays for all of its own tracing
    function = _loss(contestant, group.source, request)
    used, start = time.process_time(), time.perf_counter()
    traced = jax.jit(function).trace(*_arguments(group, devices))
    between = time.perf_counter()
    lowered = traced.lower()
    before = time.perf_counter()
    compiled = lowered.compile()
    end, used = time.perf_counter(), time.process_time() - used
    text = compiled.as_text()
    found, together = instructions(text), collectives(text, group.mesh[0] * group.mesh[1])
    cycles = [each.cycles for each in found if each.cycles is not None]
    counts: dict[str, int] = {}
    for each in together:
        counts[each.operation] = counts.get(each.operation, 0) + each.times
    others = _products_alone(group, request.mode, tuple(devices)) if group.source == PRODUCT else 0
    return {
        "transfers": round((transfers(found) - others) / group.bytes, 4),
        "temporaries": round(compiled.memory_analysis().temp_size_in_bytes / group.bytes, 4),
        "kernels": kernels(found),
        "collectives": counts,
        "bytes_per_token": round(sum(each.size * each.times for each in together) / (group.tokens / group.mesh[0]), 2),
        "flops": _flops(compiled.cost_analysis()),
        "cycles": sum(cycles) if cycles else None,
        "seconds": {
            "trace": round(between - start, 4),
            "lower": round(before - between, 4),
            "compile": round(end - before, 4),
        },
        "processor_seconds": round(used, 4),
    }


@cache
def _contestants() -> Mapping[str, Contestant]:
    return {each.name: each for each in contestants()[0]}


@cache
def _warm_up(device: Any) -> None:
    """The first program takes seconds that are not its own."""
    x = jax.ShapeDtypeStruct((1024, 1024), "float32", sharding=SingleDeviceSharding(device))
    jax.jit(jax.grad(lambda x: jax.nn.logsumexp(x, axis=-1).sum())).lower(x).compile()


def _loss(contestant: Contestant, source: str, request: Request) -> Callable[..., Any]:
    setting = SETTINGS[request.setting]
    if source == ARGUMENT:

        def of_logits(logits: Array, targets: Array) -> Any:
            return contestant.total(logits, targets, setting)

        return of_logits if request.mode == FORWARD else jax.value_and_grad(of_logits)

    def of_hidden(hidden: Array, kernel: Array, targets: Array) -> Any:
        return contestant.total(hidden @ kernel, targets, setting)

    return of_hidden if request.mode == FORWARD else jax.value_and_grad(of_hidden, (0, 1))


def _arguments(group: Group, devices: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
    shards = group.mesh[0] * group.mesh[1]
    if shards == 1:
        of_logits = of_targets = SingleDeviceSharding(devices[0])
    else:
        mesh = Mesh(np.array(devices[:shards]).reshape(group.mesh), ("tokens", "classes"))
        axes = [name if size > 1 else None for name, size in zip(mesh.axis_names, group.mesh, strict=True)]
        of_logits, of_targets = NamedSharding(mesh, PartitionSpec(*axes)), NamedSharding(mesh, PartitionSpec(axes[0]))
    targets = jax.ShapeDtypeStruct((group.tokens,), "int32", sharding=of_targets)
    if group.source == ARGUMENT:
        shapes = [(group.tokens, group.classes)]
    elif shards == 1:
        shapes = [(group.tokens, WIDTH), (WIDTH, group.classes)]
    else:
        raise ValueError(f"products are compiled for one device, got a mesh of {group.mesh}")
    return [*(jax.ShapeDtypeStruct(shape, group.dtype, sharding=of_logits) for shape in shapes), targets]


@cache
def _products_alone(group: Group, mode: str, devices: tuple[Any, ...]) -> int:
    """What the product that gives logits transfers, with a gradient also the two that take that of the logits."""

    def product(hidden: Array, kernel: Array) -> Array:
        return hidden @ kernel

    def with_gradient(hidden: Array, kernel: Array, of_logits: Array) -> Any:
        logits, pull_back = jax.vjp(product, hidden, kernel)
        return logits, pull_back(of_logits)

    hidden, kernel, targets = _arguments(group, devices)
    given = jax.ShapeDtypeStruct((group.tokens, group.classes), group.dtype, sharding=targets.sharding)
    function, arguments = (product, (hidden, kernel)) if mode == FORWARD else (with_gradient, (hidden, kernel, given))
    return transfers(instructions(jax.jit(function).lower(*arguments).compile().as_text()))


def _flops(analysis: Any) -> float | None:
    """None from the compiler for GPUs, which analyses no costs."""
    flops = analysis.get("flops") if analysis else None
    return None if flops is None else float(flops)
