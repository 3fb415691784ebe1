"""Which elements of a gradient are kept where all of them would fill megabytes."""

import heapq

from lossproof.golden._case import Array, Question
from lossproof.golden._recipe import Recipe

LARGEST, SPREAD = 4, 8


def sampled(question: Question) -> tuple[int, ...] | None:
    """Returns the flat indices of the logits gradient that are kept, in increasing order; None for all of them.

    All are, unless the logits are a recipe. Then these: the patches; in each row the target, the four largest logits,
    eight classes spread evenly from the first, and the last.

    Args:
      question: one with logits of shape [..., V] and integer targets of shape [...].
    """
    logits, targets = question.inputs.get("logits"), question.inputs.get("targets")
    if not (isinstance(logits, Array) and isinstance(logits.values, Recipe) and isinstance(targets, Array)):
        return None
    classes, values = logits.shape[-1], tuple(logits.values)
    kept = {index for index, _ in logits.values.patches}
    for i, target in enumerate(targets.values):
        row = range(i * classes, (i + 1) * classes)
        kept |= {*heapq.nlargest(LARGEST, row, key=values.__getitem__), row[-1]}
        kept |= {row[step * classes // SPREAD] for step in range(SPREAD)}
        if 0 <= target < classes:
            kept.add(row[int(target)])
    return tuple(sorted(kept))
