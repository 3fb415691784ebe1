"""What compilers for TPUs and GPUs make of the losses, without a TPU or a GPU.

    pip install -e '.[test,tpu,cuda]'
    python benchmarks/accelerators.py --jobs 2 --json accelerators.json
    python benchmarks/accelerators.py --platforms v5e H200 --meshes --vocabularies 32128
    python benchmarks/accelerators.py --table benchmarks/results/accelerators.json

Nothing is run: lossproof, t5x's formula and optax are compiled for one device of each platform, and for meshes of TPUs
with the tokens, V or both sharded. What could not be compiled has a line that says why, and the others are compiled
nevertheless. --json FILE is written after each group of programs; with --resume what is there is not compiled again.

"transfers" is what a device reads and writes, as a multiple of its part of the logits; "temp" is what it allocates
besides arguments and results, in percent of that; "per token" is the bytes that it receives for each token it has;
"GFLOP" and "Mcycle" are the compilers' own estimates. --table puts tables of a stored run into benchmarks/README.md.
"""

import argparse
import importlib.metadata
import itertools
import json
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _absent_devices
from _accelerator_goals import BOTH, DTYPES, Comparison, Compiled, comparisons
from _accelerator_table import markdown, put
from _compiled_losses import ARGUMENT, COMPARED, PRODUCT, Group, Request, measure
from _contestants import SMOOTHED
from _report import machine, show, store
from _workers import Refused, Worker

VOCABULARIES = [32128, 50257, 128256, 151936, 262144]
OF_PRODUCTS = [50257, 128256]  # more would say the same again
MESHES = ["v5e:4x4", "v5e:16x16", "v5p:8x8x4"]
CONTESTANTS = ["lossproof", "t5x", "optax"]
PLACEMENTS = ["tokens", "vocabulary", "both"]
COMPILERS = ("libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin")
README = Path(__file__).with_name("README.md")


def tokens_of(classes: int, mesh: tuple[int, int], elements: int) -> int:
    """The N, 2^k for each shard of the tokens, that gives a device about this many logits."""
    return mesh[0] * 2 ** max(0, round(math.log2(elements * mesh[1] / classes)))


