"""The command `compare`."""

from pathlib import Path

import click

from lossproof._files import replace_file
from lossproof.conformance.command.console import fail_usage, refuse_unwritable, wide_console
from lossproof.conformance.report import DocumentError, read
from lossproof.conformance.report.compare import compare, compare_html


@click.command("compare")
@click.argument("results", nargs=-1, required=True, metavar="RESULT...", type=click.Path(path_type=Path))
@click.option("--html", "page", metavar="FILE", type=click.Path(path_type=Path), help="Write a page, too.")
def compare_command(results: tuple[Path, ...], page: Path | None) -> None:
    """Puts results side by side: verdicts, grades and clauses of several targets.

    RESULT is a folder that `lossproof check --report` wrote, or the result.json in it. Exit codes: 0 compared, 2 usage.
    """
    try:
        documents = [read(path / "result.json" if path.is_dir() else path) for path in results]
    except DocumentError as error:
        fail_usage(str(error))
    if page is not None:
        refuse_unwritable(page)
        replace_file(page, compare_html(documents))
    wide_console().print(compare(documents))
