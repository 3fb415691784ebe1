"""Bugs that need two features of a call at once, or a shape that few tests have."""

from lossproof.conformance.mutants._edit import Edit

_WEIGHTS = "    weights = _checked_weights(weights, logits).astype(carried)\n"
_FURTHER = "_further(name, logits, x, targets, in_range) if name in also"

WHERE_FEATURES_MEET = (
    Edit(
        "integer_weights_as_mask",
        ("VALUE-5",),
        "weights of integers are taken for a mask of 0 and 1",
        _WEIGHTS,
        "    weights = _checked_weights(weights, logits)\n"
        "    if jnp.issubdtype(weights.dtype, jnp.integer):\n"
        "        weights = weights != 0\n"
        "    weights = weights.astype(carried)\n",
    ),
    Edit(
        "weights_of_dense_totals_constant",
        ("GRAD-2",),
        "the total of dense targets has no derivative by the weights",
        _WEIGHTS,
        f"{_WEIGHTS}    weights = lax.stop_gradient(weights) if _is_dense(targets) else weights\n",
    ),
    Edit(
        "further_result_alone_before_softcap",
        ("VALUE-15",),
        "one further result alone is taken from the logits before the soft-cap",
        _FURTHER,
        "_further(name, logits, x if len(also) > 1 else logits.astype(x.dtype), targets, in_range) if name in also",
    ),
    Edit(
        "entropy_constant_beside_others",
        ("GRAD-13",),
        "entropy has a derivative only where it is the one further result",
        _FURTHER,
        "(lax.stop_gradient if name == FURTHER[2] and len(also) > 1 else lambda value: value)(\n"
        "        _further(name, logits, x, targets, in_range)\n"
        "    ) if name in also",
    ),
    Edit(
        "last_tokens_dropped",
        ("SHAPE-1",),
        "totals of more than 4096 tokens are of whole blocks of 1024",
        "    flat = terms.reshape(-1)\n",
        "    flat = terms.reshape(-1)\n    flat = flat if flat.size <= 4096 else flat[: flat.size // 1024 * 1024]\n",
    ),
    Edit(
        "targets_in_17_bits",
        ("VALUE-1",),
        "class numbers are packed into 17 bits: right up to class 131071",
        "    is_target = jnp.arange(classes) == targets[..., None]",
        "    is_target = jnp.arange(classes) == (targets[..., None] & 0x1FFFF)",
    ),
    Edit(
        "no_curvature_of_16_bits",
        ("GRAD-9",),
        "for 16-bit logits the backward is a constant to the second derivative",
        "    loss, z, log_z = _terms(x, q, k)\n    return x, _along",
        "    loss, z, log_z = _terms(x, q, k)\n"
        "    if logits.dtype.itemsize == 2:\n"
        "        still = lax.stop_gradient(x)\n"
        "        slope = lax.stop_gradient(jax.grad(lambda y: jnp.sum(_terms(y, q, k)[0]))(still))\n"
        "        moved = jnp.where(jnp.isfinite(still), slope * (x - still), slope * 0)\n"
        "        loss = _terms(still, q, k)[0] + jnp.sum(moved, axis=-1)\n"
        "    return x, _along",
    ),
    Edit(
        "nan_behind_column_512",
        ("STATE-3",),
        "only the first block is looked at for NaN, and a NaN behind it counts as masked",
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried))",
        "    behind = jnp.arange(logits.shape[-1]) >= 512\n"
        "    logits = jnp.where(jnp.isnan(logits) & behind, -jnp.inf, logits)\n"
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried))",
    ),
    Edit(
        "softcap_of_masked_block",
        ("VALUE-11",),
        "with a soft-cap a first block that is all masked ends in -inf - -inf",
        "    undefined = jnp.where(jnp.isfinite(y) | masked, 0, jnp.nan)",
        "    hidden = jnp.all(masked[..., :4], axis=-1, keepdims=True) & (y.shape[-1] > 4)\n"
        "    undefined = jnp.where((jnp.isfinite(y) | masked) & ~hidden, 0, jnp.nan)",
    ),
    Edit(
        "uint8_targets_signed",
        ("SHAPE-2",),
        "bytes are read as signed: classes from 128 on count as padding",
        "    return logits, wide.astype(jnp.int32), e, k\n",
        "    wide = wide.astype(jnp.int8) if targets.dtype == jnp.uint8 else wide\n"
        "    return logits, wide.astype(jnp.int32), e, k\n",
    ),
    Edit(
        "second_pull_back_doubled",
        ("GRAD-7",),
        "a backward scales what it saved in place, and the second pull-back finds it scaled",
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried))",
        "    pulls = []\n"
        "    kept = jax.custom_vjp(lambda y: y)\n"
        "    kept.defvjp(lambda y: (y, None), lambda _, ct: (pulls.append(ct) or ct * len(pulls),))\n"
        "    x = kept(jnp.where(dead[..., None], 0, logits.astype(carried)))",
    ),
    Edit(
        "real_tokens_in_own_type",
        ("NORM-4",),
        "weights are summed in their own type: 1001 bfloat16 ones are 512",
        '        return _total(weights.astype(_carried(weights))), weights\n    if name == "NUM_TOTAL',
        '        return _total(weights), weights\n    if name == "NUM_TOTAL',
    ),
    Edit(
        "minus_0_is_a_weight",
        ("EXCL-1",),
        "a weight of -0 does not exclude its token",
        "    dead = ~in_range | ((weights == 0) &",
        "    dead = ~in_range | ((weights == 0) & ~jnp.signbit(weights) &",
    ),
    Edit(
        "log_probability_of_likeliest_class",
        ("VALUE-13",),
        "target_log_probability of dense targets is that of the class with the most mass",
        "    q = targets if _is_dense(targets) else",
        "    if _is_dense(targets):\n"
        "        targets = jnp.where(jnp.all(jnp.isfinite(targets), axis=-1, keepdims=True), _top(targets), targets)\n"
        "    q = targets if _is_dense(targets) else",
    ),
    Edit(
        "class_behind_softcap",
        ("VALUE-14",),
        "the predicted class is looked up behind the soft-cap, where large logits are equal",
        "        logits = _in_order(logits)\n",
        "        logits = _in_order(x)\n",
    ),
    Edit(
        "factor_sign_lost_in_slope",
        ("GRAD-5",),
        "the derivative by a negative factor has the other sign",
        "by_weight * dweights - _times(out / safe, dfactor)",
        "by_weight * dweights - _times(out / jnp.abs(safe), dfactor)",
    ),
    Edit(
        "mixed_derivative_frozen",
        ("GRAD-11",),
        "the logits gradient is a constant to the weights",
        "_coefficient(weights, factor) * dvalue",
        "_coefficient(lax.stop_gradient(weights), factor) * dvalue",
    ),
    Edit(
        "excluded_slope_in_forward_mode",
        ("GRAD-8",),
        "weight 0 times the infinite slope of a token is NaN in forward mode",
        "    known, e = lax.stop_gradient(e), jnp.where(weightless, lax.stop_gradient(e), e)\n",
        "    known = lax.stop_gradient(e)\n",
    ),
    Edit(
        "rounding_of_infinite_slopes",
        ("GRAD-8",),
        "what a sum of tangents has rounded off is inf - inf where a slope is infinite",
        "    return _total(*primals), jnp.sum(tangents[0])",
        "    moved = jnp.sum(tangents[0])\n    return _total(*primals), moved + (moved - moved)",
    ),
    Edit(
        "entropy_of_huge_logits_undefined",
        ("VALUE-15",),
        "a probability of 0 times the infinite gap of huge logits is NaN in the entropy",
        "    return jnp.where(p == 0, 0, p * gaps)",
        "    return p * gaps",
    ),
)
