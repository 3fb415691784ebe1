"""What a file of cases is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossproof.golden._case import Question
from lossproof.golden._errors import GoldenError


@dataclass(frozen=True)
class Topic:
    """What a file holds.

    Attributes:
      name: the file's name without ".json".
      description: what its cases have in common.
      flags: by flag, what it says.
      origin: where inputs that are not written by hand come from.
      questions: the cases, with or without answers, in the order of the file.
    """

    name: str
    description: str
    flags: Mapping[str, str]
    origin: Mapping[str, Any]
    questions: tuple[Question, ...]

    def __post_init__(self) -> None:
        for question in self.questions:
            for flag in question.flags:
                if flag not in self.flags:
                    problem = f"expected flags that the file explains, got {flag!r}: add its note or remove it"
                    raise GoldenError(f"{self.name}.json: case {question.id}", problem)
