"""`lossproof check`."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lossproof.conformance.command._output import OutputError
from lossproof.conformance.command._plan import Plan
from lossproof.conformance.command.console import fail_usage
from lossproof.conformance.command.expectations.expectations import ExpectationError
from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.judging.result import BREACHES, Result
from lossproof.conformance.running.cluster import ClusterError, run_on_cluster
from lossproof.conformance.running.request import MEMORY, PROGRAM, TIMEOUTS, Request
from lossproof.conformance.running.runner import run
from lossproof.conformance.running.selection import LEVELS, SelectionError, parse_dtypes
from lossproof.conformance.running.summary import INTERNAL_ERROR, INTERRUPTED
from lossproof.conformance.targets import TargetError
from lossproof.golden import GoldenError

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.fields[failed]}"),
)
_TIMES = ", ".join(f"{seconds:g} at {level}" for level, seconds in TIMEOUTS.items())


@click.command()
@click.argument("target", default="lossproof")
@click.option("--exec", "program", metavar="CMD", help="The target is a program that speaks docs/exec-protocol.md.")
@click.option("--level", type=click.Choice(LEVELS), default="standard", show_default=True, help="How hard to search.")
@click.option("--only", multiple=True, metavar="WHAT", help="A unit, check, group or clause; may be repeated.")
@click.option(
    "--dtypes",
    default="",
    metavar="TYPES",
    callback=lambda _context, _parameter, text: parse_dtypes(text),
    help=f"Only logits of these types, as in float32,bfloat16; of {', '.join(DTYPES)}.",
)
@click.option("--fail-fast", is_flag=True, help="End with the first failure; what is left is not run.")
@click.option(
    "--cause/--no-cause",
    default=True,
    help="Whether a known defect is looked for that explains failures.  [default: yes]",
)
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
    help="What it computes: others or uniform; entropy or no-entropy; z-loss or no-z-loss; ignore_index=NUMBER.",
)
@click.option("--profile", default="jax-cpu", show_default=True, metavar="NAME", help="The platform that it runs on.")
@click.option("--expect", type=click.Path(path_type=Path), metavar="FILE", help="Failures that are expected, and why.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where to write result.json, junit.xml and report.html; an interrupted run goes on from there.",
)
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help=f"For each unit.  [default: {_TIMES}]"
)
@click.option(
    "--memory",
    type=click.FloatRange(0, min_open=True),
    default=MEMORY,
    show_default=True,
    metavar="GIB",
    help="That a process may hold.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Run on the workers of this Dask scheduler instead.")
@click.option("--resource", multiple=True, metavar="NAME", help="A Dask resource that each unit takes, such as GPU.")
def check(
    target: str,
    program: str | None,
    expect: Path | None,
    report: Path | None,
    scheduler: str | None,
    resource: tuple[str, ...],
    **settings: Any,
) -> None:
    """Checks TARGET against the specification.

    TARGET is lossproof (the default) or another name from `lossproof targets`; or module:function or file.py:function;
    or module: or file.py: for all of the specification's functions that the module has under their own names.

    Exit codes: 0 it conforms, 1 it does not, 2 usage, 3 nothing is broken, but the suite failed or judged too little.
    """
    if program is not None:
        given = click.get_current_context().get_parameter_source("target")
        if given is not click.core.ParameterSource.DEFAULT:
            fail_usage(f"give a target or --exec, not both: got {target!r} and {program!r}")
        target = f"{PROGRAM}{program}"
    request = Request(target, **settings)
    errors = Console(stderr=True)
    try:
        plan = Plan.made(request, expect, report)
    except (TargetError, SelectionError, ExpectationError, OutputError) as error:
        fail_usage(str(error))
    except GoldenError as error:
        click.echo(f"lossproof: {error}", err=True)
        sys.exit(INTERNAL_ERROR)
    stop = plan.stop
    with plan.output as output:
        finished = dict(output.finished)
        left = {unit: clauses for unit, clauses in plan.units.items() if unit not in finished}
        kept = f", {len(finished)} kept from before" if finished else ""
        where = f"on {scheduler}" if scheduler else f"{request.workers} processes"
        errors.print(
            f"checking {target} at level {request.level}: {len(plan.units)} units{kept}, {where}, seed {request.seed}",
            soft_wrap=True,
        )
        try:
            with _progress(errors, len(left)) as advance:

                def keep(result: Result) -> None:
                    output.keep(result)
                    finished[result.unit] = result
                    advance(result)

                if scheduler and not any(map(stop, finished.values())):
                    run_on_cluster(request, left, keep, scheduler, resource, stop)
                results = run(request, keep, dict(finished), stop)
        except KeyboardInterrupt:
            errors.print(f"lossproof: interrupted, so there is no verdict{output.advice}", soft_wrap=True)
            sys.exit(INTERRUPTED)
        except ClusterError as error:
            click.echo(f"lossproof: {error}{output.advice}", err=True)
            sys.exit(INTERNAL_ERROR)
        sys.exit(plan.concluded(results, output))


@contextlib.contextmanager
def _progress(console: Console, total: int) -> Iterator[Any]:
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task("units", total=total, failed="")
        failures: list[str] = []

        def advance(result: Result) -> None:
            failures.extend([result.unit] if result.verdict in BREACHES else [])
            progress.update(task, advance=1, failed=f"{len(failures)} failed" if failures else "")

        yield advance
