"""Files that are there whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


def replace_file(path: Path, content: str) -> None:
    """Writes a file, UTF-8, so that at any moment the old or the new one is there, whole.

    Raises:
      OSError: the folder is missing, full, or must not be written to; the old file is there as before.
    """
    prefix = f".{path.name}-"
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=prefix, encoding="utf-8", delete=False) as file:
        staged = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            staged.chmod(0o644)
            staged.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                staged.unlink()
            raise
