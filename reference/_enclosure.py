"""The answers of the reference: numbers known to lie between two ends, and arrays of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath
from mpmath import libmp

from lossproof.reference._alike import Kinds
from lossproof.reference._interval import Interval, UndecidedError, endpoints, working_precision
from lossproof.reference._rounding import decimal_digits, round_to, same_cell
from lossproof.spec import FORMATS

# Ziv's loop: a value that is still undecided at one precision is computed again at the next.
PRECISIONS = (113, 226, 452, 904, 1808, 3616)

_GUARD_DIGITS = 6  # beyond those asked for
_PAIR_DIGITS = 20  # of a number that is given as two float64

# Far below half of the smallest subnormal float64 (2^-1075): what is smaller rounds to 0 in every type.
_NEGLIGIBLE = -1400  # a power of 2


@dataclass(frozen=True)
class Enclosure:
    """A real number between `low` and `high` (mpmath numbers), or a special value with both ends equal to nan, inf
    or -inf.
    """

    low: Any
    high: Any

    @property
    def value(self) -> Any:
        """The midpoint, an mpmath number."""
        return self.low if self.is_special else mpmath.fdiv(mpmath.fadd(self.low, self.high, exact=True), 2, prec=4000)

    @property
    def radius(self) -> Any:
        """Half the width, an mpmath number rounded up; 0 for a special value."""
        return (
            mpmath.mpf(0)
            if self.is_special
            else mpmath.ldexp(mpmath.fsub(self.high, self.low, prec=60, rounding="c"), -1)
        )

    @property
    def is_special(self) -> bool:
        """Whether this is nan, inf or -inf."""
        return not mpmath.isfinite(self.low)

    def rounded(self, dtype: str) -> float | None:
        """The correctly rounded float of type `dtype`, or None where the ends round differently (a tie not proved)."""
        low, high = (round_to(end, dtype) for end in self._inner_ends())
        return low if low == high or math.isnan(low) else None

    def float_pair(self) -> tuple[float, float]:
        """Two float64 whose sum is the midpoint to about 107 bits.

        Raises:
          UndecidedError: the enclosure has not even 20 digits in common: the midpoint would be a guess.
        """
        if not (self.is_special or self._is_negligible() or _is_narrow(self.low._mpf_, self.high._mpf_, _PAIR_DIGITS)):
            raise UndecidedError(f"the exact answer is only known to lie between {self.low} and {self.high}")
        first = round_to(self.value, "float64")
        if not math.isfinite(first):
            return first, 0.0
        return first, round_to(mpmath.fsub(self.value, first, exact=True), "float64")

    def decimal(self, digits: int) -> str | None:
        """The value rounded to `digits` significant decimal digits, or None where the two ends round differently."""
        if self._is_negligible():
            return "0"
        low, high = decimal_digits(self.low, digits), decimal_digits(self.high, digits)
        return low if low == high else None

    def is_tight(self, digits: int) -> bool:
        """Whether the rounding to every type is settled and the relative width leaves no doubt about `digits`
        decimal digits.
        """
        if self.is_special or self._is_negligible():
            return True
        if not _is_narrow(self.low._mpf_, self.high._mpf_, digits + _GUARD_DIGITS):
            return False
        return same_cell(*self._inner_ends()) or all(self.rounded(dtype) is not None for dtype in FORMATS)

    def _inner_ends(self) -> tuple[Any, Any]:
        """The ends, moved inwards by less than any rounding can tell unless they are ties: an interval that is no
        single number is open (`_interval`), so the value is not a tie at its end, but lies on this side of it.
        """
        if self.is_special or self.low == self.high:
            return self.low, self.high
        return _nudged(self.low, 1), _nudged(self.high, -1)

    def _is_negligible(self) -> bool:
        ends = (self.low._mpf_, self.high._mpf_)
        return all(end == libmp.fzero or end[2] + end[3] <= _NEGLIGIBLE for end in ends)


def _nudged(number: Any, direction: int) -> Any:
    """A finite number moved up (1) or down (-1) by 2^-64 of its last bit; ties have 54 bits, so none is passed."""
    sign, mantissa, exponent, _ = number._mpf_
    if not mantissa:
        return number
    signed = (-mantissa if sign else mantissa) << 64
    return mpmath.mp.make_mpf(libmp.from_man_exp(signed + direction, exponent - 64))


def _is_narrow(low: Any, high: Any, digits: int) -> bool:
    """Whether |high - low| <= 10^-digits min(|low|, |high|), in integers; the ends are raw numbers."""
    if low == high:
        return True
    if low[0] != high[0] or not (low[1] and high[1]):
        return False
    first, last = (low[1] << max(0, low[2] - high[2])), (high[1] << max(0, high[2] - low[2]))
    return bool(abs(last - first) * 10**digits <= min(first, last))


@dataclass(frozen=True)
class EnclosureArray:
    """Enclosures in row-major order, with the shape of the array they fill."""

    shape: tuple[int, ...]
    values: tuple[Enclosure, ...]

    def __iter__(self) -> Iterator[Enclosure]:
        return iter(self.values)

    def item(self) -> Enclosure:
        """The only element."""
        (only,) = self.values
        return only


def special(value: float) -> Enclosure:
    """The enclosure of nan, inf or -inf."""
    number = mpmath.mpf(value)
    return Enclosure(number, number)


def refine(evaluate: Callable[[], Sequence[Interval | float]], digits: int) -> tuple[Enclosure, ...]:
    """Evaluates at growing precision until every element is tight (Ziv's strategy).

    An element that is not tight at the last precision keeps its last enclosure; its `rounded` then says None:
    undecided, not guessed.

    Args:
      evaluate: gives the elements as intervals at the working precision, or as the floats nan, inf, -inf; of one and
        the same object the enclosure is one and the same, too.
      digits: decimal digits to settle.

    Returns:
      The enclosures, in the order of `evaluate`.
    """
    results: list[Enclosure] = []
    tight: set[int] = set()  # by id: many elements may be one object
    for precision in _precisions(digits):
        with working_precision(precision):
            new = _enclosures(evaluate())
        results = (
            [old if id(old) in tight else fresh for old, fresh in zip(results, new, strict=True)] if results else new
        )
        distinct = dict(zip(map(id, results), results, strict=True))
        tight = {key for key, result in distinct.items() if result.is_tight(digits)}
        if len(tight) == len(distinct):
            break
    return tuple(results)


def _precisions(digits: int) -> Sequence[int]:
    """Those of `PRECISIONS` that can settle so many digits, or the last one."""
    enough = [precision for precision in PRECISIONS if 2**precision > 10 ** (digits + _GUARD_DIGITS)]
    return enough or PRECISIONS[-1:]


def refine_rows(
    evaluate: Callable[[int], Sequence[Interval | float]], rows: Kinds, digits: int
) -> list[tuple[Enclosure, ...]]:
    """Refines `evaluate(i)` for each row i on its own; of those that are alike, the first."""
    return rows.spread([refine(partial(evaluate, i), digits) for i in rows.first])


def _enclosures(elements: Sequence[Interval | float]) -> list[Enclosure]:
    keys = list(map(id, elements))
    made = {key: _enclosure(element) for key, element in dict(zip(keys, elements, strict=True)).items()}
    return list(map(made.__getitem__, keys))


def _enclosure(element: Interval | float) -> Enclosure:
    return special(element) if isinstance(element, float) else Enclosure(*endpoints(element))
