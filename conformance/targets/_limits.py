"""What calls a target takes: its limits, which it is held to and never charged beyond."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import Case


class Unsupported(Exception):
    """The target does not offer what a check needs; the reason is the message."""


class OutsideLimits(Unsupported):
    """The target does not say that it takes this call."""


@dataclass(frozen=True)
class Range:
    """Which numbers of classes or tokens are taken.

    Attributes:
      multiple_of: what divides them.
      at_least, at_most: the least and the largest; None if there is none.
    """

    multiple_of: int = 1
    at_least: int = 0
    at_most: int | None = None

    def has(self, number: int) -> bool:
        """Whether it is one of them."""
        small_enough = self.at_most is None or number <= self.at_most
        return number % self.multiple_of == 0 and self.at_least <= number and small_enough

    def nearest(self, number: int) -> int:
        """The least of them that is not below `number`; or the largest, where none is."""
        step = self.multiple_of
        found = -(-max(number, self.at_least) // step) * step
        return found if self.at_most is None or found <= self.at_most else self.at_most // step * step

    def words(self, letter: str) -> str:
        """The range in words; "" of all numbers."""
        parts = [f"multiples of {self.multiple_of}"] if self.multiple_of > 1 else []
        parts += [f"{self.at_least} at least"] if self.at_least > 1 else []
        parts += [] if self.at_most is None else [f"{self.at_most} at most"]
        return f"{letter} that are {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Limits:
    """Which calls a target takes, of those that the specification has.

    Attributes:
      classes: of V.
      tokens: of N.
      ranks: how many axes of tokens a batch may have; () for any number.
      targets: the types of class numbers; () for all.
      masks: whether weights are 0 or 1, and given as bool.
    """

    classes: Range = field(default_factory=Range)
    tokens: Range = field(default_factory=Range)
    ranks: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()
    masks: bool = False

    @property
    def words(self) -> str:
        """The limits in words; "" without any."""
        ranks = " or ".join(map(str, self.ranks))
        parts = [
            self.classes.words("V"),
            self.tokens.words("N"),
            f"batches of rank {ranks}" if ranks else "",
            f"targets of type {', '.join(self.targets)}" if self.targets else "",
            "weights that are 0 or 1" if self.masks else "",
        ]
        return "; ".join(filter(None, parts))

    def shape_fits(self, shape: Sequence[int]) -> bool:
        """Whether logits of this shape are taken."""
        *tokens, classes = shape
        fits = self.classes.has(classes) and self.tokens.has(math.prod(tokens))
        return fits and (not self.ranks or len(tokens) in self.ranks)

    def nearest(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape of logits that is taken, as much like this one as can be; this one, if it is taken."""
        if self.shape_fits(shape):
            return tuple(shape)
        *tokens, classes = shape
        wanted = math.prod(tokens)
        count = self.tokens.nearest(wanted)
        rank = len(tokens)
        if self.ranks and rank not in self.ranks:
            rank = min(self.ranks, key=lambda allowed: abs(allowed - rank))
        elif count == wanted:
            return (*tokens, self.classes.nearest(classes))
        # More than one axis: the first two of what they were, if they still divide the tokens.
        first = tokens[0] if rank > 1 and len(tokens) > 1 and count % max(tokens[0], 1) == 0 else count
        axes = [first, count // max(first, 1)] + [1] * max(0, rank - 2)
        return (*(axes[:rank] if rank != 1 else [count]), self.classes.nearest(classes))

    def require_shape(self, shape: Sequence[int]) -> None:
        """Raises OutsideLimits unless logits of this shape are taken."""
        if self.shape_fits(shape):
            return
        *tokens, classes = shape
        needed = []
        if not self.classes.has(classes):
            needed.append(f"V = {classes}")
        if not self.tokens.has(math.prod(tokens)):
            needed.append(f"N = {math.prod(tokens)}")
        if self.ranks and len(tokens) not in self.ranks:
            needed.append(f"a batch of rank {len(tokens)}")
        raise OutsideLimits(f"takes {self.words}; this check needs {', '.join(needed)}")

    def require(self, case: Case) -> None:
        """Raises OutsideLimits unless the call is taken, after `cast`."""
        self.require_shape(case.logits.shape)
        weights = case.inputs.get("weights")
        if self.masks and weights is not None and not _is_mask(np.asarray(weights)):
            raise OutsideLimits(f"takes {self.words}; this check needs others")
        targets = np.asarray(case.inputs["targets"])
        if self.targets and targets.dtype.kind in "iu" and targets.dtype.name not in self.targets:
            raise OutsideLimits(f"takes {self.words}; this check needs {targets.dtype.name}")

    def cast(self, case: Case) -> Case:
        """The same call, masks as bool, and class numbers in a type that is taken, if it holds them."""
        changes: dict[str, Any] = {}
        weights, targets = case.inputs.get("weights"), np.asarray(case.inputs["targets"])
        if self.masks and weights is not None and _is_mask(np.asarray(weights)):
            changes["weights"] = np.asarray(weights) != 0
        if self.targets and targets.dtype == np.int32 and targets.dtype.name not in self.targets:
            fitting = [name for name in self.targets if np.array_equal(targets.astype(name), targets)]
            changes |= {"targets": targets.astype(fitting[0])} if fitting else {}
        return case.with_inputs(**changes) if changes else case

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "words": self.words,
            "classes": asdict(self.classes),
            "tokens": asdict(self.tokens),
            "ranks": list(self.ranks),
            "targets": list(self.targets),
            "masks": self.masks,
        }


def _is_mask(weights: Any) -> bool:
    return bool(np.all((weights == 0) | (weights == 1)))
