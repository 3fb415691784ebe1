"""Accelerators that a program can be compiled for without having one: TPUs by libtpu, GPUs by JAX's CUDA plugin."""

import importlib.util
import math
import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

# The smallest topology of each generation; its first device stands for one device.
TPUS = {"v4": "v4:2x2x1", "v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2", "7x": "tpu7x:2x2x1"}


class Gpu(NamedTuple):
    """The figures of a public data sheet, of the SXM module.

    Attributes:
      capability: CUDA's compute capability, its first number.
      multiprocessors, gigahertz: their number, and the highest clock.
      bandwidth, memory: of the main memory, in GB/s and GB.
      cache: the second level's, in MiB.
    """

    capability: int
    multiprocessors: int
    gigahertz: float
    bandwidth: int
    memory: int
    cache: int


GPUS = {
    "H100": Gpu(9, 132, 1.98, 3350, 80, 50),
    "H200": Gpu(9, 132, 1.98, 4800, 141, 50),
    "B200": Gpu(10, 148, 1.965, 8000, 180, 126),
}
PLATFORMS = (*TPUS, *GPUS)

# What compilers need: a module, and the extra of this project that installs it.
_NEEDS = {"tpu": (("libtpu",), "tpu"), "cuda": (("jax_cuda12_plugin", "jax_cuda13_plugin"), "cuda")}

# A GpuTargetConfigProto; the limits of a block are the same for compute capabilities 9.0 and 10.0.
_GPU_CONFIG = """
gpu_device_info {{
  cuda_compute_capability {{ major: {gpu.capability} }}
  core_count: {gpu.multiprocessors} fpus_per_core: 128 clock_rate_ghz: {gpu.gigahertz}
  memory_bandwidth: {gpu.bandwidth}000000000 device_memory_size: {gpu.memory}000000000 l2_cache_size: {cache}
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  registers_per_block_limit: 65536 registers_per_core_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "NVIDIA {name}"
"""


def set_environment() -> None:
    """Sets what jax and the compilers read when they are loaded, for processes started from here on."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # nothing is to be run
    # Without a TPU nobody answers what libtpu asks of its surroundings.
    for name, value in {"SKIP_MDS_QUERY": "1", "WORKER_HOSTNAMES": "localhost", "HOST_BOUNDS": "1,1,1"}.items():
        os.environ.setdefault(f"TPU_{name}", value)
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # only who uses a TPU must be alone with it
    autotuning = "--xla_gpu_autotune_level=0"  # it would need the device
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {autotuning}".strip()


def platform(topology: str) -> str:
    """The name in PLATFORMS of what a topology is made of: of "tpu7x:4x4x4", "7x"."""
    generation = topology.partition(":")[0].removeprefix("tpu")
    if generation not in PLATFORMS:
        raise ValueError(f"a topology must begin with one of {', '.join(PLATFORMS)}, got {topology!r}")
    return generation


def missing(platforms: Iterable[str], find: Callable[[str], object] = importlib.util.find_spec) -> dict[str, str]:
    """Returns why nothing can be compiled for some of these, by the names of all whose reason it is."""
    found = {}
    for kind, (modules, extra) in _NEEDS.items():
        names = [name for name in platforms if (name in GPUS) == (kind == "cuda")]
        if names and not any(map(find, modules)):
            found[", ".join(names)] = f"needs {' or '.join(modules)}: pip install -e '.[{extra}]'"
    return found


@cache
def devices(topology: str) -> tuple[Any, ...]:
    """The devices of "H200", one, or of a TPU topology such as "v5e:4x4"."""
    from jax.experimental import topologies

    if topology not in GPUS:
        return tuple(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)
    gpu = GPUS[topology]
    config = _GPU_CONFIG.format(gpu=gpu, cache=gpu.cache * 2**20, name=topology)
    described = topologies.get_topology_desc(
        platform="cuda", topology_name=topology.lower(), target_config=config, topology="1x1x1"
    )
    return tuple(described.devices)


def count(topology: str) -> int:
    """How many devices a TPU topology has: a chip of v4 or 7x is two."""
    chips = math.prod(map(int, topology.partition(":")[2].split("x")))
    return chips * (2 if platform(topology) in {"v4", "7x"} else 1)
