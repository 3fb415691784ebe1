"""A second implementation of the specification: plain, slow, and right. Mutants are edits of this file's text.

It shares no code with lossproof.impl, so that the suite is seen to accept more than one way of being right.
"""

import math
import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

FURTHER = ("target_log_probability", "predicted_class", "entropy")
LOGITS_TYPES = ("bfloat16", "float16", "float32", "float64")
NAMES = ("NUM_REAL_TARGET_TOKENS", "NUM_TOTAL_TARGET_TOKENS", "AVERAGE_PER_SEQUENCE")


def token_cross_entropy(
    logits,
    targets,
    *,
    label_smoothing=0.0,
    z_loss=0.0,
    smoothing="others",
    subtract_entropy=True,
    logit_softcap=None,
    also=(),
    axis_name=None,
):
    logits, targets = _joined(logits, targets, axis_name)
    logits, targets, e, k = _checked(logits, targets, label_smoothing, z_loss)
    how = _how(smoothing, subtract_entropy, logit_softcap, _carried(logits))
    unknown = [name for name in also if name not in FURTHER]
    if unknown:
        raise ValueError(f"unknown result {unknown[0]!r} in also: choose from {', '.join(FURTHER)}")
    in_range = _in_range(logits, targets)
    x, loss, z, log_z = _tokens(logits, targets, e, k, ~in_range, how)
    results = tuple(jnp.where(in_range, value, 0) for value in (loss, z, log_z))
    return results + tuple(_further(name, logits, x, targets, in_range) if name in also else None for name in FURTHER)


def compute_weighted_cross_entropy(
    logits,
    targets,
    weights=None,
    label_smoothing=0.0,
    z_loss=0.0,
    loss_normalizing_factor=None,
    *,
    smoothing="others",
    subtract_entropy=True,
    logit_softcap=None,
    axis_name=None,
):
    logits, targets = _joined(logits, targets, axis_name)
    logits, targets, e, k = _checked(logits, targets, label_smoothing, z_loss)
    how = _how(smoothing, subtract_entropy, logit_softcap, _carried(logits))
    carried = _carried(logits)
    if weights is None:
        weights = jnp.ones(logits.shape[:-1], carried)
    weights = _checked_weights(weights, logits).astype(carried)
    factor = _scalar(
        "loss_normalizing_factor", 1.0 if loss_normalizing_factor is None else loss_normalizing_factor, carried
    )
    in_range = _in_range(logits, targets)
    _, raw, _, _ = _tokens(lax.stop_gradient(logits), targets, e, k, ~in_range, how)
    dead = ~in_range | ((weights == 0) & ~jnp.isfinite(lax.stop_gradient(raw)))
    _, loss, z, _ = _tokens(logits, targets, e, k, dead, how, weights == 0)
    counted = jnp.where(in_range, weights, 0)
    loss, z = (jnp.where(dead, 0, _contribution(counted, factor, loss, value)) for value in (loss, z))
    weight_sum = _total(counted)
    return _total(loss), _total(z), weight_sum


def cross_entropy_with_logits(logits, targets, z_loss, *, axis_name=None):
    logits, targets = _joined(logits, targets, axis_name)
    logits = _checked_logits(logits)
    targets = _real_array("targets", targets)
    if targets.shape != logits.shape:
        raise ValueError(f"targets must have the shape of logits {logits.shape}, got {targets.shape}")
    carried = _carried(logits)
    k = _finite(_scalar("z_loss", z_loss, carried))
    loss, z, _ = _dense(logits.astype(carried), targets, k)
    return loss, z


def _joined(logits, targets, axis_name):
    """Whole rows, of logits and of dense targets, from the parts of all devices; every device has them all."""
    if axis_name is None:
        return logits, targets
    names = _axis_names(axis_name)
    whole = _gathered(logits, names)
    return whole, _gathered(targets, names) if jnp.shape(targets) == jnp.shape(logits) else targets


def _gathered(part, names):
    return lax.all_gather(part, names, axis=part.ndim - 1, tiled=True, to="invarying")


def _axis_names(axis_name):
    names = axis_name if isinstance(axis_name, (tuple, list)) else (axis_name,)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"axis_name must be a name or a sequence of names, got {axis_name!r}")
    for name in names:
        try:
            lax.axis_size(name)
        except NameError:
            raise ValueError(f"axis_name must be an axis that the call is inside of, got {name!r}") from None
    if len(set(names)) < len(names):
        raise ValueError(f"axis_name must name an axis once, got {axis_name!r}")
    return tuple(names)


