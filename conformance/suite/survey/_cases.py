"""What a survey looks at: always the same tokens, so that any two targets, and any two runs, can be compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.judging.draw import generator, make
from lossproof.reference.bounds import unit_in_last_place
from lossproof.spec import TOKEN

LEADS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
OFFSETS = (0.0, 100.0, -100.0, 1e3, 1e4, 1e6)
SPREADS = (1.0, 3.0, 0.1, 20.0)  # of the logits around a common offset

# Numbers of classes; a target in JAX is compiled for each. The reference for float64 takes a fraction of a millisecond
# a logit, the other types have a fast oracle.
CLASSES: Mapping[str, tuple[int, ...]] = {
    "smoke": (3, 257),
    "standard": (2, 257, 32128),
    "exhaustive": (2, 3, 16, 257, 4096, 32128, 128256),
}
CLASSES_OF_FLOAT64: Mapping[str, tuple[int, ...]] = {
    "smoke": (3, 16),
    "standard": (2, 64),
    "exhaustive": (2, 3, 16, 257),
}
FEW = 300  # classes up to which there are several tokens of each kind


@dataclass(frozen=True)
class Batch:
    """Tokens of one number of classes.

    Attributes:
      tokens: the case, with hard targets: what the others are made from.
      leads: by how much the target leads all other classes, one number a token; nan where that was not asked for.
      offsets: the common offset of the logits; nan where that was not asked for.
    """

    tokens: Case
    leads: Array
    offsets: Array

    @property
    def classes(self) -> int:
        """V"""
        return int(self.tokens.logits.shape[-1])


def batches(dtype: str, level: str) -> Iterator[Batch]:
    """One batch for each number of classes."""
    for classes in (CLASSES_OF_FLOAT64 if dtype == "float64" else CLASSES)[level]:
        yield _batch(dtype, classes)


def _batch(dtype: str, classes: int) -> Batch:
    rng = generator(classes)
    kinds = [(lead, np.nan) for lead in LEADS]
    kinds += [(np.nan, offset) for offset in OFFSETS if _tells_apart(offset, dtype)]
    spreads = SPREADS if classes <= FEW else SPREADS[:1]
    rows, targets = [], []
    for spread in spreads:
        for lead, offset in kinds:
            target, row = int(rng.integers(classes)), spread * rng.normal(size=classes)
            if np.isnan(offset):
                row[target] = np.max(np.delete(row, target)) + lead
            else:
                row += offset
            rows.append(row)
            targets.append(target)
    leads, offsets = np.array(kinds * len(spreads)).T
    return Batch(make(TOKEN, dtype, rows, targets), leads, offsets)


def _tells_apart(offset: float, dtype: str) -> bool:
    """Whether logits around the offset still differ after rounding to the type."""
    return bool(unit_in_last_place(np.abs(offset), dtype) < 1)
