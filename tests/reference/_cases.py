"""Questions to try the reference on: ordinary ones, and those on which formulas and roundings break."""

import math
import random
from fractions import Fraction

import mpmath

from lossproof.reference import LOSSPROOF, Convention

from ._questions import Dense, Hessian, Predictions, Tokens, Weighted

SMOOTHINGS = (
    *(Fraction(0), Fraction(1, 10), Fraction(0.1), Fraction(1, 2), Fraction(1)),
    *(1e-300, 5e-324, 1 - 2.0**-53, 2.0**-30),
)
Z_COEFFICIENTS = (Fraction(0), Fraction(1e-4), Fraction(1, 10), 1e30)
COTANGENTS = (0, 1, -1, Fraction(1, 3), 0.1, 2.0**-40, -1e20)
CONVENTIONS = (
    *(LOSSPROOF, LOSSPROOF),
    *(Convention(smoothing, entropy) for smoothing in ("others", "uniform") for entropy in (True, False)),
    Convention("uniform", add_z_loss=False),
)
# Where exp(-gap) leaves the normal numbers, and the subnormal ones, of float16, of bfloat16 and float32, of float64.
UNDERFLOWS = tuple(power * math.log(2) for power in (14, 24, 25, 126, 133, 149, 150, 1022, 1074, 1075))


def _normal(rng, classes):
    spread = rng.choice([0.1, 1.0, 5.0, 20.0])
    return [rng.gauss(0, spread) for _ in range(classes)]


def _confident(rng, classes):
    """The target, class 0, leads by 1 to 2000."""
    return [rng.uniform(1, 2000)] + [rng.gauss(0, 0.5) for _ in range(classes - 1)]


def _wrong(rng, classes):
    """The target, class 0, lies 1 to 2000 below."""
    return [-rng.uniform(1, 2000)] + [rng.gauss(0, 0.5) for _ in range(classes - 1)]


def _offset(rng, classes):
    offset = rng.choice([1e3, -1e4, 1e5, 2.0**40])
    return [offset + rng.gauss(0, 2) for _ in range(classes)]


def _equal(rng, classes):
    return [float(rng.randint(-1, 1)) for _ in range(classes)]


def _huge(rng, classes):
    return [rng.choice([3e38, -3e38, 1e300, 1.7e308, 0.0]) for _ in range(classes)]


def _tiny(rng, classes):
    return [
        rng.choice([1, -1]) * rng.uniform(1, 2) * rng.choice([5e-324, 1e-310, 1e-40, 1e-20]) for _ in range(classes)
    ]


def _underflowing(rng, classes):
    """The gaps straddle the points at which exp(-gap) underflows in one of the float types."""
    return [0.0] + [-rng.choice(UNDERFLOWS) + rng.choice([0.0, rng.gauss(0, 1e-3)]) for _ in range(classes - 1)]


def _masked(rng, classes):
    """Some classes, but never class 0, the target, have probability 0."""
    row = _normal(rng, classes)
    return [x if j == 0 or rng.random() < 0.6 else -math.inf for j, x in enumerate(row)]


def _normalised(rng, classes):
    """Log-probabilities: lse is what their rounding leaves."""
    row = [rng.gauss(0, 3) for _ in range(classes)]
    lse = math.log(math.fsum(map(math.exp, row)))
    return [x - lse for x in row]


def _near_tie(rng, classes):
    """lse - x_0, or p_0, is halfway between two floats of some type, but for some 2^-60 to 2^-400: class 0 is the
    target.
    """
    with mpmath.workprec(1000):
        precision = rng.choice([8, 11, 24, 53])
        point = mpmath.ldexp(2 * rng.getrandbits(precision - 1) + 2**precision + 1, -precision - 1)  # in [1/2, 1)
        odds = mpmath.expm1(point) if rng.random() < 0.5 else 1 / point - 1  # (1 - p_0) / p_0
        bits = rng.randint(60, 400)
        others = [rng.gauss(0, 1) for _ in range(classes - 1)]
        gap = mpmath.log(mpmath.fsum(map(mpmath.exp, others)) / odds) if others else mpmath.mpf(0)
        return [Fraction(int(mpmath.nint(mpmath.ldexp(gap, bits))), 2**bits), *others]


def _halfway(rng, classes):
    """Class 0 alone has a finite logit, or is alone, so that everything is rational: z_loss = k x^2 may be a tie."""
    return [float(rng.choice([1, -1, 2, 0.5, 3]))] + [-math.inf] * (classes - 1)


