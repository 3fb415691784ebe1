"""The command `compare`."""

from pathlib import Path

import click
from rich.console import Console

from lossproof.conformance.report._compare import compare, compare_html
from lossproof.conformance.report._schema import DocumentError, read


class _Refused(click.ClickException):
    """Ends the command with one line, as usage errors do."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Prints the line."""
        click.echo(f"lossproof: {self.message}", err=True)


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
        raise _Refused(str(error)) from None
    if page is not None:
        try:
            page.write_text(compare_html(documents), encoding="utf-8")
        except OSError as error:
            raise _Refused(f"{page} cannot be written: {error.strerror}") from None
    Console(soft_wrap=True, width=max(110, Console().width)).print(compare(documents))
