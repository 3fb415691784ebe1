"""The `lossproof` command."""

import os
import sys
import time

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lossproof.conformance._result import FAIL, Result
from lossproof.conformance._run import EXAMPLES
from lossproof.conformance._runner import Request, run
from lossproof.conformance._selection import SelectionError, selected_units
from lossproof.conformance._summary import (
    CONFORMS,
    DOES_NOT_CONFORM,
    INTERNAL_ERROR,
    INTERRUPTED,
    USAGE,
    Summary,
    print_summary,
)
from lossproof.conformance.targets import TargetError, load_target, parse_convention
from lossproof.golden import GoldenError, cli as golden_cli

_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.fields[failed]}"),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lossproof")
def cli() -> None:
    """A softmax cross-entropy whose every digit is accounted for, and the suite that proves it."""


@cli.command()
@click.argument("target", default="lossproof")
@click.option(
    "--level", type=click.Choice(list(EXAMPLES)), default="standard", show_default=True, help="How hard to search."
)
@click.option("--only", multiple=True, metavar="WHAT", help="A unit, check, group or clause; may be repeated.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the search; equal seeds give equal cases."
)
@click.option(
    "-n", "--workers", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: the cores]"
)
@click.option(
    "--convention",
    default="",
    metavar="WORDS",
    help="What the target computes: others or uniform; entropy or no-entropy.",
)
def check(target: str, level: str, only: tuple[str, ...], seed: int, workers: int, convention: str) -> None:
    """Checks TARGET against the specification.

    TARGET is lossproof (the default), optax, optax-dense or torch; or module:function or file.py:function; or
    module: or file.py: for all of the specification's functions that the module has under their own names.

    Exit codes: 0 it conforms, 1 it does not, 2 usage, 3 the suite failed or judged too little.
    """
    request = Request(target, level, seed, only, workers, convention)
    try:
        load_target(target, parse_convention(convention))
        units = selected_units(only)
    except (TargetError, SelectionError) as error:
        fail_usage(str(error))
    except GoldenError as error:
        click.echo(f"lossproof: {error}", err=True)
        sys.exit(INTERNAL_ERROR)
    started = time.perf_counter()
    errors = Console(stderr=True)
    errors.print(f"checking {target} at level {level}: {len(units)} units, {workers} processes, seed {seed}")
    with Progress(*_COLUMNS, console=errors) as progress:
        task = progress.add_task("units", total=len(units), failed="")
        failures: list[str] = []

        def advance(result: Result) -> None:
            failures.extend([result.unit] if result.verdict == FAIL else [])
            progress.update(task, advance=1, failed=f"{len(failures)} failed" if failures else "")

        try:
            summary = Summary(run(request, advance))
        except KeyboardInterrupt:
            errors.print("lossproof: interrupted, so there is no verdict")
            sys.exit(INTERRUPTED)
    print_summary(summary, request, _console(), time.perf_counter() - started)
    sys.exit(summary.exit_code())


@cli.command()
@click.option("--only", multiple=True, metavar="WHAT", help="A unit, check, group or clause; may be repeated.")
def units(only: tuple[str, ...]) -> None:
    """Lists the units that `check` runs, with their clauses."""
    try:
        for unit in selected_units(only):
            click.echo(f"{unit.id}  {' '.join(unit.check.clauses)}")
    except SelectionError as error:
        fail_usage(str(error))


@cli.command()
@click.argument("names", nargs=-1)
@click.option(
    "-n", "--workers", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: the cores]"
)
def mutants(names: tuple[str, ...], workers: int) -> None:
    """Runs the suite against broken losses, which it must catch, and good ones, which it must let pass.

    NAMES choose some; without, all are run. Exit codes: 0 every mutant was killed by a check that cites its clause
    and no good loss was refused, 1 not so, 2 usage.
    """
    from lossproof.conformance.mutants import Outcome, run_all, selected

    try:
        edits = selected(names)
    except ValueError as error:
        fail_usage(str(error))
    errors = Console(stderr=True)
    with Progress(*_COLUMNS, console=errors) as progress:
        task = progress.add_task("mutants", total=len(edits), failed="")

        def advance(_: Outcome) -> None:
            progress.update(task, advance=1)

        outcomes = run_all(edits, workers, advance)
    table = Table("mutant", "verdict", "by", "citing", box=None, pad_edge=False)
    for outcome in outcomes:
        killed = outcome.result
        words = {
            True: "killed" if killed else "passes",
            False: "[bold red]false alarm[/]" if killed else "[bold red]survived[/]",
        }
        cited = [clause for clause in killed.clauses if clause in outcome.edit.clauses] if killed else []
        table.add_row(
            outcome.edit.name, words[outcome.is_right], escape(killed.unit) if killed else "", " ".join(cited)
        )
    _console().print(table)
    broken, good = [o for o in outcomes if o.edit.clauses], [o for o in outcomes if not o.edit.clauses]
    click.echo(
        f"{sum(o.is_right for o in broken)} of {len(broken)} mutants killed; "
        f"{sum(o.is_right for o in good)} of {len(good)} good losses pass"
    )
    sys.exit(CONFORMS if all(outcome.is_right for outcome in outcomes) else DOES_NOT_CONFORM)


def _console() -> Console:
    """Standard output, wide enough for the tables also where it is no terminal."""
    return Console(soft_wrap=True, width=max(110, Console().width))


def fail_usage(message: str) -> None:
    """Ends the command with exit code 2 and one line."""
    click.echo(f"lossproof: {message}", err=True)
    sys.exit(USAGE)


cli.add_command(golden_cli)
