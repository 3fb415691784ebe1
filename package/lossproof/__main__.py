"""The `lossproof` command."""

import sys


def main() -> None:
    """Runs the command line of `lossproof.conformance`."""
    try:
        from lossproof.conformance import cli
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "lossproof":
            raise
        sys.exit(
            f"lossproof: the command needs the extra [check], and {error.name!r} is not installed: "
            "pip install 'lossproof[check]'"
        )
    cli()


if __name__ == "__main__":
    main()
