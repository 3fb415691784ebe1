"""Times lossproof and its peers side by side, and holds each ratio against its goal.

    python benchmarks/losses.py
    python benchmarks/losses.py --json losses.json
    python benchmarks/losses.py --vocabularies 32128 --dtypes float32 --elements 4000000 --rounds 5
    python benchmarks/losses.py --memory fresh
    python benchmarks/losses.py --scaling --json scaling.json

Every loss is the sum over N tokens, without weights, for N x V normal logits. "plain" has neither smoothing nor z-loss;
"smoothed" has label_smoothing .1, and z_loss 1e-4 where the function has one. "forward" is the value, "value_and_grad"
the value and the gradient by the logits. All contestants of one V and type run in turns, in rounds of changing order,
in one process. A time is a median over the rounds. A ratio is the median of the rounds' ratios; "+-" is the margin of a
median, 1.57 interquartile ranges / sqrt(rounds), and a ratio whose margin is too wide is not quoted. "temp" is what a
compiled program allocates besides arguments and results, in percent of the logits. Compile times are processor seconds.

"fresh" and "reused" are the memory of the process, one for each. Fresh is glibc's as it comes: a large array that is
freed goes back to the system, and each page of the next one is fetched from there. Reused is memory that stays with
the process and is written again, as in a long training run. "faults" counts the pages that a run has fetched.

"floor" is the passes over memory that no loss can do without; "own float32" is lossproof on the same logits in float32,
"own common V" lossproof on as many logits in rows of a V with many divisors, both in the same rounds.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _memory
import numpy as np
from _contestants import FLOOR, FORWARD, OURS, SETTINGS, VALUE_AND_GRAD, Contestant, contestants
from _goals import BOTH, COMMON, COMPILATION, DTYPES, GOALS, PRIMES
from _groups import Group, Key, Timed, measure
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


def print_groups(groups: Sequence[Group]) -> None:
    """Prints the times, the ratios and the compile times of one V and type, with each kind of memory."""
    timed, compared = groups[0].timed, groups[0].comparisons
    title = f"V = {groups[0].classes}, N = {groups[0].tokens}, {groups[0].dtype}"
    columns = _columns("", "{}, ms", "+-", "ns/logit", "faults", "temp")
    show(f"{title}: times", columns, _rows(((key.name, key.setting) for key in timed), groups, _time_cells))

    beside = ((each.beside, each.setting) for each in compared if each.beside != COMPILATION)
    columns = _columns("lossproof beside", "{}", "goal", "")
    show(f"{title}: ratios", columns, _rows(beside, groups, _ratio_cells))
    refused = [(group.memory, each) for group in groups for each in group.comparisons if each.refused is not None]
    for memory, each in refused:
        print(f"  not quoted: {each.beside}, {each.setting}, {each.mode}, {memory}: {each.refused}")
    if refused:
        print("  quieten the machine, or raise --rounds")

    compiled = ((key.name, key.setting) for key, each in timed.items() if each.compilation is not None)
    columns = _columns("", "{}: trace, lower, s", "compile, s", "beside t5x", "goal", "")
    show(f"{title}: compile time beside t5x", columns, _rows(compiled, groups, _compilation_cells))


def _columns(first: str, *each: str) -> list[str]:
    return [first, "memory", *(column.format(mode) for mode in BOTH for column in each)]


def _rows(
    named: Iterable[tuple[str, str]], groups: Sequence[Group], cells: Callable[[Group, str, str, str], list[str]]
) -> list[list[str]]:
    return [
        [f"{name}, {setting}", group.memory, *(cell for mode in BOTH for cell in cells(group, name, setting, mode))]
        for (name, setting), group in itertools.product(dict.fromkeys(named), groups)
    ]


def _time_cells(group: Group, name: str, setting: str, mode: str) -> list[str]:
    timed = group.timed[Key(name, setting, mode)]
    seconds, share = timed.seconds, "" if timed.temporaries is None else f"{timed.temporaries:.1%}"
    times = [f"{seconds.median * 1e3:.2f}", f"{seconds.margin:.0%}", f"{timed.nanoseconds:.3f}"]
    return [*times, f"{timed.usual_faults:.0f}", share]


def _ratio_cells(group: Group, beside: str, setting: str, mode: str) -> list[str]:
    found = group.comparison(beside, setting, mode)
    scatter = f" +-{found.margin:.0%}" if found.margin else ""
    quoted = "" if found.ratio is None else f"{found.ratio:.3f}{scatter}"
    return [quoted, "" if found.goal is None else f"<= {found.goal}", found.verdict]


def _compilation_cells(group: Group, name: str, setting: str, mode: str) -> list[str]:
    compilation = group.timed[Key(name, setting, mode)].compilation
    seconds = ["", ""] if compilation is None else [f"{compilation.lowering:.2f}", f"{compilation.compiling:.2f}"]
    is_compared = name == OURS and any(each.beside == COMPILATION for each in group.comparisons)
    return seconds + (_ratio_cells(group, COMPILATION, setting, mode) if is_compared else ["", "", ""])


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
    show(f"{title}, {groups[0].dtype}, {groups[0].memory} memory: ns per logit", ["N x V", *columns], rows)


def print_counts(groups: Sequence[Group]) -> None:
    """Prints how many goals were met with each kind of memory."""
    for memory in dict.fromkeys(group.memory for group in groups):
        compared = [each for group in groups if group.memory == memory for each in group.comparisons]
        verdicts = [each.verdict for each in compared if each.goal is not None]
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("met", "missed", "not quoted"))
        print(f"goals with {memory} memory: {counts}")


def _document(arguments: argparse.Namespace, groups: Iterable[Group], *, complete: bool) -> dict[str, Any]:
    options = {name: getattr(arguments, name) for name in ("memory", "elements", "rounds", "widest", "scaling")}
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
    parser.add_argument("--memory", nargs="+", choices=_memory.KINDS, default=list(_memory.KINDS), help="default: both")
    parser.add_argument("--scaling", action="store_true", help="cost per logit as N and V grow, without peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements to FILE, as they come")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)  # what a process of ours is to measure
    arguments = parser.parse_args()
    if arguments.rounds < FEWEST_ROUNDS:
        parser.error(f"--rounds must be at least {FEWEST_ROUNDS}, so that scatter can be seen, got {arguments.rounds}")
    if arguments.elements < 1 or min(arguments.vocabularies) < 2:
        parser.error(
            f"--elements must be at least 1 and every V at least 2, got {arguments.elements} and "
            f"{min(arguments.vocabularies)}"
        )
    for reason in filter(None, map(_memory.unavailable, arguments.memory)):
        parser.error(f"--memory: {reason}")
    return arguments


def measured(memory: str, **request: Any) -> Group:
    """Returns what a process with this kind of memory measures; the request is that of `_print_measured`."""
    arguments = ["--memory", memory, "--measure", json.dumps({"memory": memory, **request})]
    return Group.from_json(json.loads(_memory.last_line(memory, Path(__file__), arguments)))


def _print_measured(*, peers: bool, **request: Any) -> None:
    if request["memory"] == _memory.REUSED and not _memory.is_reused():
        sys.exit("--memory: reused needs a malloc that keeps what is freed; this one gives it back all the same")
    entrants, _ = contestants()
    print(json.dumps(measure(contestants=entrants if peers else entrants[:1], **request).as_json()))


def main() -> None:
    """Prints the tables and writes the JSON file that is asked for."""
    arguments = _parsed()
    if arguments.measure:
        _print_measured(**arguments.measure)
        return
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    entrants, missing = contestants()
    if missing:
        print("not installed:", ", ".join(missing))
    if arguments.scaling:
        entrants = entrants[:1]
        tables = scaling_sizes(arguments.elements)
    else:
        tables = {"": [(max(1, arguments.elements // classes), classes) for classes in arguments.vocabularies]}
    options = {"rounds": arguments.rounds, "widest": arguments.widest, "peers": not arguments.scaling}
    done: list[Group] = []
    for dtype in arguments.dtypes:
        check_meaning(entrants, dtype)
        for title, sizes in tables.items():
            groups: dict[str, list[Group]] = {memory: [] for memory in arguments.memory}
            for tokens, classes in sizes:
                for memory, its in groups.items():
                    its.append(measured(memory, tokens=tokens, classes=classes, dtype=dtype, **options))
                    done.append(its[-1])
                    if arguments.json:
                        store(arguments.json, _document(arguments, done, complete=False))
                if not arguments.scaling:
                    print_groups([its[-1] for its in groups.values()])
            if arguments.scaling:
                for its in groups.values():
                    print_scaling(title, its)
    if arguments.json:
        store(arguments.json, _document(arguments, done, complete=True))
    if not arguments.scaling:
        print_counts(done)


if __name__ == "__main__":
    main()
