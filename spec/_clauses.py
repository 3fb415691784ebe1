"""The clauses, read from SPEC.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_GROUP = re.compile(r"^## ([A-Z]+): (.+)$", re.MULTILINE)
_CLAUSE = re.compile(r"^- \*\*([A-Z]+-\d+) \((.+?)\)\.\*\* (.+?)(?=\n- \*\*|\n\n|\Z)", re.MULTILINE | re.DOTALL)
_NOTATION = re.compile(r"^    V >= 2.+?(?=\n\n)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Clause:
    """A clause of the specification.

    Attributes:
      id: permanent, as in "VALUE-1".
      title: what it is about, in a few words.
      text: what it says, on one line.
    """

    id: str
    title: str
    text: str

    @property
    def group(self) -> str:
        """The letters of its id, a key of `GROUPS`."""
        return self.id.partition("-")[0]


def read(text: str) -> tuple[Mapping[str, str], Mapping[str, Clause], str]:
    """The titles of the groups, the clauses by id, and the formulas of the notation, as a text like SPEC.md has them.

    Raises:
      ValueError: an id comes twice, is of no group, or is not the next one of its group.
    """
    groups = dict(_GROUP.findall(text))
    clauses: dict[str, Clause] = {}
    last = dict.fromkeys(groups, 0)
    for name, title, said in _CLAUSE.findall(text):
        clause = Clause(name, " ".join(title.split()), " ".join(said.split()))
        if clause.group not in groups:
            raise ValueError(f"{name} is of no group: add a heading '## {clause.group}: ...' above it")
        last[clause.group] += 1
        if name != f"{clause.group}-{last[clause.group]}":
            raise ValueError(
                f"expected {clause.group}-{last[clause.group]}, got {name}: ids have no gap, and none twice"
            )
        clauses[name] = clause
    (notation,) = _NOTATION.findall(text)
    return groups, clauses, notation


GROUPS, CLAUSES, NOTATION = read(resources.files(__package__).joinpath("SPEC.md").read_text("utf-8"))