class How(NamedTuple):
    uniform: bool
    subtract_entropy: bool
    cap: float | None


def _tokens(logits, targets, e, k, dead, how, weightless=False):
    """The logits behind the soft-cap, and the loss, z and log_z of each token, from logits that are 0 where it is
    dead. By e and k weightless tokens have no slopes: these may be infinite.
    """
    k = jnp.where(weightless, lax.stop_gradient(k), k)
    carried = _carried(logits)
    x = jnp.where(dead[..., None], 0, logits.astype(carried))
    x = x if how.cap is None else _capped(x, how.cap)
    if _is_dense(targets):
        q = jnp.where(dead[..., None], 0, targets)
        x = _undefined_unless_finite(x, q)
        return x, *_dense(x, q, k)
    classes = x.shape[-1]
    known, e = lax.stop_gradient(e), jnp.where(weightless, lax.stop_gradient(e), e)
    on, off, entropy = 1.0, 0.0, 0.0
    if classes > 1:
        on, off, entropy = 1 - known, known / (classes - 1), _entropy(known, classes)
    if classes > 1 and how.uniform:
        on, off = 1 - known + known / classes, known / classes
        entropy = -(_x_log_x(on) + (classes - 1) * _x_log_x(off))
    entropy = entropy if how.subtract_entropy else 0.0
    is_target = jnp.arange(classes) == targets[..., None]
    q = jnp.where((known >= 0) & (known <= 1), jnp.where(is_target, on, off), jnp.nan).astype(carried)
    loss, z, log_z = _terms(x, q, k)
    return x, _along_smoothing(loss - entropy, _smoothing_slope(x, is_target, e, how), e), z, log_z


def _capped(y, cap):
    masked = y == -jnp.inf
    undefined = jnp.where(jnp.isfinite(y) | masked, 0, jnp.nan)
    # The derivative at -inf is a product with 1 - tanh^2 = 0, so that a row of NaN stays one.
    return cap * jnp.tanh(y / cap) + undefined + jnp.where(masked, -jnp.inf, 0)


def _dense(x, targets, k):
    carried = x.dtype
    q = targets.astype(carried)
    return _terms(_undefined_unless_finite(x, q), q, k)


def _undefined_unless_finite(x, targets):
    defined = jnp.all(jnp.isfinite(targets), axis=-1, keepdims=True)
    return x + jnp.where(defined, 0, jnp.nan).astype(x.dtype)


def _further(name, logits, x, targets, in_range):
    undefined = jnp.isnan(_lse(x))
    if name == "predicted_class":
        logits = _in_order(logits)
        return jnp.where(in_range & ~undefined, jnp.argmax(logits, axis=-1).astype(jnp.int32), -1)
    if name == "entropy":
        return jnp.where(in_range, _prediction_entropy(x), 0)
    nothing = jnp.zeros((), x.dtype)
    q = targets if _is_dense(targets) else jnp.arange(x.shape[-1]) == jnp.maximum(targets, 0)[..., None]
    return jnp.where(in_range, -_dense(x, q, nothing)[0], 0)


def _in_order(x):
    """Integers in the order of the numbers: platforms that flush subnormals take them for 0 in comparisons, too."""
    bits = lax.bitcast_convert_type(x, jnp.dtype(f"int{8 * x.dtype.itemsize}"))
    return jnp.where(bits < 0, -(bits & jnp.iinfo(bits.dtype).max), bits)


@jax.custom_jvp
def _prediction_entropy(x):
    p, gaps = _softmax(x)[0], _gaps(x)
    return jnp.log1p(_exps(x)[1])[..., 0] + jnp.sum(_share(p, gaps), axis=-1)


@_prediction_entropy.defjvp
def _prediction_entropy_jvp(primals, tangents):
    p, gaps = _softmax(primals[0])[0], _gaps(primals[0])
    mean = jnp.sum(_share(p, gaps), axis=-1, keepdims=True)
    return _prediction_entropy(*primals), jnp.sum(_share(p, gaps - mean) * tangents[0], axis=-1)


def _share(p, gaps):
    return jnp.where(p == 0, 0, p * gaps)  # a gap of huge logits is infinite


def _gaps(x):
    return jnp.where(x == -jnp.inf, 0, _peak(x) - x)


