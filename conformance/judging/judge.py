"""The verdict on one array: its error as a share of the bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossproof.conformance.judging.case import DTYPES, Array, Case
from lossproof.conformance.judging.exact import Exact


class Violation(Exception):
    """The target breaks a clause.

    Attributes:
      subjects: what deviates, as in `charges`; unknown, if empty.
      is_small: whether only an accurate algorithm would not deviate so.
      case: the call, if it is known as one.
      clauses: that it breaks, where the check knows; else those that speak of the subjects.
    """

    def __init__(
        self,
        message: str,
        subjects: Sequence[str] = (),
        *,
        is_small: bool = False,
        case: Case | None = None,
        clauses: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.subjects: tuple[str, ...] = tuple(subjects)
        self.is_small: bool = is_small
        self.case: Case | None = case
        self.clauses: tuple[str, ...] = tuple(clauses)


class VoidCaseError(Exception):
    """The bound is too loose to tell right from wrong."""


@dataclass(frozen=True)
class Judgement:
    """The largest utilisation (error / bound) of an array, and where; inf for a wrong special state."""

    utilisation: float
    where: tuple[int, ...]
    message: str


def utilisation(actual: Array, exact: Exact, bound: Array) -> Array:
    """Error / bound, element by element; nan, inf and -inf are states that must agree, never distances.

    Args:
      actual: the target's floats, of the shape of `exact`.
      exact: what they should be.
      bound: the largest allowed absolute error, >= 0.

    Returns:
      A float64 array; inf where a state is wrong or an error meets a bound of 0.
    """
    floats = np.asarray(actual, np.float64)
    with np.errstate(all="ignore"):
        error = np.abs((floats - exact.high) - exact.low)
        share = np.where(error == 0, 0.0, error / bound)
    ordinary = np.isfinite(exact.high)
    same_state = np.where(np.isnan(exact.high), np.isnan(floats), floats == exact.high)
    share = np.where(ordinary & np.isfinite(floats), share, np.inf)
    overflowed = ordinary & np.isinf(floats) & (np.sign(floats) == np.sign(exact.high))
    with np.errstate(over="ignore"):
        beyond = exact.magnitude + bound >= largest(actual)
    share = np.where(overflowed & beyond, 0.0, share)
    return np.where(~ordinary & same_state, 0.0, share)


def judge(name: str, actual: Array, exact: Exact, bound: Array) -> Judgement:
    """Compares an array with the exact one.

    Raises:
      Violation: the shape is wrong.
    """
    if np.shape(actual) != exact.high.shape:
        raise Violation(f"{name} must have the shape {exact.high.shape}, got {np.shape(actual)}")
    shares = utilisation(actual, exact, bound)
    if shares.size == 0:
        return Judgement(0.0, (), "")
    where = tuple(int(index) for index in np.unravel_index(int(np.argmax(shares)), shares.shape))
    message = f"{name}{list(where) if where else ''} is {float(actual[where])!r}, exactly {float(exact.high[where])!r}"
    if np.isfinite(shares[where]):
        message += f": {shares[where]:.3g} times the allowed error, {float(bound[where]):.2g}"
    return Judgement(float(shares[where]), where, message)


def refuse_void(name: str, exact: Exact, bound: Array, smallest_normal: float) -> None:
    """Raises VoidCaseError if an array of zeros, or one 30 % off, would pass although the exact one is not 0.

    An infinite bound is void too. Values whose magnitude is nowhere above the smallest normal number are left to ACC-7.
    """
    finite = np.isfinite(exact.high)
    if np.any(np.isinf(bound[finite])):
        raise VoidCaseError(f"the bound on {name} is infinite")
    if not np.any(finite & (exact.magnitude > smallest_normal)):
        return
    for wrong, share in (("zeros", 1.0), ("an array 30 % off", 0.3)):
        if np.all(share * exact.magnitude[finite] <= bound[finite]):
            raise VoidCaseError(f"the bound on {name} is so loose that {wrong} would pass")


def largest(array: Array) -> float:
    """The largest finite number of the array's type."""
    name = np.asarray(array).dtype.name
    return float(np.finfo(DTYPES[name]).max) if name in ("float16", "float32", "float64") else 3.3895313892515355e38
