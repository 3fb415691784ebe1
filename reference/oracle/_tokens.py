"""The formulas of SPEC.md, token by token, on top of the row sums; docs/oracle-proof.md, section 7."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lossproof.reference.oracle import _exp, _log1p
from lossproof.reference.oracle._ball import Ball, Value, added, ball, scaled, widened
from lossproof.reference.oracle._double_double import Array
from lossproof.reference.oracle._problem import Problem
from lossproof.reference.oracle._row_sums import rest_error, row_sums, sum_error

_MARGIN = 1 + 2.0**-40  # covers what log(1 + r) is beyond its tangent, and a rounding (section 7.1)


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes:
      problem: the inputs.
      peak: m.
      gap: m - x_t, or inf.
      other_gaps: the sum of m - x_j over the other classes, or inf; void where e is 0.
      rest: r, the sum of exp(x_j - m) without the first maximum's.
      log_sum: log(1 + r).
      target_exp: exp(x_t - m).
      top: the first class that has the maximum.
      omitted: whether a finite logit lies more than 620 below the largest.
    """

    problem: Problem
    peak: Ball
    gap: Value
    other_gaps: Value
    rest: Ball
    log_sum: Ball
    target_exp: Ball
    top: int
    omitted: bool

    @cached_property
    def log_z(self) -> Ball:
        """VALUE-8."""
        return self.peak + self.log_sum

    @cached_property
    def z_loss(self) -> Value:
        """VALUE-4, STATE-8."""
        return scaled(self.problem.z_coefficient, self.log_z * self.log_z)

    @cached_property
    def loss(self) -> Value:
        """xent - H + z (VALUE-1 to VALUE-4)."""
        if not isinstance(self.z_loss, Ball):
            return math.nan  # STATE-8
        on, off = self.problem.on_off
        shortfall = added([self.gap, self.log_sum])
        others = added([self.other_gaps, Ball(self.problem.classes - 1) * self.log_sum])
        terms = [scaled(on, shortfall), scaled(off, others), -self.problem.entropy]  # STATE-2
        return added([*terms, self.z_loss] if self.problem.convention.add_z_loss else terms)


def tokens(problem: Problem, indices: Sequence[int], exps: Array | None = None) -> list[Token | None]:
    """The tokens of these indices, whose targets must be in range; None for the undefined ones (STATE-3).

    Args:
      problem: the inputs.
      indices: of the tokens, in ascending order.
      exps: as for `row_sums`.
    """
    if not indices:
        return []
    logits = problem.logits[np.array(indices)]
    targets = np.array([problem.targets[i] for i in indices])
    off = problem.smoothing
    sums = row_sums(logits, targets, with_gaps=off > 0, exps=exps)
    log_sums = np.stack(_log1p.log1p(sums.rest))
    r_error, gaps_error = rest_error(problem.classes), sum_error(problem.classes)

    def token(n: int) -> Token | None:
        if sums.undefined[n]:
            return None
        peak, x_t = ball(float(sums.peak[n])), float(logits[n, targets[n]])
        gap = peak - ball(x_t) if math.isfinite(x_t) else math.inf
        omitted, top = int(sums.omitted[n]), int(sums.top[n])
        rest = widened(_exact(sums.rest[:, n]), r_error, omitted * _exp.NEGLIGIBLE)
        moved = rest.radius / (1 + float(sums.rest[0, n])) * _MARGIN
        target_exp = ball(1)
        if top != targets[n]:
            is_omitted = isinstance(gap, Ball) and gap.size() > -_exp.LOWEST
            target_exp = widened(_exact(sums.target_exp[:, n]), _exp.ERROR, _exp.NEGLIGIBLE if is_omitted else 0.0)
        other_gaps: Value = Ball(0)
        if sums.masked[n]:
            other_gaps = math.inf
        elif off and np.isfinite(sums.gaps[:, n]).all():
            other_gaps = widened(_exact(sums.gaps[:, n]), gaps_error)
        elif off:
            others = np.delete(logits[n].astype(np.float64), targets[n])
            other_gaps = added(peak - ball(x) for x in others.tolist())
        log_sum = widened(_exact(log_sums[:, n]), _log1p.ERROR, moved)
        return Token(problem, peak, gap, other_gaps, rest, log_sum, target_exp, top, omitted > 0)

    return [token(n) for n in range(len(indices))]


def _exact(words: Array) -> Ball:
    return ball(float(words[0])) + ball(float(words[1]))
