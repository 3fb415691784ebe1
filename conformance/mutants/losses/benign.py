"""Losses as good as the base that go about it another way: each must pass everything."""

from lossproof.conformance.mutants._edit import Edit
from lossproof.spec import DENSE, FACTOR, TOKEN, WEIGHTED

# Where an edit of a row's arithmetic, and one of the total's, meets every line that it can change: hard and dense
# targets with all their outputs, and what adds up over the tokens.
_ROWS, _TOTALS = (TOKEN, DENSE), (WEIGHTED, FACTOR)

_EXPS = "def _exps(x):\n    exps = jnp.exp(x - _peak(x))\n"
_REST = "        jnp.sum(jnp.where(top, 0, exps), axis=-1, keepdims=True),\n"
_TOTAL = (
    "    def add(carry, term):\n"
    "        high, low = carry\n"
    "        total = high + term\n"
    "        seen = total - high\n"
    "        return (total, low + ((high - (total - seen)) + (term - seen))), None\n\n"
    "    zero = jnp.zeros((), flat.dtype)\n"
    "    (high, low), _ = lax.scan(add, (zero, zero), flat)\n"
    "    return jnp.where(jnp.isfinite(high), high + low, jnp.sum(flat))\n"
)

# [..., V] as [..., blocks, block], filled up with a number that takes no part.
_IN_BLOCKS = (
    "def _in_blocks(x, fill, block=64):\n"
    "    room = [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % block)]\n"
    "    return jnp.pad(x, room, constant_values=fill).reshape(*x.shape[:-1], -1, block)\n\n\n"
)

# Sums by halving; with the error of every addition carried along.
_HALVED = (
    "def _halved(terms):\n"
    "    while terms.shape[-1] > 1:\n"
    "        terms = jnp.pad(terms, [(0, 0)] * (terms.ndim - 1) + [(0, terms.shape[-1] % 2)])\n"
    "        terms = terms[..., ::2] + terms[..., 1::2]\n"
    "    return terms\n\n\n"
)
_HALVED_EXACTLY = (
    "def _halved_exactly(high):\n"
    "    low = jnp.zeros_like(high)\n"
    "    while high.shape[-1] > 1:\n"
    "        room = [(0, 0)] * (high.ndim - 1) + [(0, high.shape[-1] % 2)]\n"
    "        (a, b), (c, d) = ((y[..., ::2], y[..., 1::2]) for y in (jnp.pad(high, room), jnp.pad(low, room)))\n"
    "        high = a + b\n"
    "        seen = high - a\n"
    "        low = c + d + ((a - (high - seen)) + (b - seen))\n"
    "    return high + low\n\n\n"
)


def _summed(name: str, what: str, helper: str, rest: str) -> Edit:
    """Another sum of the exponentials but the largest."""
    new = f"{helper}{_EXPS}    top = _top(x)\n    return (\n        exps,\n        {rest},\n"
    return Edit(name, (), what, f"{_EXPS}    top = _top(x)\n    return (\n        exps,\n{_REST}", new, functions=_ROWS)


