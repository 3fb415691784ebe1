"""Things that are alike: what is computed for one holds for all, and sums count it as often as it is there."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Kinds:
    """A row of things, sorted into kinds; a kind is a number, in the order in which they come.

    Attributes:
      of: the kind of each thing.
      first: the first thing of each kind.
      counts: how many things there are of each kind.
    """

    of: Sequence[int]
    first: Sequence[int]
    counts: Sequence[int]

    def spread(self, results: Sequence[T]) -> list[T]:
        """For each thing, the result of its kind: one and the same object for all that are alike."""
        return list(map(results.__getitem__, self.of))

    def samples(self, numbers: Sequence[T]) -> list[T]:
        """For each kind, the number of its first thing."""
        return list(map(numbers.__getitem__, self.first))


def kinds_of(*features: Iterable[Hashable]) -> Kinds:
    """The kinds of things that are alike if they are equal in every feature.

    Args:
      features: each an entry for every thing; numbers are equal whatever their type.

    Example:
      >>> from lossproof.reference._alike import kinds_of
      >>> kinds_of([2.5, 0, 2.5, 2.5], [False, False, False, True])
      Kinds(of=[0, 1, 0, 2], first=[0, 1, 3], counts=[2, 1, 1])
    """
    number: dict[tuple[Hashable, ...], int] = {}
    of = [number.setdefault(thing, len(number)) for thing in zip(*features, strict=True)]
    counts = Counter(of)
    place = dict(zip(reversed(of), reversed(range(len(of))), strict=True))  # the first is written last
    kinds = range(len(number))
    return Kinds(of, first=[place[kind] for kind in kinds], counts=[counts[kind] for kind in kinds])
