"""The program with several devices, from the side of the tests."""

import contextlib
import json
import subprocess
import sys

import ml_dtypes  # noqa: F401 - NumPy learns bfloat16 by it
import numpy as np

from . import _where_program


class Devices:
    """Cells run one after the other, as they are asked for."""

    def __init__(self, directory, process):
        self.directory, self.process = directory, process

    def results(self, table, column, row, shape, dtype):
        """The results of a cell by name; what was raised there fails here."""
        self.process.stdin.write(json.dumps([table, column, row, shape, dtype]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the program has ended with {self.process.wait()}"
        error = json.loads(answer)
        assert not error, error
        types = json.loads((self.directory / "types.json").read_text(encoding="utf-8"))
        with np.load(self.directory / "results.npz") as file:
            return {name: file[name].astype(types[name]) for name in file}


@contextlib.contextmanager
def started(directory):
    """The program, until the end of the block."""
    command = [sys.executable, _where_program.__file__, directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Devices(directory, process)
        process.stdin.close()
