"""Times the oracle at production shapes: values, gradient rows and peak memory, on one thread.

    python benchmarks/oracle.py
    python benchmarks/oracle.py --json oracle.json

Each line is a process of its own, so that its peak memory is its own. The table has one production shape, then growing
V, then growing N: nanoseconds per logit that stay the same mean that costs are linear. "input" is what the logits
take themselves, "radius" that of the loss, relative to it.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import store

from lossproof.reference import oracle

SHAPES = [
    (512, 128256),
    *((64, classes) for classes in (1000, 4096, 32000, 128256, 256000)),
    *((tokens, 32000) for tokens in (8, 32, 128, 512)),
]
SETTINGS = {"hard": (0.0, 0.0), "smoothed, z": (0.1, 1e-4)}
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


def measure(tokens: int, classes: int, setting: str) -> dict[str, Any]:
    """Runs the oracle once on normal float32 logits, 3 wide; returns seconds and bytes."""
    rng = np.random.default_rng(0)
    oracle.token_cross_entropy(np.zeros((1, 2)), [0])  # makes the tables
    logits = np.empty((tokens, classes), np.float32)
    for row in logits:
        row[:] = 3 * rng.standard_normal(classes, np.float32)
    arguments = (logits, rng.integers(0, classes, tokens), None, *SETTINGS[setting])
    start = time.perf_counter()
    loss = oracle.compute_weighted_cross_entropy(*arguments).loss
    values = time.perf_counter() - start
    start = time.perf_counter()
    for _ in oracle.logits_gradient_rows(*arguments, cotangents={"loss": 1.0}):
        pass
    gradient = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
    return {
        "tokens": tokens,
        "classes": classes,
        "setting": setting,
        "values_s": values,
        "gradient_s": gradient,
        "input_bytes": logits.nbytes,
        "peak_bytes": peak,
        "relative_radius": float(loss.radius / abs(loss.high)),
    }


def row(result: dict[str, Any]) -> str:
    """Formats a measurement as a line of the table."""
    logits = result["tokens"] * result["classes"]
    seconds = "".join(
        f"{result[name]:10.3f} s {result[name] / logits * 1e9:7.1f}" for name in ("values_s", "gradient_s")
    )
    memory = "".join(f"{result[name] / 2**20:9.0f} MiB" for name in ("input_bytes", "peak_bytes"))
    shape = f"{result['tokens']:6} x {result['classes']:6}"
    return f"{shape}  {result['setting']:12}{seconds}{memory}{result['relative_radius']:12.1e}"


def main() -> None:
    """Prints the table and writes the JSON file that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements to FILE")
    parser.add_argument("--one", nargs=3, metavar=("N", "V", "SETTING"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        tokens, classes, setting = arguments.one
        print(json.dumps(measure(int(tokens), int(classes), setting)))
        return
    print("     N x V       setting         values  ns/logit  gradient  ns/logit    input         peak      radius")
    results = []
    for setting in SETTINGS:
        for shape in SHAPES:
            command = [sys.executable, __file__, "--one", *map(str, shape), setting]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            results.append(json.loads(run.stdout))
            print(row(results[-1]), flush=True)
    if arguments.json:
        machine = {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count()}
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        store(arguments.json, {**machine, **versions, "results": results})


if __name__ == "__main__":
    main()
