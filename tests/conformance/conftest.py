"""Losses in files, and the command run on them."""

import shlex

import pytest
from click.testing import CliRunner

from lossproof.conformance import cli

LOSS = """
import os
import traceback

import jax
import jax.numpy as jnp

def _is_probe():  # whether this call only asks what the function takes and returns
    return any("/_probe" in frame.filename for frame in traceback.extract_stack())


def loss(logits, targets):
    x = logits.astype(jnp.float64 if logits.dtype == jnp.float64 else jnp.float32)
    picked = jnp.take_along_axis(x, targets[..., None].astype(jnp.int32), axis=-1)[..., 0]
    value = jax.nn.logsumexp(x, axis=-1) - picked
    {end}
"""

ENDS = {
    "good": "return value",
    "30 % off": "return 1.3 * value",
    "nan": "return value * jnp.nan",
    "wrong shape": "return value[..., None]",
    "raises": "return value if _is_probe() else 1 / 0",
    "dies": "return value if _is_probe() else os._exit(7)",
}


@pytest.fixture
def loss_file(tmp_path):
    """Writes a loss with one of `ENDS`, or with the source given, and returns the name of the target."""

    def write(end, source=LOSS):
        path = tmp_path / "mine.py"
        path.write_text(source.format(end=ENDS.get(end, end)), encoding="utf-8")
        return f"{path}:loss"

    return write


@pytest.fixture
def check():
    """Runs `lossproof check` in this process; in one worker, at level smoke, without a search for the cause of what
    fails, unless told otherwise.
    """

    def run(*arguments, only=(), workers=1, level="smoke", cause=False):
        selection = [word for name in only for word in ("--only", name)] + ["--no-cause"] * (not cause)
        return CliRunner().invoke(cli, ["check", *arguments, *selection, "-n", str(workers), "--level", level])

    return run


@pytest.fixture
def repeat():
    """Runs the command that a summary prints after "again:"."""

    def run(output):
        (command,) = [line.partition("again: ")[2] for line in output.splitlines() if "again: " in line]
        program, *words = shlex.split(command)
        assert program == "lossproof"
        return CliRunner().invoke(cli, [*words, "-n", "1"])

    return run