@jax.custom_jvp
def _terms(x, q, k):
    """sum_j q_j (lse - x_j) + z, z and lse."""
    half, lse = _shortfall(x)
    scale = _scale(x)
    shortfall = scale[..., None] * half
    z = (k * lse) * lse
    terms = jnp.where(q == 0, 0, q * shortfall)
    xent, scaled_z = 2 * jnp.sum(terms, axis=-1), (k * (scale * lse)) * lse
    # An infinite xent outweighs a z that only overflows.
    return jnp.where(jnp.isinf(xent) & jnp.isinf(scaled_z), xent, xent + scaled_z) / scale, z, lse


def _terms_jvp(primals, tangents):
    x, q, k = primals
    dx, dq, dk = tangents
    out = _terms(x, q, k)
    dloss, dz, dlse = (jnp.zeros_like(value) for value in out)
    if not _absent(dx):
        p, complement = _softmax(x)
        lse = _lse(x)[..., None]
        mass = jnp.sum(q, axis=-1, keepdims=True)
        row = (mass - q) * p - q * complement
        k = jnp.broadcast_to(k, lse.shape[:-1])[..., None]
        z_row = 2 * (k * (lse * p))
        dloss = dloss + jnp.sum((row + z_row) * dx, axis=-1)
        dz = dz + jnp.sum(z_row * dx, axis=-1)
        dlse = dlse + jnp.sum(p * dx, axis=-1)
    if not _absent(dq):
        dloss = dloss + jnp.sum(_times(2 * _shortfall(x)[0], dq), axis=-1)
    if not _absent(dk):
        square = _lse(x) ** 2
        dloss, dz = dloss + _times(square, dk), dz + _times(square, dk)
    return out, (dloss, dz, dlse)


_terms.defjvp(_terms_jvp, symbolic_zeros=True)


def _scale(x):
    """A power of 2 for each row: the terms of huge logits may overflow where their sum does not."""
    largest = jnp.max(jnp.where(jnp.isfinite(x), jnp.abs(x), 0), axis=-1)
    return jnp.where(largest < 2.0 ** (jnp.finfo(x.dtype).maxexp - 28), 1, 2.0**-64).astype(x.dtype)


def _peak(x):
    return _finite(jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True))


def _top(x):
    # A NaN is none, so that it is in the rest: the maximum of a long row may leave it out (XLA for CPUs).
    return (jnp.arange(x.shape[-1]) == jnp.argmax(x, axis=-1)[..., None]) & ~jnp.isnan(x)


def _exps(x):
    exps = jnp.exp(x - _peak(x))
    top = _top(x)
    return (
        exps,
        jnp.sum(jnp.where(top, 0, exps), axis=-1, keepdims=True),
        jnp.sum(jnp.where(top, exps, 0), axis=-1, keepdims=True),
    )


def _shortfall(x):
    """Half of lse - x_j, which itself may overflow, and lse."""
    _, rest, _ = _exps(x)
    log_sum = jnp.log1p(rest)
    half = (0.5 * _peak(x) - 0.5 * x) + 0.5 * log_sum
    return half, (_peak(x) + log_sum)[..., 0]


def _softmax(x):
    exps, rest, top = _exps(x)
    total = rest + top
    p = exps / total
    return p, jnp.where(_top(x), rest / total, 1 - p)


@jax.custom_jvp
def _lse(x):
    return _shortfall(x)[1]


@_lse.defjvp
def _lse_jvp(primals, tangents):
    return _lse(*primals), jnp.sum(_softmax(primals[0])[0] * tangents[0], axis=-1)


def _entropy(e, classes):
    on = jnp.where(e == 1, 0, (1 - e) * jnp.log1p(-e))
    off = jnp.where(e == 0, 0, e * (jnp.log(e) - math.log(classes - 1)))
    return -(on + off)


def _x_log_x(x):
    return jnp.where(x == 0, 0, x * jnp.log(jnp.where(x == 0, 1, x)))


def _smoothing_slope(x, is_target, e, how):
    """The derivative of a token's loss by e; an infinite lse - x_j outweighs the logarithm."""
    if x.shape[-1] == 1:
        return jnp.zeros(x.shape[:-1], x.dtype)
    others = x.shape[-1] - 1
    half, _ = _shortfall(x)
    moved = 2 * (
        jnp.sum(jnp.where(is_target, 0, half / others), axis=-1) - jnp.sum(jnp.where(is_target, half, 0), axis=-1)
    )
    of_entropy = jnp.log1p(-e) + math.log(others) - jnp.log(e)
    if how.uniform:
        of_entropy = jnp.log(1 - e + e / (others + 1)) - jnp.log(e / (others + 1))
    if not how.subtract_entropy:
        of_entropy = jnp.zeros_like(e)
    slope = jnp.where(jnp.isinf(moved) & jnp.isinf(of_entropy), moved, moved - of_entropy)
    return slope * (others / (others + 1)) if how.uniform else slope


