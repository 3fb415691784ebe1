"""Times the reference: how long a token takes as the vocabulary grows, and a batch as its tokens do.

    python benchmarks/reference.py
    python benchmarks/reference.py --json reference.json

Logits are normal with standard deviation 3. A time is the least of some repetitions, in one process that does nothing
else, the conversion of the logits included. Bits are those that the answer with the widest enclosure, relative to its
value, is known to. The last line of a table is the exponent of the growth over it: 1 is linear.
"""

import argparse
import math
import platform
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mpmath
from _report import store

from lossproof import reference

VOCABULARIES = (1_000, 4_000, 16_000, 32_000, 64_000, 128_000)
BATCHES = (1, 10, 100, 1_000)
CLASSES = 16  # of the batches
TRIES = 3
ENOUGH_SECONDS = 1.0  # once is enough for what takes longer


@dataclass(frozen=True)
class Row:
    """One line of a table; times in seconds.

    Attributes:
      tokens: N.
      classes: V.
      loss: time of a batch's loss, z_loss and weight_sum.
      gradient: time of its gradients by every argument.
      bits: how many of every answer are known.
    """

    tokens: int
    classes: int
    loss: float
    gradient: float
    bits: int


def measure(tokens: int, classes: int) -> Row:
    """Times one shape."""
    rng = random.Random(tokens * classes)  # noqa: S311  a seed, not a secret
    logits = [[rng.gauss(0, 3) for _ in range(classes)] for _ in range(tokens)]
    batch = (logits, [rng.randrange(classes) for _ in logits], None, 0.1, 1e-4, float(tokens))

    def gradients() -> reference.WeightedGradients:
        return reference.compute_weighted_cross_entropy_gradients(*batch, cotangents={"loss": 1.0})

    loss, values = _timed(lambda: reference.compute_weighted_cross_entropy(*batch))
    gradient, derivatives = _timed(gradients)
    return Row(tokens, classes, loss, gradient, min(map(_bits, [values.loss, *derivatives.logits])))


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    best = math.inf
    for _ in range(TRIES):
        began = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - began)
        if best > ENOUGH_SECONDS:
            break
    return best, result


def _bits(answer: reference.Enclosure) -> int:
    """The bits of a number, not 0, that its enclosure leaves no doubt about."""
    return int(mpmath.floor(mpmath.log(abs(answer.value) / answer.radius, 2)))


def growth(rows: list[Row], size: str, seconds: str) -> float:
    """The exponent a of time ~ size^a, from the first row to the last."""
    first, last = (asdict(row) for row in (rows[0], rows[-1]))
    return math.log(last[seconds] / first[seconds]) / math.log(last[size] / first[size])


def table(rows: list[Row], size: str) -> Iterable[str]:
    """Lines of text: seconds, and microseconds for each logit."""
    yield f"{'tokens':>8}{'classes':>9}{'loss, s':>11}{'gradients, s':>14}{'loss, us/logit':>16}{'bits':>6}"
    for row in rows:
        each = 1e6 * row.loss / (row.tokens * row.classes)
        yield f"{row.tokens:>8}{row.classes:>9}{row.loss:>11.4f}{row.gradient:>14.4f}{each:>16.2f}{row.bits:>6}"
    yield f"{'growth':>17}{growth(rows, size, 'loss'):>11.2f}{growth(rows, size, 'gradient'):>14.2f}"


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements to FILE")
    arguments = parser.parse_args()
    tables = {
        "classes": [measure(1, classes) for classes in VOCABULARIES],
        "tokens": [measure(tokens, CLASSES) for tokens in BATCHES],
    }
    versions = {"python": platform.python_version(), "mpmath": mpmath.__version__, "backend": mpmath.libmp.BACKEND}
    print(" ".join(f"{name} {version}" for name, version in versions.items()))
    for size, rows in tables.items():
        print(f"\nGrowing {size}", *table(rows, size), sep="\n")
    if arguments.json:
        listed = {size: [asdict(row) for row in rows] for size, rows in tables.items()}
        exponents = {size: {s: growth(rows, size, s) for s in ("loss", "gradient")} for size, rows in tables.items()}
        store(arguments.json, {"versions": versions, "rows": listed, "growth": exponents})


if __name__ == "__main__":
    main()
