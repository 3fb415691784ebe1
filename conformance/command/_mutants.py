"""The command `lossproof mutants`."""

import json
import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lossproof._files import replace_file
from lossproof.conformance.command.console import fail_usage, refuse_unwritable, wide_console
from lossproof.conformance.mutants.killers import write_killers
from lossproof.conformance.mutants.matrix import PART, WHOLE, Outcome, idle_clauses, run_all, selected
from lossproof.conformance.mutants.report import line, summary, table, to_json
from lossproof.conformance.running.summary import CONFORMS, DOES_NOT_CONFORM


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "-n", "--workers", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: the cores]"
)
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Also writes the matrix."
)
@click.option(
    "--good-losses",
    type=click.Choice([PART, WHOLE]),
    default=PART,
    show_default=True,
    help="What good losses must pass: all of level standard, which takes hours, or a part: what smoke has about "
    "numbers of the functions that they change.",
)
@click.option("--remember", is_flag=True, help="Writes down which units killed, for the next run to begin with them.")
def mutants(names: tuple[str, ...], workers: int, file: Path | None, good_losses: str, *, remember: bool) -> None:
    """Runs the suite against broken losses, which it must catch, and good ones, which it must let pass.

    NAMES choose some; without, all are run. Exit codes: 0 every clause that a mutant breaks was noticed by a check that
    cites it, no good loss was refused, and (without NAMES) every clause of the specification kills; 1 not so, 2 usage.
    """
    try:
        edits = selected(names)
    except ValueError as error:
        fail_usage(str(error))
    if file is not None:
        refuse_unwritable(file)
    started = time.perf_counter()
    columns = (TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(edits))

        def advance(outcome: Outcome) -> None:
            progress.console.print(line(outcome), soft_wrap=True)
            progress.update(task, advance=1)
            if remember and outcome.killers:
                write_killers({outcome.edit.name: outcome.killers})

        outcomes = run_all(edits, workers, advance, good_losses)
    if file is not None:
        replace_file(file, json.dumps(to_json(outcomes), indent=1) + "\n")
    wide_console().print(table(outcomes))
    click.echo(f"{summary(outcomes)}; {time.perf_counter() - started:.0f} s")
    idle = [] if names else idle_clauses(outcomes)
    if idle:
        click.echo(f"no mutant is killed by {', '.join(idle)}: add one that breaks it, or a check that notices")
    sys.exit(CONFORMS if all(outcome.is_right for outcome in outcomes) and not idle else DOES_NOT_CONFORM)