@jax.custom_jvp
def _along_smoothing(loss, slope, e):
    return loss


def _along_smoothing_jvp(primals, tangents):
    dloss, _, de = tangents
    loss, slope, _ = primals
    dloss = jnp.zeros_like(loss) if _absent(dloss) else dloss
    return loss, dloss if _absent(de) else dloss + _times(slope, de)


# The slope may be inf - inf, which a constant e has no part of.
_along_smoothing.defjvp(_along_smoothing_jvp, symbolic_zeros=True)


def _times(coefficient, tangent):
    """Their product with 0 * inf = 0, linear in the tangent: inf comes from finite factors."""
    if _absent(tangent):
        return jnp.zeros_like(coefficient)
    huge = jnp.asarray(2.0 ** (jnp.finfo(coefficient.dtype).maxexp - 28), coefficient.dtype)
    infinite = jnp.isinf(coefficient)
    once = jnp.where(infinite, jnp.copysign(huge, coefficient), coefficient) * tangent
    more = jnp.where(infinite, huge, 1)
    return (once * more) * more  # twice: a sum may take the last product unrounded, where inf - inf would be a number


def _usable(factor):
    """Whether L divides: a subnormal one counts as 0."""
    return jnp.isfinite(factor) & (jnp.abs(factor) >= jnp.finfo(factor.dtype).smallest_normal)


def _coefficient(weights, factor):
    """w / L; NaN where w or L is no number, but 0 for weight 0."""
    usable = _usable(factor)
    known = usable & jnp.isfinite(weights)
    plain = jnp.where(known, weights, 0) / jnp.where(usable, factor, 1)
    return jnp.where((weights != 0) & ~known, jnp.nan, plain)


@jax.custom_jvp
def _contribution(weights, factor, loss, value):
    return jnp.where(weights == 0, 0, _coefficient(weights, factor) * value)


def _contribution_jvp(primals, tangents):
    weights, factor, loss, value = primals
    dweights, dfactor, _, dvalue = tangents
    dweights, dvalue = (jnp.zeros_like(value) if _absent(tangent) else tangent for tangent in (dweights, dvalue))
    out = _contribution(*primals)
    usable = _usable(factor)
    safe = jnp.where(usable, factor, 1)
    by_weight = jnp.where(jnp.isfinite(loss) & usable, value, 0) / safe
    return out, _coefficient(weights, factor) * dvalue + by_weight * dweights - _times(out / safe, dfactor)


# An undefined token has no part in derivatives that are not by the factor.
_contribution.defjvp(_contribution_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _total(terms):
    """The sum, with the error of every addition carried along."""
    flat = terms.reshape(-1)

    def add(carry, term):
        high, low = carry
        total = high + term
        seen = total - high
        return (total, low + ((high - (total - seen)) + (term - seen))), None

    zero = jnp.zeros((), flat.dtype)
    (high, low), _ = lax.scan(add, (zero, zero), flat)
    return jnp.where(jnp.isfinite(high), high + low, jnp.sum(flat))


@_total.defjvp
def _total_jvp(primals, tangents):
    return _total(*primals), jnp.sum(tangents[0])  # tangents of any size, infinite ones too


def get_loss_normalizing_factor_and_weights(loss_normalizing_factor, batch):
    weights = batch.get("decoder_loss_weights")
    if not isinstance(loss_normalizing_factor, str):
        return loss_normalizing_factor, weights
    name = loss_normalizing_factor.upper()
    if name not in NAMES:
        raise ValueError(f"unknown loss normalizing factor {name!r}: choose one of {', '.join(NAMES)}")
    if weights is None or name == "NUM_TOTAL_TARGET_TOKENS":
        tokens = _from(batch, "decoder_target_tokens")
    if weights is None:
        weights = (tokens > 0).astype(jnp.float32)
    weights = _real_array("weights", weights)
    if name == "NUM_REAL_TARGET_TOKENS":
        return _total(weights.astype(_carried(weights))), weights
    if name == "NUM_TOTAL_TARGET_TOKENS":
        return math.prod(tokens.shape), weights
    weights = weights.astype(_carried(weights))
    sums = jnp.sum(weights, axis=-1, keepdims=True)
    if "decoder_segment_ids" in batch:
        ids, positions = _from(batch, "decoder_segment_ids"), _from(batch, "decoder_positions")
        weights = jnp.where(ids == 0, 0, weights)
        starts = (ids != jnp.roll(ids, 1, axis=-1)) | (positions == 0)
        number = jnp.cumsum(starts, axis=-1)
        sums = jnp.sum(jnp.where(number[..., :, None] == number[..., None, :], weights[..., None, :], 0), axis=-1)
    weights = jnp.where(sums == 0, 0, weights / jnp.where(sums == 0, 1, sums))
    return _total(weights), weights


def _from(batch, key):
    if key not in batch:
        raise ValueError(f"batch must have {key!r}, got {sorted(batch)}")
    return jnp.asarray(batch[key])


def _array(value):
    """As it came, in the byte order of this machine: jax would cut 64 bits."""
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder("="))
    return value if isinstance(value, jax.Array) or hasattr(value, "__jax_array__") else np.asarray(value)


