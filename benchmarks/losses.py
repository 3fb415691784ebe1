"""Times lossproof and its peers side by side, and holds each ratio against its goal.

    python benchmarks/losses.py
    python benchmarks/losses.py --json losses.json
    python benchmarks/losses.py --vocabularies 32128 --dtypes float32 --elements 4000000 --rounds 5
    python benchmarks/losses.py --scaling --json scaling.json

Every loss is the sum over N tokens, without weights, for N x V normal logits. "plain" has neither smoothing nor z-loss;
"smoothed" has label_smoothing .1, and z_loss 1e-4 where the function has one. "forward" is the value, "value_and_grad"
the value and the gradient by the logits. All contestants of one V and type run in turns, in rounds of changing order,
in one process. A time is a median over the rounds. A ratio is the median of the rounds' ratios; "+-" is the margin of a
median, 1.57 interquartile ranges / sqrt(rounds), and a ratio whose margin is too wide is not quoted. "temp" is what a
compiled program allocates besides arguments and results, in percent of the logits.

"floor" is the passes over memory that no loss can do without; "own float32" is lossproof on the same logits in float32,
"own common V" lossproof on as many logits in rows of a V with many divisors, both in the same rounds.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
from _contestants import FLOOR, FORWARD, OURS, SETTINGS, VALUE_AND_GRAD, Contestant, contestants
from _goals import BOTH, COMMON, DTYPES, GOALS, PRIMES
from _groups import Comparison, Group, Key, Timed, measure
from _inputs import Inputs
from _report import machine, show, store
from _timing import FEWEST_ROUNDS

from lossproof.reference import oracle

ELEMENTS = 2048 * 32128  # logits in a batch: 263 MB of float32
ROUNDS = 9
WIDEST = 0.1

SCALING_TOKENS = [2**i for i in range(8, 15)]
SCALING_TOKENS_CLASSES = [2**10, 2**12]
SCALING_CLASSES = [2**i for i in range(10, 19)]
_FEWEST_ELEMENTS = 2**21  # as far as N grows at least

# Of `check_meaning`: above any rounding in 16 bits. It tells another function, not a larger error: see accuracy.py.
_SAME = 0.05


def check_meaning(entrants: Iterable[Contestant], dtype: str) -> None:
    """Compares what is timed with the exact answers, coarsely: the time of another function would be worthless.

    Raises:
      ValueError: a loss or a gradient is more than 5 % off, in the sense of its own convention.
    """
    inputs = Inputs.drawn(8, 64, dtype)
    for entrant in entrants:
        for setting in entrant.settings:
            arguments = (inputs.logits, inputs.targets, None, *SETTINGS[setting])
            exact = oracle.compute_weighted_cross_entropy(*arguments, convention=entrant.convention).loss.high
            rows = oracle.logits_gradient_rows(*arguments, cotangents={"loss": 1.0}, convention=entrant.convention)
            exact_gradient = np.concatenate([bracket.high for _, bracket in rows])
            value, gradient = entrant.program(inputs, setting, VALUE_AND_GRAD).run()
            values = [float(entrant.program(inputs, setting, FORWARD).run()), float(value)]
            by_logits = np.asarray(gradient.float() if hasattr(gradient, "float") else gradient, np.float64)
            off = [abs(each / exact - 1) for each in values]
            off.append(np.linalg.norm(by_logits - exact_gradient) / np.linalg.norm(exact_gradient))
            if not max(off) < _SAME:
                raise ValueError(
                    f"{entrant.name} ({setting}, {dtype}) must compute the loss of its convention, got a value, a "
                    f"value beside the gradient and a gradient that are {', '.join(f'{x:.1%}' for x in off)} off"
                )


def print_group(group: Group) -> None:
    """Prints the times and the ratios of one V and type."""
    names = dict.fromkeys((key.name, key.setting) for key in group.timed)
    rows = [[f"{name} {setting}", *_cells(group, name, setting)] for name, setting in names]
    columns = ["", *(column for mode in BOTH for column in (f"{mode}, ms", "+-", "ns/logit", "temp"))]
    show(f"V = {group.classes}, N = {group.tokens}, {group.dtype}: times", columns, rows)

    compared: dict[tuple[str, str], list[str]] = {}
    for each in group.comparisons:
        compared.setdefault((each.beside, each.setting), []).extend(_ratio_cells(each))
    rows = [[f"{name}, {setting}", *cells] for (name, setting), cells in compared.items()]
    columns = ["lossproof beside", *(column for mode in BOTH for column in (mode, "goal", ""))]
    show(f"V = {group.classes}, {group.dtype}: ratios", columns, rows)
    refused = [each for each in group.comparisons if each.refused is not None]
    for each in refused:
        print(f"  not quoted: {each.beside}, {each.setting}, {each.mode}: {each.refused}")
    if refused:
        print("  quieten the machine, or raise --rounds")


def _cells(group: Group, name: str, setting: str) -> list[str]:
    cells = []
    for mode in BOTH:
        timed = group.timed[Key(name, setting, mode)]
        share = "" if timed.temporaries is None else f"{timed.temporaries:.1%}"
        seconds = timed.seconds
        cells += [f"{seconds.median * 1e3:.2f}", f"{seconds.margin:.0%}", f"{timed.nanoseconds:.3f}", share]
    return cells


def _ratio_cells(comparison: Comparison) -> list[str]:
    quoted = "" if comparison.ratio is None else f"{comparison.ratio:.3f} +-{comparison.margin:.0%}"
    aim = "" if comparison.goal is None else f"<= {comparison.goal}"
    return [quoted, aim, comparison.verdict]


def scaling_sizes(elements: int) -> dict[str, list[tuple[int, int]]]:
    """Returns (N, V) of each table: growing N at one V, growing V at about one number of logits."""
    most = max(elements, _FEWEST_ELEMENTS)
    tables = {
        f"growing N, V = {classes}": [(n, classes) for n in SCALING_TOKENS if n * classes <= most]
        for classes in SCALING_TOKENS_CLASSES
    }
    return tables | {"growing V": [(max(1, elements // classes), classes) for classes in SCALING_CLASSES]}


def print_scaling(title: str, groups: Sequence[Group]) -> None:
    """Prints nanoseconds per logit, a line for each size; the last line is the largest over the smallest."""
    keys = [key for key in groups[0].timed if key.name in {FLOOR, OURS}]
    columns = [f"{key.name if key.name == FLOOR else key.setting} {key.mode}" for key in keys]

    def cell(timed: Timed) -> str:
        return f"{timed.nanoseconds:.3f} +-{timed.seconds.margin:.0%}"

    rows = [[f"{group.tokens} x {group.classes}", *(cell(group.timed[key]) for key in keys)] for group in groups]
    costs = [[group.timed[key].nanoseconds for group in groups] for key in keys]
    rows.append(["largest / smallest", *(f"{max(each) / min(each):.2f}" for each in costs)])
    show(f"{title}, {groups[0].dtype}: ns per logit", ["N x V", *columns], rows)


def print_count(groups: Iterable[Group]) -> None:
    """Prints how many goals were met."""
    verdicts = [each.verdict for group in groups for each in group.comparisons if each.goal is not None]
    print("goals:", ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("met", "missed", "not quoted")))


def _document(arguments: argparse.Namespace, groups: Iterable[Group], *, complete: bool) -> dict[str, Any]:
    options = {name: getattr(arguments, name) for name in ("elements", "rounds", "widest", "scaling")}
    goals = [
        {name: value if name in {"beside", "at_most"} else list(value) for name, value in asdict(each).items()}
        for each in GOALS
    ]
    listed = [group.as_json() for group in groups]
    return {"machine": machine(), "options": options, "goals": goals, "complete": complete, "groups": listed}


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*COMMON, *PRIMES]
    parser.add_argument("--vocabularies", type=int, nargs="+", default=every, metavar="V", help=f"default: {every}")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--elements", type=int, default=ELEMENTS, help="N x V, about (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default %(default)s")
    parser.add_argument("--widest", type=float, default=WIDEST, help="margin of a ratio to quote (default %(default)s)")
    parser.add_argument("--scaling", action="store_true", help="cost per logit as N and V grow, without peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements to FILE, as they come")
    arguments = parser.parse_args()
    if arguments.rounds < FEWEST_ROUNDS:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS}, so that scatter can be seen, got {arguments.rounds}")
    if arguments.elements < 1 or min(arguments.vocabularies) < 2:
        parser.error(
            f"--elements must be at least 1 and every V at least 2, got {arguments.elements} and "
            f"{min(arguments.vocabularies)}"
        )
    return arguments


def main() -> None:
    """Prints the tables and writes the JSON file that is asked for."""
    arguments = _parsed()
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    entrants, missing = contestants()
    if missing:
        print("not installed:", ", ".join(missing))
    if arguments.scaling:
        entrants = entrants[:1]
        tables = scaling_sizes(arguments.elements)
    else:
        tables = {"": [(max(1, arguments.elements // classes), classes) for classes in arguments.vocabularies]}
    done: list[Group] = []
    for dtype in arguments.dtypes:
        check_meaning(entrants, dtype)
        for title, sizes in tables.items():
            groups = []
            for tokens, classes in sizes:
                groups.append(
                    measure(tokens, classes, dtype, entrants, rounds=arguments.rounds, widest=arguments.widest)
                )
                jax.clear_caches()
                done.append(groups[-1])
                if not arguments.scaling:
                    print_group(groups[-1])
                if arguments.json:
                    store(arguments.json, _document(arguments, done, complete=False))
            if arguments.scaling:
                print_scaling(title, groups)
    if arguments.json:
        store(arguments.json, _document(arguments, done, complete=True))
    if not arguments.scaling:
        print_count(done)


if __name__ == "__main__":
    main()
