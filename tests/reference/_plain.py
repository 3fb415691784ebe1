"""The formulas of SPEC.md as one would write them down, in mpmath's ordinary numbers at the precision in force."""

import mpmath
from mpmath import mpf


def log_z(x):
    return mpmath.log(mpmath.fsum(mpmath.exp(number) for number in x))


def hard_loss(x, target, e, *, uniform=False, entropy=True):
    """Returns xent - H."""
    classes = len(x)
    on, off = (1 - e + e / classes, e / classes) if uniform else (1 - e, e / (classes - 1))
    lse = log_z(x)
    q = [on if j == target else off for j in range(classes)]
    xent = mpmath.fsum(weight * (lse - number) for weight, number in zip(q, x, strict=True))
    constant = -mpmath.fsum(weight * mpmath.log(weight) for weight in q if weight) if entropy else mpf(0)
    return xent - constant


def dense_loss(x, q):
    """Returns sum_j q_j (lse - x_j)."""
    lse = log_z(x)
    return mpmath.fsum(weight * (lse - number) for weight, number in zip(q, x, strict=True))


def z(x, k):
    return k * log_z(x) ** 2


def batch(logits, targets, weights, e, k, factor, *, add_z=True, **convention):
    """Returns loss, z_loss, weight_sum."""
    c = [weight / factor for weight in weights]
    zs = [z(x, k) for x in logits]
    losses = [hard_loss(x, t, e, **convention) + add_z * zi for x, t, zi in zip(logits, targets, zs, strict=True)]
    return (
        mpmath.fsum(ci * loss for ci, loss in zip(c, losses, strict=True)),
        mpmath.fsum(ci * zi for ci, zi in zip(c, zs, strict=True)),
        mpmath.fsum(weights),
    )
