"""The formulas of SPEC.md once more, in Arb's ball arithmetic: another library, and the naive formulas."""

import math
from fractions import Fraction

import mpmath
from flint import arb, ctx, fmpq

GUARD = 300  # bits of the answer that are left after the cancellation allowed for


def token(logits, target, smoothing, k):
    """Returns log_z, z_loss, loss and the gradient of loss by the logits as balls."""
    spread = min(max(logits) - min(logits), 4000)
    magnitude = math.frexp(max(map(abs, logits)))[1]
    # 1 - p_t and lse - x_t lose spread / ln 2 bits, squares twice that; logits of size 2^m lose m.
    ctx.prec = GUARD + 3 * int(spread / math.log(2)) + 2 * max(0, magnitude)
    x, e, k = [exact(number) for number in logits], exact(smoothing), exact(k)
    classes = len(x)
    on, off = (1 - e, e / (classes - 1)) if classes > 1 else (arb(1), arb(0))
    q = [on if j == target else off for j in range(classes)]
    peak = exact(max(logits))
    log_z = peak + sum(((number - peak).exp() for number in x), arb(0)).log()
    xent = sum((weight * (log_z - number) for weight, number in zip(q, x, strict=True)), arb(0))
    entropy = -sum((weight * weight.log() for weight in q if weight != 0), arb(0))
    z = k * log_z**2
    gradient = [(1 + 2 * k * log_z) * (number - log_z).exp() - weight for weight, number in zip(q, x, strict=True)]
    return {"log_z": log_z, "z_loss": z, "loss": xent - entropy + z, "gradient": gradient}


def exact(number):
    """The ball of radius 0, or as good as, around a rational number."""
    fraction = Fraction(number)
    return arb(fmpq(fraction.numerator, fraction.denominator))


def ends(ball):
    """The two ends of a ball, as exact mpmath numbers."""
    middle, radius = (
        mpmath.mp.make_mpf(mpmath.libmp.from_man_exp(*map(int, part.man_exp()))) for part in (ball.mid(), ball.rad())
    )
    return mpmath.fsub(middle, radius, exact=True), mpmath.fadd(middle, radius, exact=True)


def overlap(enclosure, ball):
    """Whether an enclosure and a ball have a number in common, as two enclosures of one number must."""
    low, high = ends(ball)
    return enclosure.low <= high and low <= enclosure.high
