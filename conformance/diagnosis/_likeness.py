"""Whether two losses answer alike, where a third, a right one, answers otherwise."""

from collections.abc import Mapping

import numpy as np

from lossproof.conformance.diagnosis._replay import RAISED, Answers
from lossproof.conformance.judging.case import Array, Case

# Unit roundoffs of answers, by type.
_ROUNDOFFS: Mapping[str, float] = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
_ROUNDINGS = 16  # that sound algorithms may lie apart, of the largest number they have added up
_CLOSE = 1 / 16  # of the deviation from what is right, to be the same deviation
_SMALL_CLOSE = 1 / 4  # the same where the deviation is itself made of roundings


def is_right(found: Answers, right: Answers) -> bool:
    """Whether an answer is the right one, but for a few roundings."""
    return not _kind_differs(found, right) and not any(
        np.any(_apart(found[name], right[name]) > _few(found[name], right[name])) for name in _common(found, right)
    )


def is_gross(case: Case, found: Answers, right: Answers) -> bool:
    """Whether a wrong answer is off by more than digits: by more than sound algorithms may lie apart."""
    if _kind_differs(found, right):
        return True
    names = _common(found, right)
    return any(np.any(_apart(found[n], right[n]) > _coarse(case, n, found[n], right[n])) for n in names)


def resembles(case: Case, found: Answers, right: Answers, other: Answers) -> bool:
    """Whether a wrong answer is that of another loss: to within a few roundings, with the same special states.

    Args:
      case: the call.
      found: the wrong answer.
      right: the right one, from another implementation.
      other: what the other loss answers.
    """
    if _kind_differs(found, other):
        return False
    if RAISED in found:
        return True
    names = _common(found, right)
    if _kind_differs(found, right):
        return all(
            np.all(_apart(found[n], other[n]) <= _coarse(case, n, found[n], other[n])) for n in _common(found, other)
        )
    if is_gross(case, found, right):
        return all(_is_near(case, n, found[n], right[n], other[n]) for n in names)
    return _small_alike(case, found, right, other)


def _is_near(case: Case, name: str, found: Array, right: Array, other: Array) -> bool:
    off = _apart(found, right)
    allowed = np.maximum(_coarse(case, name, found, right), _CLOSE * np.where(np.isfinite(off), off, 0.0))
    return bool(np.all(_apart(found, other) <= allowed))


def _small_alike(case: Case, found: Answers, right: Answers, other: Answers) -> bool:
    """The same where only digits are lost: the same digits, or about as many in the same places."""
    off = left = lost = 0.0
    for name in _common(found, right):
        deviation = _apart(found[name], right[name])
        telling = deviation > _few(found[name], right[name])
        rest = _apart(found[name], other[name])
        if np.any(rest > _coarse(case, name, found[name], right[name])):
            return False
        off += float(np.sum(deviation[telling]))
        left += float(np.sum(rest[telling]))
        lost += float(np.sum(_apart(other[name], right[name])[telling]))
    return left <= _SMALL_CLOSE * off or _SMALL_CLOSE * off <= lost <= off / _SMALL_CLOSE


def _kind_differs(one: Answers, other: Answers) -> bool:
    """Whether one raises and the other does not, or another error; or they differ in types or shapes."""
    if RAISED in one or RAISED in other:
        return one.get(RAISED) != other.get(RAISED)
    return any(one[n].dtype != other[n].dtype or one[n].shape != other[n].shape for n in _common(one, other))


def _common(one: Answers, other: Answers) -> list[str]:
    return [name for name in one if name in other and name != RAISED]


def _apart(one: Array, other: Array) -> Array:
    """Distances; infinite between different states."""
    a, b = np.asarray(one).astype(np.float64), np.asarray(other).astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isfinite(distance), distance, np.inf))


def _few(found: Array, right: Array) -> Array:
    return 2 * _roundoff(found) * np.abs(_finite(right))


def _coarse(case: Case, name: str, found: Array, right: Array) -> Array:
    """How far apart sound algorithms may be: by the logits of the token for values; derivatives by the largest,
    and by probabilities that were added up to 1.
    """
    size = np.maximum(np.abs(_finite(found)), np.abs(_finite(right)))
    if name.startswith("by ") or size.shape != case.logits.shape[:-1]:
        size = np.broadcast_to(np.max(size, initial=0.0), size.shape)
    if name.startswith("by "):
        return _ROUNDINGS * _roundoff(found) * (size + 1)
    rows = np.max(np.abs(_finite(case.logits)), axis=-1, initial=0.0)
    if size.shape != rows.shape:
        rows = np.sum(rows)
    return _ROUNDINGS * _roundoff(found) * (size + rows + 1)


def _finite(array: Array) -> Array:
    numbers = np.asarray(array).astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, 0.0)


def _roundoff(array: Array) -> float:
    return _ROUNDOFFS.get(np.asarray(array).dtype.name, 0.0)
