"""Makes rows.json anew."""

from pathlib import Path

from lossproof.conformance.coverage.stored import ROWS, written

if __name__ == "__main__":
    written(Path(__file__).with_name(ROWS))
