"""The `lossproof` command."""

import click

from lossproof.conformance.command._check import check
from lossproof.conformance.command._compare import compare_command
from lossproof.conformance.command._explain import explain
from lossproof.conformance.command._mutants import mutants
from lossproof.conformance.command._targets import targets
from lossproof.conformance.command.console import fail_usage
from lossproof.conformance.running.selection import LEVELS, SelectionError, parse_dtypes, selected_units
from lossproof.golden import cli as golden_cli


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lossproof")
def cli() -> None:
    """A softmax cross-entropy whose every digit is accounted for, and the suite that proves it."""


@cli.command()
@click.option("--only", multiple=True, metavar="WHAT", help="A unit, check, group or clause; may be repeated.")
@click.option("--level", type=click.Choice(LEVELS), default="standard", show_default=True, help="Whose units.")
@click.option("--dtypes", default="", metavar="TYPES", help="Only logits of these types, as in float32,bfloat16.")
def units(only: tuple[str, ...], level: str, dtypes: str) -> None:
    """Lists the units that `check` runs, with their clauses."""
    try:
        for unit in selected_units(only, level, parse_dtypes(dtypes)):
            click.echo(f"{unit.id}  {' '.join(unit.check.clauses)}")
    except SelectionError as error:
        fail_usage(str(error))


for _command in (check, compare_command, explain, golden_cli, mutants, targets):
    cli.add_command(_command)