def groups_of(options: argparse.Namespace) -> tuple[list[Group], list[str]]:
    """What is to be compiled for, and what is left out because a mesh does not divide it."""
    places: list[tuple[str, tuple[int, int]]] = []
    for name in options.platforms:
        places.append((_absent_devices.TPUS.get(name, name), (1, 1)))
        for topology in options.meshes:
            if _absent_devices.platform(topology) == name:
                n = _absent_devices.count(topology)
                side = 2 ** (n.bit_length() // 2)
                shapes = {"tokens": (n, 1), "vocabulary": (1, n), "both": (side, n // side)}
                places += [(topology, shapes[placement]) for placement in options.placements]
    groups, left_out = [], []
    for (topology, mesh), dtype, classes in itertools.product(places, options.dtypes, options.vocabularies):
        tokens = options.tokens * mesh[0] if options.tokens else tokens_of(classes, mesh, options.elements)
        group = Group(topology, mesh, ARGUMENT, tokens, classes, dtype)
        if classes % mesh[1]:
            left_out.append(f"{group.where}, V = {classes}: {mesh[1]} devices do not divide it")
        elif ARGUMENT in options.sources:
            groups.append(group)
        if PRODUCT in options.sources and mesh == (1, 1) and classes in OF_PRODUCTS:
            groups.append(Group(topology, mesh, PRODUCT, tokens, classes, dtype))
    return groups, list(dict.fromkeys(left_out))


def requests_of(group: Group, contestants: Iterable[str], settings: Iterable[str]) -> list[Request]:
    """What is compiled in a group; of products, what has the most to do."""
    return [
        Request(name, setting, mode)
        for setting in settings
        if group.source == ARGUMENT or setting == SMOOTHED
        for name in COMPARED[setting]
        if name in contestants
        for mode in BOTH
    ]


def compile_all(work: Iterable[tuple[Group, list[Request]]], jobs: int, limit: float) -> Iterator[Compiled]:
    """Yields each group when it is done."""
    own = threading.local()
    workers = []

    def compiled(group: Group, requests: list[Request]) -> Compiled:
        if not hasattr(own, "worker"):
            own.worker = Worker(measure, limit)
            workers.append(own.worker)
        programs = {}
        for request in requests:
            try:
                programs[request] = own.worker(group, request)
            except Refused as reason:
                programs[request] = {"error": str(reason)}
        return group, programs

    threads = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([threads.submit(compiled, *each) for each in work]):
            yield future.result()
    finally:
        threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()


def print_group(group: Group, programs: dict[Request, dict[str, Any]]) -> None:
    """Prints a line for each program."""
    columns = [
        "",
        "transfers",
        "temp",
        "kernels",
        "collectives",
        "per token",
        "GFLOP",
        "Mcycle",
        "trace",
        "lower",
        "compile",
    ]
    rows, errors = [], []
    for request, program in programs.items():
        name = " ".join(request)
        if "error" in program:
            rows.append([name, "not compiled", *[""] * (len(columns) - 2)])
            errors.append(f"{name}: {program['error']}")
            continue
        rows.append(
            [
                name,
                f"{program['transfers']:.3f}",
                f"{program['temporaries']:.1%}",
                str(program["kernels"]),
                ", ".join(f"{n} {kind}" for kind, n in program["collectives"].items()),
                f"{program['bytes_per_token']:.1f}",
                *("" if program[key] is None else f"{program[key] / 10**power:.2f}" for key, power in _ESTIMATES),
                *(f"{program['seconds'][part]:.2f} s" for part in ("trace", "lower", "compile")),
            ]
        )
    source = "" if group.source == ARGUMENT else ", logits are a product"
    show(f"{group.where}: V = {group.classes}, N = {group.tokens}, {group.dtype}{source}", columns, rows)
    for error in errors:
        print(error)


_ESTIMATES = (("flops", 9), ("cycles", 6))


def print_goals(found: Sequence[Comparison]) -> None:
    """Prints each goal and whether it was met, then their numbers."""
    rows = [
        [
            f"{each.of}, {each.mode}",
            each.where,
            each.dtype or "all",
            "all" if each.classes is None else str(each.classes),
            "not compiled" if each.value is None else f"{each.value:.3f}",
            f"{each.at_most:g}",
            each.verdict,
        ]
        for each in found
    ]
    show("goals: lossproof, smoothed", ["", "where", "type", "V", "found", "at most", ""], rows)
    verdicts = [each.verdict for each in found]
    print(f"goals: {verdicts.count('met')} met, {verdicts.count('missed')} missed")


def versions() -> dict[str, str | None]:
    """Those of the compilers."""
    found: dict[str, str | None] = {}
    for name in COMPILERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def stored(compiled: Sequence[Compiled]) -> list[dict[str, Any]]:
    """The groups as JSON has them."""
    return [
        {**asdict(group), "where": group.where, "programs": [{**r._asdict(), **p} for r, p in programs.items()]}
        for group, programs in compiled
    ]


def restored(groups: Iterable[dict[str, Any]]) -> list[Compiled]:
    """The groups as `stored` was given them."""
    found = []
    for each in groups:
        fields = {name: each[name] for name in ("topology", "source", "tokens", "classes", "dtype")}
        programs = {
            Request(*(program[name] for name in Request._fields)): {
                name: value for name, value in program.items() if name not in Request._fields
            }
            for program in each["programs"]
        }
        found.append((Group(mesh=tuple(each["mesh"]), **fields), programs))
    return found


def resumed(path: Path) -> list[Compiled]:
    """What a file has, without what could not be compiled.

    Raises:
      ValueError: it is of other versions, whose numbers must not be mixed with these.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    for what, here in (("compilers", versions()), ("machine", machine())):
        there = document[what]
        if there != here:
            raise ValueError(f"{path} is of another {what}, {there}; here it is {here}")
    return [each for each in restored(document["groups"]) if not any("error" in p for p in each[1].values())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Compiles everything, or writes the tables of a stored run."""
    options = _options(arguments)
    if options.table is not None:
        document = json.loads(options.table.read_text(encoding="utf-8"))
        put(README, markdown(restored(document["groups"]), (goal["verdict"] for goal in document["goals"])))
        return
    missing = _absent_devices.missing(options.platforms)
    for names, reason in missing.items():
        print(f"{names}: not compiled: {reason}")
        options.platforms = [name for name in options.platforms if name not in names.split(", ")]
    groups, left_out = groups_of(options)
    for each in left_out:
        print(f"left out: {each}")
    # What is not asked for this time is kept, too.
    done = dict(resumed(options.json)) if options.resume and options.json.exists() else {}
    work = []
    for group in groups:
        requests = requests_of(group, options.contestants, options.settings)
        left = [request for request in requests if request not in done.get(group, {})]
        if left:
            work.append((group, left))
    head = {"machine": machine(), "compilers": versions(), "left_out": left_out, "missing": missing}

    def save(*, complete: bool) -> None:
        if options.json is not None:
            goals = [each.stored() for each in comparisons(in_order())]
            store(options.json, {**head, "complete": complete, "goals": goals, "groups": stored(in_order())})

    def in_order() -> list[Compiled]:
        return [(group, done[group]) for group in dict.fromkeys([*groups, *done]) if group in done]

    _absent_devices.set_environment()
    for group, programs in in_order():
        print_group(group, programs)
    for group, programs in compile_all(work, options.jobs, options.limit):
        print_group(group, programs)
        done[group] = done.get(group, {}) | programs
        save(complete=False)
    save(complete=True)
    print_goals(comparisons(in_order()))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = _absent_devices.PLATFORMS
    parser.add_argument(
        "--platforms", nargs="+", choices=names, default=list(names), metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--meshes", nargs="*", default=MESHES, metavar="TOPOLOGY", help=f"default: {' '.join(MESHES)}")
    parser.add_argument("--placements", nargs="+", choices=PLACEMENTS, default=PLACEMENTS, help="what a mesh shards")
    parser.add_argument("--vocabularies", nargs="+", type=int, default=VOCABULARIES, metavar="V")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--settings", nargs="+", choices=list(COMPARED), default=list(COMPARED))
    parser.add_argument("--sources", nargs="+", choices=(ARGUMENT, PRODUCT), default=(ARGUMENT, PRODUCT))
    parser.add_argument("--elements", type=int, default=2**28, help="about how many logits a device has")
    parser.add_argument("--tokens", type=int, help="exactly how many tokens a device has instead")
    parser.add_argument("--jobs", type=int, default=1, help="processes that compile")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a program may take")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--resume", action="store_true", help="keep what --json has of these versions; lossproof is none"
    )
    parser.add_argument("--table", type=Path, metavar="JSON", help="only write the tables of a stored run")
    options = parser.parse_args(arguments)
    for name in ("elements", "tokens", "jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if min(options.vocabularies) < 2:
        parser.error(f"every V must be at least 2, got {min(options.vocabularies)}")
    if options.resume and options.json is None:
        parser.error("--resume needs --json")
    for topology in options.meshes:
        try:
            n = _absent_devices.count(topology)
        except ValueError as error:
            parser.error(f"--meshes: {error}")
        if n & (n - 1):
            parser.error(f"--meshes takes 2^k devices, got {topology} with {n}")
    return options


if __name__ == "__main__":
    main()
