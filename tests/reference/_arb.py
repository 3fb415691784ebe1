"""The formulas of SPEC.md once more, in Arb's ball arithmetic: another library, and the naive formulas.

Cancellation, which the reference avoids by its choice of formulas, is met here by more bits.
"""

import math
from fractions import Fraction

import mpmath
from flint import arb, ctx, fmpq

from . import _questions as questions

BITS = (1024, 4096, 16384)
RELATIVE_BITS = 500  # what is left of them must be enough to settle every rounding that is not a tie
_NEGLIGIBLE = arb(2) ** -1500  # what is smaller rounds to 0 in every type


def balls(question):
    """Each answer as a ball that says enough, or as one of the floats nan, inf, -inf; None where the oracle has no
    opinion.
    """
    for ctx.prec in BITS:
        found = _FUNCTIONS[type(question)](question)
        if all(_says_enough(ball) for ball in found.values()):
            break
    return found


def exact(number):
    """The ball of radius 0, or as good as, around a rational number."""
    if isinstance(number, float):
        return arb(number)
    fraction = Fraction(number)
    return arb(fmpq(fraction.numerator, fraction.denominator))


def ends(ball):
    """The two ends of a ball, rounded outward, as exact mpmath numbers."""
    return tuple(
        mpmath.mp.make_mpf(mpmath.libmp.from_man_exp(*map(int, end.man_exp()))) for end in (ball.lower(), ball.upper())
    )


def is_negligible(ball):
    """Whether a ball is so near to 0 that it rounds to 0 in every type."""
    return bool(abs(ball) < _NEGLIGIBLE)


def _says_enough(ball):
    return not isinstance(ball, arb) or ball.rel_accuracy_bits() >= RELATIVE_BITS or is_negligible(ball)


class _Row:
    """The logits of one token; a logit of -inf takes no part (STATE-1)."""

    def __init__(self, logits):
        peak = exact(max(logits))
        self.x = [None if number == -math.inf else exact(number) for number in logits]
        self.lse = peak + sum(((x - peak).exp() for x in self.x if x is not None), arb(0)).log()
        self.square = self.lse * self.lse  # ** says nan where the ball holds 0

    def p(self, j):
        return arb(0) if self.x[j] is None else (self.x[j] - self.lse).exp()

    def y(self, j):
        """lse - x_j."""
        return math.inf if self.x[j] is None else self.lse - self.x[j]

    def xent(self, q):
        """sum_j q_j (lse - x_j); mass on -inf is not for this oracle."""
        return sum((weight * self.y(j) for j, weight in enumerate(q) if weight != 0), arb(0))

    def by_logits(self, q, slopes):
        """GRAD-1 for the cotangents of loss and of lse."""
        by_loss, by_lse = slopes
        return [(by_loss * sum(q, arb(0)) + by_lse) * self.p(j) - by_loss * weight for j, weight in enumerate(q)]


class _Smoothing:
    """on, off, their slopes by e, and H."""

    def __init__(self, e, classes, convention):
        e = exact(e)
        spread = arb(classes if convention.smoothing == "uniform" else classes - 1)
        self.others = classes - 1
        self.constant = convention.subtract_entropy
        if classes == 1:
            self.on, self.off, self.on_slope, self.off_slope = arb(1), arb(0), arb(0), arb(0)
        else:
            self.off, self.off_slope = e / spread, 1 / spread
            self.on_slope = -self.others / spread
            self.on = 1 + e * self.on_slope

    def q(self, target):
        return [self.on if j == target else self.off for j in range(self.others + 1)]

    @property
    def entropy(self):
        if not self.constant:
            return arb(0)
        return -sum((n * w * w.log() for n, w in ((1, self.on), (self.others, self.off)) if w != 0), arb(0))

    def derivative(self, row, target):
        """GRAD-4, or None where a logarithm or a logit is infinite."""
        ends_meet = self.constant and self.others and (self.on == 0 or self.off == 0)
        if ends_meet or None in row.x:
            return None
        moved = sum((slope * row.y(j) for j, slope in enumerate(self._slopes(target))), arb(0))
        if not (self.constant and self.others):
            return moved
        return moved + self.on_slope * self.on.log() + self.others * self.off_slope * self.off.log()

    def _slopes(self, target):
        return [self.on_slope if j == target else self.off_slope for j in range(self.others + 1)]


def _total(coefficients, numbers):
    """sum_i c_i n_i, or None where a number with a coefficient is."""
    terms = [(c, number) for c, number in zip(coefficients, numbers, strict=True) if c != 0]
    return None if any(number is None for _, number in terms) else sum((c * number for c, number in terms), arb(0))


def _token(asked):
    k, convention = exact(asked.k), asked.convention
    in_loss = int(convention.add_z_loss)
    rows = [_Row(logits) for logits in asked.logits]
    smoothing = _Smoothing(asked.smoothing, len(asked.logits[0]), convention)
    by_loss, by_z, by_log_z = ([exact(c) for c in asked.cotangents[name]] for name in ("loss", "z_loss", "log_z"))
    found = {}
    for i, (row, target) in enumerate(zip(rows, asked.targets, strict=True)):
        z, q = k * row.square, smoothing.q(target)
        found["log_z", i], found["z_loss", i] = row.lse, z
        found["loss", i] = row.xent(q) - smoothing.entropy + in_loss * z
        by_lse = 2 * k * row.lse * (in_loss * by_loss[i] + by_z[i]) + by_log_z[i]
        for j, entry in enumerate(row.by_logits(q, (by_loss[i], by_lse))):
            found["by logits", i * len(q) + j] = entry
    slopes = [smoothing.derivative(row, target) for row, target in zip(rows, asked.targets, strict=True)]
    found["by label_smoothing", 0] = _total(by_loss, slopes)
    by_k = [in_loss * a + b for a, b in zip(by_loss, by_z, strict=True)]
    found["by z_loss", 0] = _total(by_k, [row.square for row in rows])
    return found


