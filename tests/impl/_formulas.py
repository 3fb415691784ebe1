"""SPEC.md's formulas, one token at a time in extended precision: what the tests expect."""

from typing import NamedTuple

import numpy as np

U = 2.0**-24


class Token(NamedTuple):
    loss: np.longdouble
    z: np.longdouble
    log_z: np.longdouble
    row: np.ndarray
    loss_scale: np.longdouble
    row_scale: np.ndarray


def token(x, q, k=0.0, entropy=0.0):
    """loss, z, lse, the gradient row and the sums of absolute parts that rounding errors are relative to."""
    x, q, k = (np.asarray(value, np.longdouble) for value in (x, q, k))
    gap = x.max() - x
    rest = np.exp(-gap)
    rest[x.argmax()] = 0
    log_total = np.log1p(rest.sum())
    nll = np.where(q == 0, 0, gap + log_total)
    lse = x.max() + log_total
    p = np.exp(-gap) / (1 + rest.sum())
    z = k * lse * lse
    complement = 1 - p
    complement[x.argmax()] = rest.sum() / (1 + rest.sum())
    row = (q.sum() - q) * p - q * complement + 2 * k * lse * p
    loss_scale = np.abs(q * nll).sum() + abs(entropy) + abs(z)
    row_scale = np.abs(q.sum() - q) * p + np.abs(q) * complement + np.abs(2 * k * lse) * p
    return Token((q * nll).sum() - entropy + z, z, lse, row, loss_scale, row_scale)


def smoothed(target, classes, e):
    """The smoothed target and its entropy."""
    e = np.longdouble(e)
    if classes == 1:
        return np.ones(1, np.longdouble), np.longdouble(0)
    q = np.full(classes, e / (classes - 1))
    q[target] = 1 - e
    positive = q[q > 0]
    return q, -(positive * np.log(positive)).sum()


def hard(x, target, e=0.0, k=0.0):
    """The token with a class number for a target."""
    q, entropy = smoothed(target, len(x), np.longdouble(e))
    return token(x, q, np.longdouble(k), entropy)
