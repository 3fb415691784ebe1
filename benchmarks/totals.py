"""Measures sums: the error of a total of 10^7 terms in ulp, its cost, and that of sums over packed sequences.

    python benchmarks/totals.py
    python benchmarks/totals.py --json totals.json

Two tables, all of float32.

totals      lossproof's sum, jnp.sum and numpy.sum of the same terms, against the exact sum (math.fsum)
sequences   the weights of AVERAGE_PER_SEQUENCE for one row of so many tokens, packed (sequences of 100 tokens on
            average) and not; ns per token that stay the same mean that costs are linear

A time is the median of some rounds. The terms: "equal" are all 0.1, "uniform" lie between 0 and 12, "log-normal" have a
standard deviation of 4 (the largest are 10^8 times the median), "of both signs" are normal with their negatives,
shuffled, and one more that is 1, "1e8 next to 1" has one large term among 10^5.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _report import machine, show, store
from _timing import interleaved
from numpy.typing import NDArray

from lossproof import get_loss_normalizing_factor_and_weights
from lossproof.impl._sums import exact_sum

TERMS = 10**7
ROUNDS = 5
LENGTHS = tuple(2**i for i in range(10, 21, 2))
SEQUENCE = 100  # tokens of a packed sequence, on average

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Total:
    """One contestant's sum of one kind of terms.

    Attributes:
      terms: their kind.
      contestant: whose sum it is.
      error_ulp: its distance from the exact sum, in ulp of float32 at that.
      ns_per_term: the median.
    """

    terms: str
    contestant: str
    error_ulp: float
    ns_per_term: float


@dataclass(frozen=True)
class Sequences:
    """The cost of averaging one row per sequence.

    Attributes:
      tokens: of the row.
      packed_ns, plain_ns: per token, with sequences packed into the row and with the row one sequence.
    """

    tokens: int
    packed_ns: float
    plain_ns: float


def drawn(kind: str, count: int) -> Floats:
    """Returns so many terms of a kind."""
    rng = np.random.default_rng(0)
    match kind:
        case "equal":
            terms = np.full(count, 0.1)
        case "uniform":
            terms = rng.uniform(0, 12, count)
        case "log-normal":
            terms = rng.lognormal(0, 4, count)
        case "of both signs":
            half = rng.normal(0, 4, (count - 1) // 2)
            terms = rng.permutation(np.concatenate([half, -half, np.eye(1, count - 2 * half.size)[0]]))
        case _:
            terms = np.where(np.arange(count) % 100_000 == 7, 1e8, 1.0)
    return terms.astype(np.float32)


KINDS = ("equal", "uniform", "log-normal", "of both signs", "1e8 next to 1")


def totals(kind: str, count: int, rounds: int) -> Iterator[Total]:
    """Yields the errors and times of every contestant."""
    terms = drawn(kind, count)
    on_device = jnp.asarray(terms)
    compiled = {"lossproof": jax.jit(exact_sum), "jnp.sum": jax.jit(jnp.sum)}
    programs: dict[str, Callable[[], Any]] = {
        name: partial(lambda f: f(on_device).block_until_ready(), f) for name, f in compiled.items()
    }
    programs["numpy.sum"] = partial(np.sum, terms)
    exact = math.fsum(terms.astype(np.float64))
    samples = interleaved(programs, rounds)
    for name, program in programs.items():
        error = abs(float(program()) - exact) / float(np.spacing(np.abs(np.float32(exact))))
        yield Total(kind, name, error, samples[name].median / count * 1e9)


def sequences(length: int, rounds: int) -> Sequences:
    """Returns the cost of one row of so many tokens."""
    rng = np.random.default_rng(0)
    starts = rng.uniform(size=(1, length)) < 1 / SEQUENCE
    weights = {"decoder_loss_weights": jnp.asarray(rng.uniform(0, 1, (1, length)).astype(np.float32))}
    packing = {
        "decoder_segment_ids": jnp.asarray(1 + np.cumsum(starts, -1, dtype=np.int32)),
        "decoder_positions": jnp.asarray(np.where(starts, 0, 1)),
    }
    average = jax.jit(partial(get_loss_normalizing_factor_and_weights, "AVERAGE_PER_SEQUENCE"))
    batches = {"packed": weights | packing, "plain": weights}
    programs = {
        name: partial(lambda batch: jax.block_until_ready(average(batch)), batch) for name, batch in batches.items()
    }
    samples = interleaved(programs, rounds)
    return Sequences(length, *(samples[name].median / length * 1e9 for name in ("packed", "plain")))


def main() -> None:
    """Prints the tables and writes the JSON file that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terms", type=int, default=TERMS, help="of each total (default %(default)s)")
    parser.add_argument("--longest", type=int, default=LENGTHS[-1], help="tokens of a row (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each time, at least 3 (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements to FILE")
    arguments = parser.parse_args()
    if arguments.terms < 3 or arguments.rounds < 3 or arguments.longest < LENGTHS[0]:
        given = f"{arguments.terms}, {arguments.rounds} and {arguments.longest}"
        parser.error(f"--terms and --rounds must be at least 3, --longest at least {LENGTHS[0]}, got {given}")
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    found = [each for kind in KINDS for each in totals(kind, arguments.terms, arguments.rounds)]
    show(
        f"totals of {arguments.terms} terms",
        ["terms", "sum", "error in ulp", "ns per term"],
        [[each.terms, each.contestant, f"{each.error_ulp:,.2f}", f"{each.ns_per_term:.2f}"] for each in found],
    )
    rows = [sequences(length, arguments.rounds) for length in LENGTHS if length <= arguments.longest]
    show(
        "sequences: ns per token",
        ["tokens", "packed", "not packed"],
        [[str(each.tokens), f"{each.packed_ns:.1f}", f"{each.plain_ns:.1f}"] for each in rows],
    )
    if arguments.json:
        options = {name: getattr(arguments, name) for name in ("terms", "longest", "rounds")}
        lists = {"totals": [asdict(each) for each in found], "sequences": [asdict(each) for each in rows]}
        store(arguments.json, {"machine": machine(), "options": options, **lists})


if __name__ == "__main__":
    main()
