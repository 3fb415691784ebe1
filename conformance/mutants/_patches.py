"""Reads edits that are written as patches.

    ## name: CLAUSE-1, CLAUSE-2
    #! declares WORDS
    # What it does wrong, and where it was seen.
     a line of the base, as it is
    -a line that goes
    +a line that comes

The clauses are those that it breaks, the one that says so best first. Of a good loss there are none;
`#! computes differently: FUNCTIONS` says which functions are not the base's, and `#! is the file NAME` that it is no
patch, but a file in `losses/`. What stands above the first name is for the reader of the file.
"""

from importlib.resources.abc import Traversable

from lossproof.conformance.mutants._edit import Edit

_DECLARES, _FUNCTIONS, _FILE = _MARKS = "#! declares ", "#! computes differently: ", "#! is the file "


class PatchError(Exception):
    """A file of patches has something that is none."""


def read_patches(file: Traversable) -> tuple[Edit, ...]:
    """The edits in a file, in its order.

    Raises:
      PatchError: a line is of none of the forms, or an edit changes nothing.
    """
    _, *sections = f"\n{file.read_text('utf-8')}".split("\n## ")
    return tuple(_edit(file.name, *section.split("\n")) for section in sections)


def _edit(file: str, head: str, *lines: str) -> Edit:
    name, _, clauses = head.partition(": ")
    said: dict[str, str] = {}
    story: list[str] = []
    old: list[str] = []
    new: list[str] = []
    for line in "\n".join(lines).rstrip("\n").split("\n"):
        mark, text = line[:1], line[1:]
        told = next((start for start in _MARKS if line.startswith(start)), None)
        if told:
            said[told] = line.removeprefix(told)
        elif line.startswith("# "):
            story.append(line[2:])
        elif mark in ("", " ", "-", "+"):
            old += [] if mark == "+" else [text]
            new += [] if mark == "-" else [text]
        else:
            raise PatchError(f"{file}: {name}: a line begins with #, -, + or a space, got {line!r}")
    if old == new and clauses:
        raise PatchError(f"{file}: {name}: expected lines that begin with - or +, got none that change anything")
    return Edit(
        name,
        tuple(clauses.split(", ")) if clauses else (),
        " ".join(story),
        "\n".join(old),
        "\n".join(new),
        said.get(_DECLARES, ""),
        tuple(said[_FUNCTIONS].split(", ")) if _FUNCTIONS in said else (),
        said.get(_FILE, ""),
    )
