"""What makes a mutant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """An edit of the base's text.

    Attributes:
      name: of the mutant.
      clauses: of SPEC.md that it breaks, the one that says so best first; none for a benign variant.
      what: one line about the bug, and where it was seen.
      old: text that is in the base once.
      new: what takes its place.
      declares: the convention that the mutant declares, in the words of `parse_convention`; the specification's own
        without any.
      functions: of SPEC.md that a benign variant computes differently; all of none.
      file: in `losses/`, which a benign variant is instead of an edit.
    """

    name: str
    clauses: tuple[str, ...]
    what: str
    old: str = ""
    new: str = ""
    declares: str = ""
    functions: tuple[str, ...] = ()
    file: str = ""
