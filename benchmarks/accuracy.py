"""Measures the errors of lossproof and its peers in ulp of the exact answer, as float32 has them.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --json accuracy.json

Three tables, all of float32 logits without smoothing and z-loss; an error is the largest over the tokens.

confident   the target leads every other class by so much
offset      one number added to all logits; a row's logits are rounded to float32 first, so that the inputs are exact
total       the sum of many token losses, V = 2

"loss" is each token's loss, "loss beside the gradient" the same under differentiation, and "target's gradient" what
comes with it, p_t - 1. An answer of 0 is off by as many ulp as the exact answer has, 8 to 17 million. "by summing"
compares a total with the exact sum of the contestant's own token losses, "in all" with the exact total.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from _contestants import FORWARD, PLAIN, TOKENS, TOKENS_AND_GRAD, Contestant, contestants
from _inputs import SPREAD, Inputs
from _report import machine, show, store
from numpy.typing import NDArray

from lossproof.reference import oracle

LEADS = (5.0, 10.0, 20.0, 40.0, 80.0)
OFFSETS = (0.0, 1e2, 1e4, 1e6)
CLASSES = 4096
ROWS = 32  # tokens of each lead and offset
TOKENS_OF_TOTAL = 10**7
DISTINCT = 4096  # of them: the oracle takes each once, and its number as its weight

CONFIDENT, OFFSET = "confident", "offset"


@dataclass(frozen=True)
class TokenErrors:
    """The largest errors of a contestant over some tokens, in ulp.

    Attributes:
      table: CONFIDENT or OFFSET.
      amount: the lead, or the offset.
      contestant: its name.
      loss, differentiated_loss, target_gradient: of what.
    """

    table: str
    amount: float
    contestant: str
    loss: float
    differentiated_loss: float
    target_gradient: float


@dataclass(frozen=True)
class TotalErrors:
    """The errors of a contestant's total, in ulp.

    Attributes:
      contestant: its name.
      total: its answer.
      by_summing: against the exact sum of its own token losses.
      in_all: against the exact total.
    """

    contestant: str
    total: float
    by_summing: float
    in_all: float


def ulps(got: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how far numbers are from high + low, in ulp of float32 at that."""
    distances: NDArray[np.float64] = np.abs((got - high) - low) / np.spacing(np.abs(high).astype(np.float32))
    return distances


def inputs_of(table: str, amount: float, rows: int, classes: int) -> Inputs:
    """Draws tokens whose targets lead by this amount, or whose logits have this offset."""
    drawn = Inputs.drawn(rows, classes, "float32")
    places = (np.arange(rows), drawn.targets)
    if table == OFFSET:
        return Inputs(drawn.logits + np.float32(amount), drawn.targets)
    logits = drawn.logits / np.float32(SPREAD)
    logits[places] = -np.inf
    logits[places] = logits.max(axis=-1) + np.float32(amount)
    return Inputs(logits, drawn.targets)


def token_errors(
    entrants: Sequence[Contestant], table: str, amount: float, rows: int = ROWS, classes: int = CLASSES
) -> Iterator[TokenErrors]:
    """Yields the errors of each contestant."""
    inputs = inputs_of(table, amount, rows, classes)
    places = (np.arange(rows), inputs.targets)
    exact = oracle.token_cross_entropy(inputs.logits, inputs.targets).loss
    brackets = oracle.logits_gradient_rows(inputs.logits, inputs.targets, cotangents={"loss": 1.0})
    parts = [(bracket.high, bracket.low) for _, bracket in brackets]
    high, low = (np.concatenate(words)[places] for words in zip(*parts, strict=True))
    for entrant in entrants:
        losses = np.asarray(entrant.program(inputs, PLAIN, TOKENS).run(), np.float64)
        values, gradient = entrant.program(inputs, PLAIN, TOKENS_AND_GRAD).run()
        yield TokenErrors(
            table,
            amount,
            entrant.name,
            loss=float(np.max(ulps(losses, exact.high, exact.low))),
            differentiated_loss=float(np.max(ulps(np.asarray(values, np.float64), exact.high, exact.low))),
            target_gradient=float(np.max(ulps(np.asarray(gradient, np.float64)[places], high, low))),
        )


def total_errors(entrants: Sequence[Contestant], tokens: int) -> Iterator[TotalErrors]:
    """Yields the errors of each contestant's total of so many token losses."""
    distinct = Inputs.drawn(min(DISTINCT, tokens), 2, "float32")
    places = np.random.default_rng(1).integers(0, len(distinct.targets), tokens)
    counts = np.bincount(places, minlength=len(distinct.targets))
    exact = oracle.compute_weighted_cross_entropy(distinct.logits, distinct.targets, counts.astype(np.float64)).loss
    inputs = Inputs(distinct.logits[places], distinct.targets[places])
    for entrant in entrants:
        total = np.array(float(entrant.program(inputs, PLAIN, FORWARD).run()))
        losses = np.asarray(entrant.program(inputs, PLAIN, TOKENS).run(), np.float64)
        own = np.array(math.fsum(losses))
        yield TotalErrors(
            entrant.name,
            float(total),
            by_summing=float(ulps(total, own, np.array(0.0))),
            in_all=float(ulps(total, exact.high, exact.low)),
        )


def main() -> None:
    """Prints the tables and writes the JSON file that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=CLASSES, help="V of the first two tables (default %(default)s)")
    parser.add_argument("--rows", type=int, default=ROWS, help="tokens of each of their lines (default %(default)s)")
    parser.add_argument("--tokens", type=int, default=TOKENS_OF_TOTAL, help="of the total (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the errors to FILE")
    arguments = parser.parse_args()
    if arguments.classes < 2 or min(arguments.rows, arguments.tokens) < 1:
        sizes = f"{arguments.classes}, {arguments.rows} and {arguments.tokens}"
        parser.error(f"--classes must be at least 2, --rows and --tokens at least 1, got {sizes}")
    entrants, missing = contestants()
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    if missing:
        print("not installed:", ", ".join(missing))

    found: list[TokenErrors] = []
    for table, amounts in ((CONFIDENT, LEADS), (OFFSET, OFFSETS)):
        rows = [
            errors
            for amount in amounts
            for errors in token_errors(entrants, table, amount, arguments.rows, arguments.classes)
        ]
        show(
            f"{table}: largest error in ulp, V = {arguments.classes}, {arguments.rows} tokens",
            [table, "contestant", "loss", "loss beside the gradient", "target's gradient"],
            [
                [f"{each.amount:g}", each.contestant]
                + [_cell(error) for error in (each.loss, each.differentiated_loss, each.target_gradient)]
                for each in rows
            ],
        )
        found += rows
    totals = list(total_errors(entrants, arguments.tokens))
    show(
        f"total of {arguments.tokens} token losses: error in ulp, V = 2",
        ["contestant", "total", "by summing", "in all"],
        [[each.contestant, f"{each.total:.9g}", _cell(each.by_summing), _cell(each.in_all)] for each in totals],
    )
    if arguments.json:
        options = {name: getattr(arguments, name) for name in ("classes", "rows", "tokens")}
        lists = {"tokens": [asdict(each) for each in found], "totals": [asdict(each) for each in totals]}
        store(arguments.json, {"machine": machine(), "options": options, **lists})


def _cell(number: float) -> str:
    return f"{number:,.2f}" if number < 1000 else f"{number:,.0f}"


if __name__ == "__main__":
    main()