BENIGN = (
    Edit("base", (), "the base itself", "_total(terms):", "_total(terms):"),
    _summed(
        "summed_backwards",
        "the classes are summed in the other order",
        "",
        "jnp.sum(jnp.where(top, 0, exps)[..., ::-1], axis=-1, keepdims=True)",
    ),
    _summed(
        "summed_in_blocks",
        "sums of blocks of 64 classes, added up one after the other",
        _IN_BLOCKS,
        "lax.scan(lambda s, y: (s + y, None), jnp.zeros_like(exps[..., :1]), "
        "jnp.moveaxis(jnp.sum(_in_blocks(jnp.where(top, 0, exps), 0), axis=-1), -1, 0)[..., None])[0]",
    ),
    _summed(
        "summed_by_halving",
        "a tree of additions of neighbours",
        _HALVED,
        "_halved(jnp.where(top, 0, exps))",
    ),
    _summed(
        "summed_with_errors",
        "the error of every addition is carried along (two-sum)",
        _HALVED_EXACTLY,
        "_halved_exactly(jnp.where(top, 0, exps))",
    ),
    _summed(
        "running_maximum",
        "one pass over blocks that keeps a maximum and the sum of all others, rescaled when the maximum moves",
        _IN_BLOCKS
        + (
            "def _running_rest(x):\n"
            "    def step(state, block):\n"
            "        peak = jnp.max(lax.stop_gradient(block), axis=-1)\n"
            "        exps = jnp.exp(block - jnp.where(peak == -jnp.inf, 0, peak)[..., None])\n"
            "        top = _top(block)\n"
            "        found = (peak, *(jnp.sum(jnp.where(kept, exps, 0), axis=-1) for kept in (top, ~top)))\n"
            "        return _merged(state, found), None\n\n"
            "    nothing = jnp.zeros_like(x[..., 0])\n"
            "    start = (jnp.full_like(nothing, -jnp.inf), nothing, nothing)\n"
            "    (peak, _, rest), _ = lax.scan(step, start, jnp.moveaxis(_in_blocks(x, -jnp.inf, 8), -2, 0))\n"
            "    return (rest + jnp.where(jnp.isfinite(peak), 0, jnp.nan))[..., None]\n\n\n"
            "def _merged(a, b):\n"
            "    (high, top, rest), (low, *others) = (\n"
            "        tuple(jnp.where((a[0] >= b[0]) == first, y, z) for y, z in zip(a, b)) for first in (True, False)\n"
            "    )\n"
            "    scale = jnp.where(low == -jnp.inf, 0, jnp.exp(low - jnp.where(high == -jnp.inf, 0, high)))\n"
            "    return jnp.maximum(a[0], b[0]), top, rest + sum(others) * scale\n\n\n"
        ),
        "_running_rest(x)",
    ),
    Edit(
        "rescaled_blocks",
        (),
        "the exponentials of each block are relative to its own maximum, and rescaled to that of the row",
        _EXPS,
        _IN_BLOCKS + "def _exps(x):\n"
        "    blocks = _in_blocks(x, -jnp.inf, 8)\n"
        "    peaks = jnp.max(lax.stop_gradient(blocks), axis=-1, keepdims=True)\n"
        "    peaks = jnp.where(peaks == -jnp.inf, _peak(x)[..., None], peaks)\n"
        "    exps = jnp.exp(blocks - peaks) * jnp.exp(peaks - _peak(x)[..., None])\n"
        "    exps = exps.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]\n",
        functions=_ROWS,
    ),
    Edit(
        "reciprocal",
        (),
        "one reciprocal and V products for V quotients",
        "    p = exps / total\n",
        "    p = exps * (1 / total)\n",
        functions=_ROWS,
    ),
    Edit(
        "log_where_it_will_do",
        (),
        "log s where s is far from 1, log1p(r) elsewhere",
        "    log_sum = jnp.log1p(rest)\n",
        "    log_sum = jnp.where(rest < 0.5, jnp.log1p(rest), jnp.log(1 + rest))\n",
        functions=_ROWS,
    ),
    Edit(
        "complement_as_quotient",
        (),
        "1 - p_j as (s - e_j) / s for every class",
        "return p, jnp.where(_top(x), rest / total, 1 - p)",
        "return p, jnp.where(_top(x), rest, total - exps) / total",
        functions=_ROWS,
    ),
    Edit(
        "gradient_in_two_forms",
        (),
        "Q p_j - q_j where it does not cancel, and q_j (1 - p_j) where q_j is all of Q",
        "        row = (mass - q) * p - q * complement",
        "        row = jnp.where(q == mass, -q * complement, mass * p - q)",
        functions=_ROWS,
    ),
    Edit(
        "dot_product",
        (),
        "the terms of the loss are multiplied and added by one dot product, which may fuse the two",
        "    terms = jnp.where(q == 0, 0, q * shortfall)\n    xent, scaled_z = 2 * jnp.sum(terms, axis=-1),",
        '    terms = jnp.einsum("...v,...v->...", q, jnp.where(q == 0, 0, shortfall))\n    xent, scaled_z = 2 * terms,',
        functions=_ROWS,
    ),
    Edit(
        "logarithm_of_quotient",
        (),
        "log(e / (V - 1)) for log e - log(V - 1), all of it in the carried type",
        "off = jnp.where(e == 0, 0, e * (jnp.log(e) - math.log(classes - 1)))",
        "off = jnp.where(e == 0, 0, e * jnp.log(e / (classes - 1)))",
        functions=_ROWS,
    ),
    Edit(
        "total_by_halving",
        (),
        "a tree over the tokens, with the error of every addition carried along",
        _TOTAL,
        "    total = _halved_exactly(flat if flat.size else jnp.zeros(1, flat.dtype))[0]\n"
        "    return jnp.where(jnp.isfinite(total), total, jnp.sum(flat))\n\n\n" + _HALVED_EXACTLY.rstrip("\n") + "\n",
        functions=_TOTALS,
    ),
    Edit(
        "one_ulp_high",
        (),
        "every loss is rounded up once more, as by a product with 1 + 2 u",
        "xent, xent + scaled_z) / scale, z, lse",
        "xent, xent + scaled_z) / scale * (1 + jnp.finfo(x.dtype).eps), z, lse",
        functions=_ROWS,
    ),
    Edit(
        "gradients_one_ulp_low",
        (),
        "every entry of the logits gradient is rounded down once more",
        "        row = (mass - q) * p - q * complement",
        "        row = ((mass - q) * p - q * complement) * (1 - jnp.finfo(x.dtype).eps)",
        functions=_ROWS,
    ),
    Edit(
        "powers_of_2",
        (),
        "exp2 of the gap in units of ln 2, split in two so that its rounding does not grow with the gap",
        _EXPS,
        "def _exps(x):\n"
        "    gap = x - _peak(x)\n"
        "    whole = jnp.round(gap * (1 / math.log(2)))\n"
        "    # ln 2 in a part whose products with small integers are exact, and the rest\n"
        "    high = 0.693145751953125\n"
        "    part = (gap - whole * high) - whole * (math.log(2) - high)\n"
        "    power = jnp.exp2(jnp.where(jnp.isfinite(gap), part, 0) * (1 / math.log(2)))\n"
        "    tiny = jnp.finfo(x.dtype).smallest_normal\n"
        "    shift = jnp.clip(jnp.where(jnp.isfinite(gap), whole, 0), math.log2(tiny), 0)\n"
        "    exps = jnp.where(gap < math.log(tiny), 0, power * jnp.exp2(shift))\n"
        "    exps = jnp.where(jnp.isnan(gap), jnp.nan, exps)\n",
        functions=_ROWS,
    ),
    Edit(
        "subnormals_flushed",
        (),
        "exponentials below the smallest normal number are 0, as on a platform that flushes",
        _EXPS,
        f"{_EXPS}    exps = jnp.where(exps < jnp.finfo(x.dtype).smallest_normal, 0, exps)\n",
        functions=_ROWS,
    ),
    Edit(
        "even_and_odd_classes",
        (),
        "the sum of the exponentials is that of even and of odd classes",
        _REST,
        "        jnp.sum(jnp.where(top, 0, exps)[..., ::2], axis=-1, keepdims=True)\n"
        "        + jnp.sum(jnp.where(top, 0, exps)[..., 1::2], axis=-1, keepdims=True),\n",
        functions=_ROWS,
    ),
    Edit(
        "plain_formulas",
        (),
        "jnp alone, without a derivative by hand",
        file="_good_jnp.py",
    ),
    Edit("numpy_alone", (), "NumPy alone, without derivatives: the values of each token", file="_good_numpy.py"),
    Edit(
        "joined_by_sum",
        (),
        "each device's classes in their place among zeros, and a sum over the devices",
        '    return lax.all_gather(part, names, axis=part.ndim - 1, tiled=True, to="invarying")',
        "    own, last = part.shape[-1], part.ndim - 1\n"
        "    room = jnp.zeros((*part.shape[:-1], own * lax.axis_size(names)), part.dtype)\n"
        "    place = own * lax.axis_index(names)\n"
        "    return lax.psum(lax.dynamic_update_slice_in_dim(room, part, place, last), names)",
    ),
)