def _real_array(name, value):
    array = _array(value)
    if isinstance(array, np.ndarray) and array.dtype in (np.int64, np.uint64):
        array = array.astype(np.float64)
    array = jnp.asarray(array)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must be real, got {array.dtype}")
    return array


def _checked(logits, targets, label_smoothing, z_loss):
    logits = _checked_logits(logits)
    carried = _carried(logits)
    e, k = _scalar("label_smoothing", label_smoothing, carried), _finite(_scalar("z_loss", z_loss, carried))
    known_e = None if isinstance(label_smoothing, jax.core.Tracer) else float(label_smoothing)
    targets = _array(targets)
    if targets.dtype in (np.int64, np.uint64):
        arrays = jnp if isinstance(targets, jax.Array) else np
        inside = (targets >= 0) & (targets < logits.shape[-1])
        targets = arrays.where(inside, arrays.where(inside, targets, 0).astype(np.int32), np.int32(-1))
    targets = jnp.asarray(targets)
    if _is_dense(targets):
        if targets.shape != logits.shape:
            raise ValueError(f"dense targets must have the shape of logits {logits.shape}, got {targets.shape}")
        if known_e != 0:
            raise ValueError(f"label_smoothing must be 0 with dense targets, got {label_smoothing}: smooth the targets")
        return logits, targets.astype(carried), e, k
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"targets must be integers, got {targets.dtype}")
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets must have the shape of logits {logits.shape} without the last axis, got {targets.shape}"
        )
    if known_e is not None and not 0 <= known_e <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing}")
    wide = jnp.where(targets > np.int32(2**31 - 1), -1, targets) if targets.dtype == jnp.uint32 else targets
    return logits, wide.astype(jnp.int32), e, k


def _how(smoothing, subtract_entropy, cap, carried):
    if smoothing not in ("others", "uniform"):
        raise ValueError(f"smoothing must be 'others' or 'uniform', got {smoothing!r}")
    if cap is not None:
        if isinstance(cap, bool) or not isinstance(cap, numbers.Real):
            raise TypeError(f"logit_softcap must be None or a known real number, got {cap!r}")
        cap, limits = float(cap), jnp.finfo(carried)
        if not float(limits.smallest_normal) <= cap <= float(limits.max):
            raise ValueError(f"logit_softcap must be positive and finite, got {cap!r}")
    return How(smoothing == "uniform", subtract_entropy, cap)


def _checked_logits(logits):
    logits = jnp.asarray(_array(logits))
    if logits.dtype.name not in LOGITS_TYPES:
        raise TypeError(f"logits must be one of {', '.join(LOGITS_TYPES)}, got {logits.dtype}")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits must have at least one class, got {logits.shape}")
    return logits


def _checked_weights(weights, logits):
    weights = _real_array("weights", weights)
    if weights.shape != logits.shape[:-1]:
        raise ValueError(
            f"weights must have the shape of logits {logits.shape} without the last axis, got {weights.shape}"
        )
    return weights


def _scalar(name, value, dtype):
    value = _array(float(value) if isinstance(value, numbers.Rational) and not isinstance(value, bool) else value)
    if not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if jnp.shape(value) != ():
        raise ValueError(f"{name} must be a scalar, got an array of shape {jnp.shape(value)}")
    return jnp.asarray(value, dtype)


def _is_dense(targets):
    return jnp.issubdtype(targets.dtype, jnp.floating)


def _in_range(logits, targets):
    if _is_dense(targets):
        return jnp.ones(logits.shape[:-1], bool)
    return (targets >= 0) & (targets < logits.shape[-1])


def _carried(logits):
    return jnp.float64 if logits.dtype == jnp.float64 else jnp.float32


def _finite(value):
    return jnp.where(jnp.isfinite(value), value, jnp.nan)


def _absent(tangent):
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)