KINDS = {
    "normal": _normal,
    "confident": _confident,
    "wrong": _wrong,
    "offset": _offset,
    "equal": _equal,
    "huge": _huge,
    "tiny": _tiny,
    "underflowing": _underflowing,
    "masked": _masked,
    "normalised": _normalised,
    "near-tie": _near_tie,
    "halfway": _halfway,
}
FOR_CLASS_0 = ("confident", "wrong", "masked", "near-tie", "halfway")


def questions(kind, tokens, seed=0):
    """Yields questions of about `tokens` tokens in all, V from 1 to 300."""
    rng = random.Random(f"{kind} {seed}")  # noqa: S311  a seed, not a secret
    asked = 0
    while asked < tokens:
        classes = 1 + asked if asked < 4 else rng.choice([2, rng.randint(1, 12), rng.randint(1, 50)])
        if rng.random() < 0.01:
            classes = rng.randint(51, 300)
        if kind == "huge":
            classes = min(classes, 4)  # mpmath takes milliseconds for exp(-1e300)
        question = rng.choices([_tokens, _weighted, _dense, _hessian, _prediction], [4, 3, 2, 2, 1])[0](
            rng, kind, classes
        )
        asked += len(question.logits)
        yield question


def _beside(x):
    return x if isinstance(x, Fraction) or math.isinf(x) else math.nextafter(x, 0)


def _rows(rng, kind, classes, count):
    rows = [KINDS[kind](rng, classes) for _ in range(count)]
    if count > 1 and rng.random() < 0.3:  # terms that cancel if their weights do
        rows[1] = [_beside(x) if rng.random() < 0.5 else x for x in rows[0]]
    targets = [0 if kind in FOR_CLASS_0 else rng.randrange(classes) for _ in range(count)]
    smoothing = 0 if kind in ("masked", "halfway") else rng.choice(SMOOTHINGS)
    if kind == "near-tie" and rng.random() < 0.7:
        smoothing = 0
    k = rng.choice(Z_COEFFICIENTS)
    if kind == "halfway":  # 1 + (2n + 1) / 2^p lies halfway between two floats of p bits
        precision = rng.choice([8, 11, 24, 53])
        k = 1 + Fraction(2 * rng.getrandbits(precision - 1) + 1, 2**precision)
    return rows, targets, smoothing, k


def _cotangents(rng, count):
    return [rng.choice(COTANGENTS) for _ in range(count)]


def _tokens(rng, kind, classes):
    count = rng.choice([1, 1, 1, 2])
    names = ("loss", "z_loss", "log_z")
    cotangents = {name: _cotangents(rng, count) for name in names}
    if rng.random() < 0.6:
        cotangents = {name: [int(name == "loss")] * count for name in names}
    return Tokens(*_rows(rng, kind, classes, count), cotangents, rng.choice(CONVENTIONS))


def _weights(rng, count):
    weights = [rng.choice([1, 0, 0.1, -1.5, 1e8, 2.0**-60, Fraction(1, 3)]) for _ in range(count)]
    if count > 1 and rng.random() < 0.4:
        weights[1] = -weights[0]
    return weights


def _weighted(rng, kind, classes):
    count = rng.randint(1, 3)
    rows, targets, smoothing, k = _rows(rng, kind, classes, count)
    targets = [target if rng.random() < 0.95 else rng.choice([-1, classes]) for target in targets]
    cotangents = {name: rng.choice(COTANGENTS) for name in ("loss", "z_loss", "weight_sum")}
    factor = rng.choice([1, 3, 0.1, -7.5, 1e20])
    weights = _weights(rng, count)
    return Weighted(rows, targets, weights, smoothing, k, factor, cotangents, rng.choice(CONVENTIONS))


def _dense(rng, kind, classes):
    count = rng.choice([1, 2])
    rows, _, _, k = _rows(rng, kind, classes, count)
    q = [[rng.choice([0, 1, -1, 0.3, rng.gauss(0, 1)]) if x != -math.inf else 0 for x in row] for row in rows]
    return Dense(rows, q, k, {name: _cotangents(rng, count) for name in ("loss", "z_loss")})


def _hessian(rng, kind, classes):
    count = rng.choice([1, 1, 2])
    rows, targets, smoothing, k = _rows(rng, kind, classes, count)
    vector = [[rng.choice([0, 1, -2, 0.5, rng.gauss(0, 1)]) for _ in range(classes)] for _ in range(count)]
    weights, factor = _weights(rng, count), rng.choice([1, 3, 0.1])
    return Hessian(rows, targets, weights, smoothing, k, factor, vector, rng.choice(CONVENTIONS))


def _prediction(rng, kind, classes):
    count = rng.choice([1, 2])
    rows, targets, _, _ = _rows(rng, kind, classes, count)
    return Predictions(rows, targets, {name: _cotangents(rng, count) for name in ("target_log_probability", "entropy")})
