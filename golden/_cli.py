"""The command `golden`: verify, regenerate, show, import-model."""

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import click

from lossproof.golden._errors import GoldenError, SelectionError
from lossproof.golden._files import VECTORS
from lossproof.golden._load import load_files
from lossproof.golden._regenerate import import_model, promote, regenerate
from lossproof.golden._render import render
from lossproof.golden._verify import verify
from lossproof.golden._work import Progress

DIFFERS, BROKEN = 1, 3

directory_option = click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=VECTORS,
    show_default="those of this package",
    help="Where the vectors are.",
)
only_option = click.option("--only", multiple=True, metavar="ID|TOPIC", help="A case or a topic; may be repeated.")
workers_option = click.option(
    "-n", "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that compute."
)


@click.group(name="golden")
def cli() -> None:
    """Golden vectors: exact inputs, answers to 40 digits.

    Exit status: 0 all is right, 1 something differs, 2 wrong usage, 3 the files are broken.
    """


@cli.command("verify")
@only_option
@workers_option
@directory_option
def verify_command(only: tuple[str, ...], workers: int, directory: Path) -> None:
    """Recompute the answers and compare them with the files."""
    with _errors(), _progress("verify") as progress:
        result = verify(only or None, progress, directory=directory, workers=workers)
    for difference in result.differences:
        click.echo(f"differs: {difference}")
    click.echo(f"{result.cases} cases recomputed, {len(result.differences)} differences")
    sys.exit(DIFFERS if result.differences else 0)


@cli.command("regenerate")
@click.option("--check", is_flag=True, help="Write nothing; say what would change, with exit status 1.")
@only_option
@workers_option
@click.option("--scheduler", metavar="ADDRESS", help="Compute on the workers of this Dask scheduler instead.")
@directory_option
def regenerate_command(
    check: bool, only: tuple[str, ...], workers: int, scheduler: str | None, directory: Path
) -> None:
    """Compute the files anew and write those that changed."""
    with _errors(), _cluster(scheduler) as cluster, _progress("regenerate") as progress:
        by = cluster or workers
        changed = regenerate(only or None, check=check, workers=by, progress=progress, directory=directory)
    _report(changed, "differs" if check else "written")
    sys.exit(DIFFERS if check and changed else 0)


@cli.command("show")
@click.argument("case_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As in the file, whole and exact.")
@directory_option
def show_command(case_id: str, as_json: bool, directory: Path) -> None:
    """Print a case, long arrays cut; the beginning of its id will do."""
    with _errors():
        files = load_files(directory=directory)
        found = [(case, stored.topic.flags) for stored in files for case in stored.cases if case.id.startswith(case_id)]
        if len(found) != 1:
            came = f"{len(found)} cases have ids that begin so" if found else "there is no such case"
            raise SelectionError(f"expected the id of one case, got {case_id!r}: {came}; the files have the ids")
    ((case, notes),) = found
    if as_json:
        click.echo(render({"topic": case.topic, **case.to_json()}), nl=False)
        return
    from rich.console import Console

    from lossproof.golden._show import show

    Console(markup=False, highlight=False, emoji=False).print(show(case, notes))


@cli.command("import-model")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@workers_option
@directory_option
def import_command(file: Path, workers: int, directory: Path) -> None:
    """Make the topic language_model of exported logits (examples/train_byte_transformer.py --export FILE)."""
    with _errors(), _progress("import") as progress:
        changed = import_model(file, workers=workers, progress=progress, directory=directory)
    _report(changed, "written")


@cli.command("promote")
@click.argument("file", metavar="RESULT.JSON", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@workers_option
@directory_option
def promote_command(file: Path, workers: int, directory: Path) -> None:
    """Add the worst cases of a conformance result (lossproof check --report) to the topic found_cases."""
    with _errors(), _progress("promote") as progress:
        changed = promote(file, workers=workers, progress=progress, directory=directory)
    _report(changed, "written")


def _report(changed: list[str], what: str) -> None:
    for name in changed:
        click.echo(f"{what}: {name}")
    if not changed:
        click.echo("nothing differs")


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turns what a user can cause into a line on stderr and an exit status."""
    try:
        yield
    except SelectionError as error:
        raise click.UsageError(str(error)) from error
    except (GoldenError, OSError) as error:
        click.echo(f"broken: {error}", err=True)
        sys.exit(BROKEN)


@contextlib.contextmanager
def _cluster(scheduler: str | None) -> Iterator[Executor | None]:
    """The workers of a Dask scheduler; they need this version of lossproof."""
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise SelectionError("--scheduler needs Dask: pip install 'lossproof[cluster]'") from error
    try:
        client = Client(scheduler, timeout="15 s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise SelectionError(f"no scheduler answers at {scheduler}: start one with `dask scheduler`") from error
    with client, client.get_executor(pure=False) as executor:
        yield executor


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Progress | None]:
    """Gives a callback that draws a bar on stderr, or None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total, _: bar.update(task, completed=done, total=total)
