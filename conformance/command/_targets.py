"""`lossproof targets`: what can be checked here."""

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lossproof.conformance.targets.adapters import ADAPTERS

_WIDEST = 200

_YOURS = """\
Your own:
  module:function      a function of logits and targets, and perhaps weights: of each token, or of a whole batch
  file.py:function     likewise, of a file
  module:  file.py:    the functions token_cross_entropy, compute_weighted_cross_entropy, cross_entropy_with_logits and
                       get_loss_normalizing_factor_and_weights, as many of them as there are
  --exec COMMAND       a program in any language: docs/exec-protocol.md

The arrays are those of JAX, NumPy or torch. Parameters count by name: logits, targets, weights, label_smoothing,
z_loss, loss_normalizing_factor, or other usual names of these. Whether a batch's number is a mean, and which shapes are
taken, is found out. NumPy functions have values only, unless function_grad returns the gradient of the sum of losses
by the logits. What else there is to know, a module says in a dictionary:

  LOSSPROOF = {"convention": "uniform no-entropy", "dtypes": ["float32"], "outputs": ["loss", "log_z"]}

docs/targets.md has all of it."""


@click.command()
def targets() -> None:
    """Lists the targets that `check` knows by name, and says how to give one of your own.

    Nothing is imported to find out what is installed.
    """
    table = Table("target", "loss", "installed", box=None, pad_edge=False)
    for name, adapter in ADAPTERS.items():
        version = adapter.version
        here = f"{adapter.package} {version}" if version else f"no: pip install {adapter.install or adapter.package}"
        table.add_row(name, escape(adapter.loss), escape(here))
    Console(width=_WIDEST).print(table)  # a row that is cut or folded helps nobody
    click.echo(f"\n{_YOURS}")
