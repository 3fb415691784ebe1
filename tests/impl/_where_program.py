"""The columns that need several devices, as a program of its own: how many there are is settled when jax starts.

    python tests/impl/_where_program.py DIRECTORY

reads cells, a line of JSON each: [table, column, row, shape, dtype]. For each it writes a line: "" when the results are
in DIRECTORY/results.npz, else the error, as JSON.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np

DEVICES = 8


def main(directory: Path) -> None:
    """Runs cells as they come, until there are no more."""
    import jax

    jax.config.update("jax_num_cpu_devices", DEVICES)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    warnings.simplefilter("error")

    import _where_classes
    import _where_meshes
    from _where_rows import ROWS, batch_of

    tables = {"meshes": _where_meshes.COLUMNS, "classes": _where_classes.COLUMNS | _where_classes.OTHERS}
    for line in sys.stdin:
        table, column, name, shape, dtype = json.loads(line)
        try:
            results = tables[table][column].run(ROWS[name], batch_of(ROWS[name], tuple(shape), dtype))
            arrays = {key: np.asarray(value) for key, value in results.items()}
        except Exception as error:  # noqa: BLE001 - that a cell fails is a result
            answer = f"{type(error).__name__}: {error}"
        else:
            # NumPy's files have no bfloat16; its numbers are float32 numbers.
            types = {key: value.dtype.name for key, value in arrays.items()}
            arrays = {
                key: value.astype(np.float32) if types[key] == "bfloat16" else value for key, value in arrays.items()
            }
            np.savez(directory / "results.npz", **arrays)
            (directory / "types.json").write_text(json.dumps(types), encoding="utf-8")
            answer = ""
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
