"""Kills `lossproof golden regenerate` with SIGKILL, again and again, and looks at what is left.

    python tests/golden/kill_regeneration.py --kills 20

A whole set must be left every time: the old one or the new one, byte for byte. Exit status 0 if so, and if both were
seen.
"""
# ruff: noqa: T201 - a script speaks to its reader

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lossproof import golden
from lossproof.golden import _files, _regenerate, _work
from lossproof.golden._read import read_topic, render_topic

KEPT, CHANGED, DROPPED, ADDED = "special_states", "start_values", "excluded_tokens", "t5x_differences"
DEFINED = (KEPT, CHANGED, ADDED)
PAUSE = 0.02  # seconds before and after each step of the publication, so that a kill can fall into it
PUBLICATION = {"fsync": os, "replace": Path, "unlink": Path}

Contents = dict[str, bytes]


def child(directory: Path) -> None:
    """`lossproof golden regenerate` with a line on stdout before each step; the publication takes its time."""

    def announced(name: str, step: Callable[..., Any], pause: float) -> Callable[..., Any]:
        def slow(*arguments: Any) -> Any:
            print("step", name, *(argument.name for argument in arguments if isinstance(argument, Path)), flush=True)
            time.sleep(pause)
            result = step(*arguments)
            time.sleep(pause)
            return result

        return slow

    _work.answer = announced("answer", _work.answer, 0)
    for name, owner in PUBLICATION.items():
        setattr(owner, name, announced(name, getattr(owner, name), PAUSE))
    for name in set(_regenerate.TOPICS) - {*DEFINED}:
        del _regenerate.TOPICS[name]
    golden.cli(["regenerate", "--directory", str(directory)])


def regenerate(directory: Path, after: int | None = None, wait: float = 0.0) -> list[str]:
    """Runs the child, to its end or until it is killed.

    Args:
      directory: the set.
      after: the number of the step at which it is killed; None for never.
      wait: seconds after that step has begun.

    Returns:
      The steps that it began.
    """
    steps = []
    command = [sys.executable, __file__, "--child", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step ") and line.endswith("\n"):
                steps.append(line.removeprefix("step ").strip())
            if len(steps) - 1 == after and process.poll() is None:
                time.sleep(wait)
                process.kill()
    if after is None and process.returncode != 0:
        raise SystemExit(f"expected regenerate to end with exit status 0, got {process.returncode}")
    return steps


def old_set(directory: Path) -> None:
    """Writes a set in which a topic lacks a case, one is no more defined and one is not there yet."""
    shipped = _files.read_manifest(_files.VECTORS)
    contents = {f"{name}.json": shipped.content(f"{name}.json") for name in (KEPT, CHANGED, DROPPED)}
    topic = read_topic(contents[f"{CHANGED}.json"], f"{CHANGED}.json")
    contents[f"{CHANGED}.json"] = render_topic(replace(topic, questions=topic.questions[:-1]))
    cases = {name: shipped.files[name].cases - (name == f"{CHANGED}.json") for name in contents}
    directory.mkdir()
    _files.replace_set(directory, contents, cases)


def loaded(directory: Path) -> Contents:
    """Returns the files of a set as a reader finds them; raises a GoldenError if it does not load."""
    golden.load(directory=directory)
    manifest = _files.read_manifest(directory)
    return {name: manifest.content(name) for name in manifest.files}


def outcome(directory: Path, old: Contents, new: Contents) -> str:
    """Returns "old" or "new", or what is wrong with the set."""
    try:
        found = loaded(directory)
    except golden.GoldenError as error:
        return f"broken ({error})"
    return "old" if found == old else "new" if found == new else "a mixture"


def moments(steps: list[str], kills: int, draw: random.Random) -> list[tuple[int, float]]:
    """Returns for each kill a step and the seconds after its beginning: one in four among the answers, the
    others in the publication.
    """
    publication = next(i for i, step in enumerate(steps) if not step.startswith("answer"))
    spread = kills - kills // 4
    chosen = [publication + int((i + draw.random()) / spread * (len(steps) - publication)) for i in range(spread)]
    chosen += [draw.randrange(publication) for _ in range(kills // 4)]
    return [(step, draw.uniform(0, 2 * PAUSE)) for step in chosen]


def main(kills: int, seed: int) -> int:
    """Returns the exit status."""
    draw = random.Random(seed)  # noqa: S311 - moments, not secrets
    with tempfile.TemporaryDirectory() as scratch:
        directory, origin = Path(scratch) / "vectors", Path(scratch) / "old"
        old_set(origin)
        shutil.copytree(origin, directory)
        old, steps = loaded(origin), regenerate(directory)
        new = loaded(directory)
        left = []
        for after, wait in moments(steps, kills, draw):
            shutil.rmtree(directory)
            shutil.copytree(origin, directory)
            begun = regenerate(directory, after, wait)
            left.append(outcome(directory, old, new))
            where = f"{wait * 1000:.0f} ms into step {len(begun)} of {len(steps)} ({begun[-1]})"
            print(f"killed {where}: {left[-1]}, {len(list(directory.glob('*.next')))} files staged")
        regenerate(directory)
        healed = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"} == new
    print(f"{kills} kills left {left.count('old')} old and {left.count('new')} new sets; finished later: {healed}")
    return 0 if set(left) == {"old", "new"} and healed else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: %(default)s)")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
    sys.exit(main(options.kills, options.seed))
