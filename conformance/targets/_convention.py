"""Conventions as words, for command lines and declarations."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lossproof.conformance.targets._target import TargetError
from lossproof.spec import LOSSPROOF, Convention

_WORDS: Mapping[str, Mapping[str, Any]] = {
    "others": {"smoothing": "others"},
    "uniform": {"smoothing": "uniform"},
    "entropy": {"subtract_entropy": True},
    "no-entropy": {"subtract_entropy": False},
    "z-loss": {"add_z_loss": True},
    "no-z-loss": {"add_z_loss": False},
}
_IGNORE = "ignore_index="


def parse_convention(words: str) -> Convention | None:
    """A convention from words such as "uniform no-entropy"; None of none.

    Raises:
      TargetError: an unknown word.
    """
    chosen: dict[str, Any] = {}
    for word in words.split():
        ignored = word.removeprefix(_IGNORE)
        if ignored != word and ignored.removeprefix("-").isdecimal():
            chosen["ignore_index"] = int(ignored)
        elif word in _WORDS:
            chosen |= _WORDS[word]
        else:
            raise TargetError(f"unknown convention {word!r}: choose from {', '.join(_WORDS)}, {_IGNORE}NUMBER")
    return replace(LOSSPROOF, **chosen) if chosen else None


def convention_words(convention: Convention) -> str:
    """The inverse of `parse_convention`; of what few targets have (z-loss, ignored targets) only what departs."""
    words = [convention.smoothing, "entropy" if convention.subtract_entropy else "no-entropy"]
    words += [] if convention.add_z_loss else ["no-z-loss"]
    words += [] if convention.ignore_index is None else [f"{_IGNORE}{convention.ignore_index}"]
    return " ".join(words)