def _weighted(asked):
    k, factor, convention = exact(asked.k), exact(asked.factor), asked.convention
    in_loss, classes = int(convention.add_z_loss), len(asked.logits[0])
    smoothing = _Smoothing(asked.smoothing, classes, convention)
    by_loss, by_z, by_weight_sum = (exact(asked.cotangents[name]) for name in ("loss", "z_loss", "weight_sum"))
    in_range = [i for i, target in enumerate(asked.targets) if 0 <= target < classes]
    rows = {i: _Row(asked.logits[i]) for i in in_range}
    c = [exact(asked.weights[i]) / factor for i in in_range]
    z = [k * rows[i].square for i in in_range]
    loss = [
        rows[i].xent(smoothing.q(asked.targets[i])) - smoothing.entropy + in_loss * zi
        for i, zi in zip(in_range, z, strict=True)
    ]
    found = {
        ("loss", 0): _total(c, loss),
        ("z_loss", 0): _total(c, z),
        ("weight_sum", 0): sum((exact(asked.weights[i]) for i in in_range), arb(0)),
        ("by label_smoothing", 0): _total(
            [by_loss * ci for ci in c], [smoothing.derivative(rows[i], asked.targets[i]) for i in in_range]
        ),
        ("by z_loss", 0): _total([(in_loss * by_loss + by_z) * ci for ci in c], [rows[i].square for i in in_range]),
    }
    found["by loss_normalizing_factor", 0] = -(by_loss * found["loss", 0] + by_z * found["z_loss", 0]) / factor
    for i in range(len(asked.targets)):  # EXCL-2
        found["by weights", i] = arb(0)
        found |= {("by logits", i * classes + j): arb(0) for j in range(classes)}
    for i, ci, loss_i, zi in zip(in_range, c, loss, z, strict=True):
        found["by weights", i] = (by_loss * loss_i + by_z * zi) / factor + by_weight_sum
        by_lse = 2 * k * rows[i].lse * (in_loss * by_loss + by_z)
        for j, entry in enumerate(rows[i].by_logits(smoothing.q(asked.targets[i]), (by_loss, by_lse))):
            found["by logits", i * classes + j] = ci * entry
    return found


def _dense(asked):
    k, classes, found = exact(asked.k), len(asked.logits[0]), {}
    rows = [_Row(logits) for logits in asked.logits]
    by_loss, by_z = ([exact(c) for c in asked.cotangents[name]] for name in ("loss", "z_loss"))
    for i, row in enumerate(rows):
        q, z = [exact(number) for number in asked.targets[i]], k * row.square
        found["loss", i], found["z_loss", i] = row.xent(q) + z, z
        for j, entry in enumerate(row.by_logits(q, (by_loss[i], 2 * k * row.lse * (by_loss[i] + by_z[i])))):
            found["by logits", i * classes + j] = entry
            found["by targets", i * classes + j] = None if row.x[j] is None else by_loss[i] * row.y(j)
    both = [a + b for a, b in zip(by_loss, by_z, strict=True)]
    found["by z_loss", 0] = _total(both, [row.square for row in rows])
    return found


def _hessian(asked):
    classes, smoothing = len(asked.logits[0]), _Smoothing(asked.smoothing, len(asked.logits[0]), asked.convention)
    k, found = exact(asked.k) * int(asked.convention.add_z_loss), {}
    for i, logits in enumerate(asked.logits):
        row, v = _Row(logits), [exact(number) for number in asked.vector[i]]
        p, c = [row.p(j) for j in range(classes)], exact(asked.weights[i]) / exact(asked.factor)
        a = sum(smoothing.q(asked.targets[i]), arb(0)) + 2 * k * row.lse
        mean = sum((pj * vj for pj, vj in zip(p, v, strict=True)), arb(0))
        for j in range(classes):
            found["product", i * classes + j] = c * p[j] * (a * (v[j] - mean) + 2 * k * mean)
    return found


def _prediction(asked):
    classes, found = len(asked.logits[0]), {}
    by_target, by_entropy = (
        [exact(c) for c in asked.cotangents[name]] for name in ("target_log_probability", "entropy")
    )
    for i, (logits, target) in enumerate(zip(asked.logits, asked.targets, strict=True)):
        row = _Row(logits)
        present = [j for j in range(classes) if row.x[j] is not None]
        entropy = -sum((row.p(j) * row.p(j).log() for j in present), arb(0))
        found["target_log_probability", i], found["entropy", i] = -row.y(target), entropy
        found["predicted_class", i] = arb(logits.index(max(logits)))
        for j in range(classes):
            of_entropy = row.p(j) * (row.y(j) - entropy) if j in present else arb(0)
            of_target = int(j == target) - row.p(j)
            found["by logits", i * classes + j] = by_target[i] * of_target + by_entropy[i] * of_entropy
    return found


_FUNCTIONS = {
    questions.Tokens: _token,
    questions.Weighted: _weighted,
    questions.Dense: _dense,
    questions.Hessian: _hessian,
    questions.Predictions: _prediction,
}
