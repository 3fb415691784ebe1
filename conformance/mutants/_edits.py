"""Broken losses: the smallest edits of `_base.py` that bring back bugs seen in the field; and variants that are as
good.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """An edit of the base's text.

    Attributes:
      name: of the mutant.
      clauses: of SPEC.md that it breaks, the one that says so best first; none for a benign variant.
      what: one line about the bug, and where it was seen.
      old: text that is in the base once.
      new: what takes its place.
    """

    name: str
    clauses: tuple[str, ...]
    what: str
    old: str
    new: str


MUTANTS = (
    Edit(
        "smoothing_over_all_classes",
        ("VALUE-2",),
        "e / V for e / (V - 1): torch's, optax's and Keras's convention under t5x's name",
        "on, off, entropy = 1 - known, known / (classes - 1), _entropy(known, classes)",
        "on, off, entropy = 1 - known, known / classes, _entropy(known, classes)",
    ),
    Edit(
        "entropy_missing",
        ("VALUE-3",),
        "the constant H is not subtracted",
        "_along_smoothing(loss - entropy, ",
        "_along_smoothing(loss, ",
    ),
    Edit(
        "entropy_twice",
        ("VALUE-3",),
        "the constant H is subtracted by the loss and again by its caller",
        "_along_smoothing(loss - entropy, ",
        "_along_smoothing(loss - 2 * entropy, ",
    ),
    Edit(
        "z_loss_not_in_loss",
        ("VALUE-4",),
        "z is returned but not added to the loss",
        "return 2 * jnp.sum(terms, axis=-1) + z, z, lse",
        "return 2 * jnp.sum(terms, axis=-1), z, lse",
    ),
    Edit(
        "z_gradient_without_2",
        ("GRAD-1",),
        "k lse p for 2 k lse p in a hand-written backward",
        "z_row = 2 * (k * (lse * p))",
        "z_row = k * (lse * p)",
    ),
    Edit(
        "z_cotangent_dropped",
        ("GRAD-7", "DIFF-10"),
        "the backward ignores the cotangent of the returned z_loss (t5x.losses)",
        "dz = dz + jnp.sum(z_row * dx, axis=-1)",
        "dz = dz + 0 * jnp.sum(dx, axis=-1)",
    ),
    Edit(
        "k_not_differentiated",
        ("GRAD-3", "DIFF-10"),
        "the derivative by the coefficient is silently 0 (t5x.losses)",
        "    if not _absent(dk):",
        "    if False:",
    ),
    Edit(
        "two_formulas",
        ("VALUE-9", "DIFF-1"),
        "evaluation takes log_softmax, training the fused formula (t5x.losses)",
        "    out = _terms(x, q, k)\n    dloss",
        "    out = _terms(x, q, k)\n    flat = _lse(x)[..., None]\n"
        "    out = (jnp.sum(jnp.where(q == 0, 0, q * (flat - x)), axis=-1) + out[1], *out[1:])\n    dloss",
    ),
    Edit(
        "no_max_shift",
        ("STATE-4", "ACC-2"),
        "exp of the logits themselves overflows",
        "return _finite(jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True))",
        "return 0 * _finite(jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True))",
    ),
    Edit(
        "lse_minus_logit",
        ("ACC-1", "ACC-2"),
        "lse - x_t loses the digits of confident tokens and of offset logits (optax, t5x.losses)",
        "half = (0.5 * _peak(x) - 0.5 * x) + 0.5 * log_sum",
        "half = 0.5 * (_peak(x) + log_sum) - 0.5 * x",
    ),
    Edit(
        "exp_of_difference_to_lse",
        ("ACC-2",),
        "the backward keeps lse alone and forms exp(x - lse)",
        "    p = exps / total\n",
        "    p = jnp.exp(x - (_peak(x) + jnp.log(total)))\n",
    ),
    Edit(
        "target_complement_by_subtraction",
        ("ACC-3",),
        "p_t - 1 formed by subtraction is 0 for a confident token (optax, torch, t5x.losses)",
        "return p, jnp.where(_top(x), rest / total, 1 - p)",
        "return p, 1 - p",
    ),
    Edit(
        "carried_in_16_bits",
        ("ACC-5", "SHAPE-3", "DIFF-12"),
        "the loss of bfloat16 logits is carried in bfloat16 (optax, t5x.losses)",
        "return jnp.float64 if logits.dtype == jnp.float64 else jnp.float32",
        "return logits.dtype",
    ),
    Edit(
        "weight_twice",
        ("VALUE-5",),
        "the weight is applied by the loss and again by the total",
        "plain = jnp.where(known, weights, 0) /",
        "plain = jnp.where(known, weights * weights, 0) /",
    ),
    Edit(
        "factor_in_weight_sum",
        ("VALUE-6",),
        "the returned weight_sum is already divided by the factor",
        "weight_sum = _total(counted)",
        "weight_sum = _total(counted) / factor",
    ),
    Edit(
        "target_clamped",
        ("EXCL-2", "DIFF-3"),
        "an out-of-range target is clamped to the last class",
        "    return (targets >= 0) & (targets < logits.shape[-1])",
        "    return targets == targets",
    ),
    Edit(
        "negative_target_wrapped",
        ("EXCL-2", "DIFF-3"),
        "-1 counts as the last class (optax's integer labels)",
        "wide = jnp.where(targets > np.int32(2**31 - 1), -1, targets) if targets.dtype == jnp.uint32 else targets",
        "wide = jnp.where(targets < 0, targets + logits.shape[-1], targets)",
    ),
    Edit(
        "out_of_range_counted",
        ("EXCL-2",),
        "a target that is out of range still counts in weight_sum",
        "weight_sum = _total(counted)",
        "weight_sum = _total(weights)",
    ),
    Edit(
        "out_of_range_gradient",
        ("EXCL-2", "DIFF-3"),
        "an out-of-range target has loss 0 but the gradient softmax (t5x.losses)",
        "    results = tuple(jnp.where(in_range, value, 0) for value in (loss, z, log_z))",
        "    _, free, _, _ = _tokens(logits, targets, e, k, in_range & False, how)\n"
        "    results = tuple(jnp.where(in_range, value, free - lax.stop_gradient(free)) for value in (loss, z, log_z))",
    ),
    Edit(
        "nan_under_weight_0",
        ("EXCL-1", "DIFF-7"),
        "0 * NaN: a padded token's logits reach the loss and the gradient",
        "    dead = ~in_range | ((weights == 0) & ~jnp.isfinite(lax.stop_gradient(raw)))",
        "    dead = ~in_range",
    ),
    Edit(
        "padding_divided_by_0",
        ("EXCL-3", "DIFF-8"),
        "an all-padding batch with L = 0 is 0 / 0",
        "return jnp.where((weights != 0) & ~known, jnp.nan, plain)",
        "return jnp.where(~known, jnp.nan, plain)",
    ),
    Edit(
        "masked_logit_times_0",
        ("STATE-1", "DIFF-2"),
        "0 * inf: one -inf logit off the target makes the loss NaN (t5x.losses, optax on one-hot targets)",
        "terms = jnp.where(q == 0, 0, q * shortfall)",
        "terms = q * shortfall",
    ),
    Edit(
        "one_class_smoothed",
        ("STATE-6", "DIFF-4"),
        "an entropy constant for the only class, which leaves a loss below 0 (t5x.losses)",
        "on, off, entropy = 1.0, 0.0, 0.0",
        "on, off, entropy = 1.0, 0.0, _entropy(known, 2)",
    ),
    Edit(
        "full_smoothing_nan",
        ("STATE-7", "DIFF-5"),
        "0 log 0 at e = 1 (t5x.losses)",
        "on = jnp.where(e == 1, 0, (1 - e) * jnp.log1p(-e))",
        "on = (1 - e) * jnp.log1p(-e)",
    ),
    Edit(
        "gap_overflows",
        ("STATE-4", "DIFF-6"),
        "exponentials of a sum that is already infinite: [3e38, 3e38, 3e38] gives NaN (t5x.losses)",
        "exps = jnp.exp(x - _peak(x))",
        "exps = jnp.exp(2 * x - 2 * _peak(x) - (x - _peak(x)))",
    ),
    Edit(
        "gradient_p_minus_q",
        ("GRAD-1", "DIFF-9"),
        "p - q for targets that do not sum to 1 (t5x.losses)",
        "mass = jnp.sum(q, axis=-1, keepdims=True)",
        "mass = 1",
    ),
    Edit(
        "no_forward_mode",
        ("GRAD-8", "DIFF-11"),
        "a custom_vjp shuts out jvp (t5x.losses)",
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried))",
        "    backward_only = jax.custom_vjp(lambda y: y)\n"
        "    backward_only.defvjp(lambda y: (y, None), lambda _, ct: (ct,))\n"
        "    x = backward_only(jnp.where(dead[..., None], 0, logits.astype(carried)))",
    ),
    Edit(
        "second_order_frozen",
        ("GRAD-9",),
        "the softmax is a constant to the second derivative",
        "        p, complement = _softmax(x)\n",
        "        p, complement = lax.stop_gradient(_softmax(x))\n",
    ),
    Edit(
        "mean_without_denominator",
        ("GRAD-1",),
        "the backward of a mean forgets to divide",
        "return out, _coefficient(weights, factor) * dvalue",
        "return out, _coefficient(weights, factor) * safe * dvalue",
    ),
    Edit(
        "gradient_filtered",
        ("ACC-3",),
        "entries below a threshold are dropped (cut-cross-entropy's filter)",
        "        row = (mass - q) * p - q * complement",
        "        row = (mass - q) * p - q * complement\n        row = jnp.where(jnp.abs(row) < 2.0**-12, 0, row)",
    ),
    Edit(
        "label_without_gradient",
        ("GRAD-1",),
        "the target's own entry is left at p",
        "        row = (mass - q) * p - q * complement",
        "        row = mass * p + 0 * complement",
    ),
    Edit(
        "running_sum_in_float32",
        ("ACC-4",),
        "small losses vanish beside a large one in a plain running sum",
        "    return jnp.where(jnp.isfinite(high), high + low, jnp.sum(flat))",
        "    return jnp.where(jnp.isfinite(high), high, jnp.sum(flat))",
    ),
    Edit(
        "weights_not_learned_from_0",
        ("GRAD-2", "GRAD-11"),
        "a weight of 0 has derivative 0, and learning of weights never starts",
        "    dead = ~in_range | ((weights == 0) &",
        "    dead = ~in_range | (weights == 0) | ((weights == 0) &",
    ),
    Edit(
        "constant_in_entropy_log",
        ("GRAD-4", "DIFF-14"),
        "1e-20 inside the log of H (t5x.losses)",
        "of_entropy = jnp.log1p(-e) + math.log(others) - jnp.log(e)",
        "of_entropy = jnp.log1p(-e) - jnp.log(e / others + 1e-20)",
    ),
    Edit(
        "factor_not_differentiated",
        ("GRAD-5",),
        "the factor counts as a constant",
        "by_weight * dweights - out / safe * dfactor",
        "by_weight * dweights",
    ),
    Edit(
        "packed_by_running_sums",
        ("NORM-7", "DIFF-13"),
        "differences of running sums lose a short segment behind a heavy one (t5x.losses)",
        "sums = jnp.sum(jnp.where(number[..., :, None] == number[..., None, :], weights[..., None, :], 0), axis=-1)",
        "running = jnp.cumsum(weights, axis=-1)\n"
        "        same = number[..., :, None] == number[..., None, :]\n"
        "        last = jnp.max(jnp.where(same, jnp.arange(weights.shape[-1]), -1), axis=-1)\n"
        "        first = jnp.min(jnp.where(same, jnp.arange(weights.shape[-1]), weights.shape[-1]), axis=-1)\n"
        "        before = jnp.where(first > 0, jnp.take_along_axis(running, jnp.maximum(first - 1, 0), axis=-1), 0)\n"
        "        sums = jnp.take_along_axis(running, last, axis=-1) - before",
    ),
    Edit(
        "packed_without_restarts",
        ("NORM-7",),
        "two sequences with one segment id count as one",
        "starts = (ids != jnp.roll(ids, 1, axis=-1)) | (positions == 0)",
        "starts = ids != jnp.roll(ids, 1, axis=-1)",
    ),
    Edit(
        "real_tokens_is_count",
        ("NORM-4",),
        "the number of tokens above weight 0 for the sum of the weights",
        '        return _total(weights), weights\n    if name == "NUM_TOTAL',
        '        return jnp.sum(weights > 0).astype(jnp.float32), weights\n    if name == "NUM_TOTAL',
    ),
    Edit(
        "labels_shifted",
        ("VALUE-1", "VALUE-10"),
        "the labels are shifted by the data pipeline and again by the loss, here by a class",
        "    is_target = jnp.arange(classes) == targets[..., None]",
        "    is_target = jnp.arange(classes) == (targets[..., None] + 1) % classes",
    ),
    Edit(
        "dense_targets_normalised",
        ("VALUE-7",),
        "dense targets are scaled to sum to 1",
        "    q = targets.astype(carried)\n",
        "    q = targets.astype(carried)\n    q = q / jnp.sum(q, axis=-1, keepdims=True)\n",
    ),
    Edit(
        "lse_of_shifted_logits",
        ("VALUE-8", "VALUE-4"),
        "the returned log_z is that of the shifted logits",
        "    return half, (_peak(x) + log_sum)[..., 0]",
        "    return half, (0 * _peak(x) + log_sum)[..., 0]",
    ),
    Edit(
        "dense_target_gradient_halved",
        ("GRAD-6",),
        "a factor is lost on the way to the dense targets",
        "_times(2 * _shortfall(x)[0], dq)",
        "_times(_shortfall(x)[0], dq)",
    ),
    Edit(
        "batch_axis_assumed",
        ("GRAD-10",),
        "one token without a batch axis, which is what vmap and scan pass, is treated as something else",
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried))",
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried) / min(2, logits.ndim) * 2)",
    ),
    Edit(
        "no_gradient_of_infinite_loss",
        ("STATE-2",),
        "the row of a token with infinite loss is dropped although its closed form is finite",
        "        row = (mass - q) * p - q * complement",
        "        row = jnp.where(jnp.isinf(out[0])[..., None], 0, (mass - q) * p - q * complement)",
    ),
    Edit(
        "nan_hidden",
        ("STATE-3",),
        "a NaN is replaced by 0 on the way, and a broken model goes unseen",
        "    results = tuple(jnp.where(in_range, value, 0) for value in (loss, z, log_z))",
        "    results = tuple(jnp.where(in_range & ~jnp.isnan(value), value, 0) for value in (loss, z, log_z))",
    ),
    Edit(
        "zero_times_overflow",
        ("STATE-5",),
        "0 * lse^2 where lse^2 overflows",
        "    z = (k * lse) * lse",
        "    z = k * (lse * lse)",
    ),
    Edit(
        "undefined_weight_is_0",
        ("STATE-8",),
        "a NaN weight silently excludes its token",
        "return jnp.where((weights != 0) & ~known, jnp.nan, plain)",
        "return plain",
    ),
    Edit(
        "names_in_capitals_only",
        ("NORM-1",),
        "lower-case names are refused",
        "loss_normalizing_factor.upper()",
        "loss_normalizing_factor",
    ),
    Edit(
        "none_becomes_1",
        ("NORM-2",),
        "the factor None does not pass through",
        "        return loss_normalizing_factor, weights",
        "        return 1.0 if loss_normalizing_factor is None else loss_normalizing_factor, weights",
    ),
    Edit("padding_counts", ("NORM-3",), "token 0 gets weight 1", "(tokens > 0)", "(tokens >= 0)"),
    Edit(
        "total_is_batch_size",
        ("NORM-5",),
        "the number of rows for the number of tokens",
        "math.prod(tokens.shape)",
        "tokens.shape[0]",
    ),
    Edit(
        "empty_sequence_divided_by_0",
        ("NORM-6",),
        "a sequence of weight 0 is 0 / 0",
        "weights = jnp.where(sums == 0, 0, weights / jnp.where(sums == 0, 1, sums))",
        "weights = weights / sums",
    ),
    Edit(
        "not_repeatable",
        ("ACC-6",),
        "sums in the order in which threads finish, here a random last digit",
        "    return x, _along_smoothing(",
        "    draw = lambda: np.asarray(np.random.default_rng().uniform(1, 1.00001), carried)\n"
        "    loss = loss * jax.pure_callback(draw, jax.ShapeDtypeStruct((), carried))\n"
        "    return x, _along_smoothing(",
    ),
    Edit(
        "probability_clamped",
        ("ACC-7", "ACC-1"),
        "log(p + 1e-12), or p clipped to 1 - 1e-12 (Keras's epsilon)",
        "half = (0.5 * _peak(x) - 0.5 * x) + 0.5 * log_sum",
        "half = jnp.maximum((0.5 * _peak(x) - 0.5 * x) + 0.5 * log_sum, 1e-12)",
    ),
    Edit(
        "shapes_broadcast",
        ("SHAPE-1",),
        "weights of another shape are broadcast (t5x.losses)",
        "    if weights.shape != logits.shape[:-1]:",
        "    if False:",
    ),
    Edit(
        "types_unchecked",
        ("SHAPE-2",),
        "bool targets count as classes 0 and 1",
        "    if not jnp.issubdtype(targets.dtype, jnp.integer):",
        "    if False:",
    ),
    Edit(
        "empty_batch_refused",
        ("SHAPE-4",),
        "a sum that starts from its first term has none",
        "    zero = jnp.zeros((), flat.dtype)",
        "    zero = jnp.min(flat) * 0",
    ),
    Edit(
        "smoothing_unchecked",
        ("SHAPE-5",),
        "label_smoothing 1.5 is accepted",
        "    if isinstance(label_smoothing, float) and not 0 <= label_smoothing <= 1:",
        "    if False:",
    ),
    Edit(
        "scalars_unchecked",
        ("SHAPE-6",),
        "an array for a scalar is broadcast",
        "    if jnp.shape(value) != ():",
        "    if False:",
    ),
    Edit(
        "uniform_smoothing_on_others",
        ("CONV-2",),
        "the target's own share e / V is left out of the uniform convention",
        "on, off = 1 - known + known / classes, known / classes",
        "on, off = 1 - known, known / classes",
    ),
    Edit(
        "entropy_left_in_slope",
        ("CONV-2",),
        "the loss goes without H, its derivative by label_smoothing does not",
        "    if not how.subtract_entropy:\n        of_entropy",
        "    if False:\n        of_entropy",
    ),
    Edit(
        "softcap_after_mask",
        ("VALUE-11",),
        "a masked class is capped to -c and gets a probability (Gemma-like models that mask before the cap)",
        "    masked = y == -jnp.inf",
        "    masked = False & (y == -jnp.inf)",
    ),
    Edit(
        "softcap_hides_infinity",
        ("VALUE-11",),
        "a logit of +inf becomes the cap, and a broken model goes unseen",
        "    undefined = jnp.where(jnp.isfinite(y) | masked, 0, jnp.nan)",
        "    undefined = 0",
    ),
    Edit(
        "softcap_straight_through",
        ("GRAD-12",),
        "a hand-written backward without 1 - tanh^2",
        "    x = x if how.cap is None else _capped(x, how.cap)",
        "    x = x if how.cap is None else lax.stop_gradient(_capped(x, how.cap) - x) + x",
    ),
    Edit(
        "softcap_curvature_frozen",
        ("GRAD-12",),
        "1 - tanh^2 is a constant to the second derivative",
        "    x = x if how.cap is None else _capped(x, how.cap)",
        "    if how.cap is not None:\n"
        "        still = lax.stop_gradient(x)\n"
        "        slope = jax.grad(lambda y: jnp.sum(_capped(y, how.cap)))(still)\n"
        "        x = _capped(still, how.cap) + slope * jnp.where(jnp.isfinite(still), x - still, 0)",
    ),
    Edit(
        "dense_weight_dropped",
        ("VALUE-12",),
        "a total of dense targets goes without the tokens' weights",
        "    weights = _checked_weights(weights, logits).astype(carried)",
        "    weights = _checked_weights(weights, logits).astype(carried)\n"
        "    weights = jnp.ones_like(weights) if _is_dense(targets) else weights",
    ),
    Edit(
        "log_probability_of_smoothed_loss",
        ("VALUE-13",),
        "perplexity is reported from smoothed targets",
        "    return jnp.where(in_range, -_dense(x, q, nothing)[0], 0)",
        "    return jnp.where(in_range, -_dense(x, 0.9 * q + 0.1 / x.shape[-1], nothing)[0], 0)",
    ),
    Edit(
        "last_of_equal_logits",
        ("VALUE-14",),
        "the last of equal largest logits is predicted",
        "jnp.argmax(logits, axis=-1).astype(jnp.int32)",
        "(logits.shape[-1] - 1 - jnp.argmax(logits[..., ::-1], axis=-1)).astype(jnp.int32)",
    ),
    Edit(
        "entropy_of_masked_class",
        ("VALUE-15",),
        "0 * inf: a masked class makes the entropy NaN",
        "    return jnp.where(x == -jnp.inf, 0, _peak(x) - x)",
        "    return _peak(x) - x",
    ),
    Edit(
        "entropy_negated",
        ("VALUE-15",),
        "sum p log p for its negative",
        "    return jnp.log1p(_exps(x)[1])[..., 0] + jnp.sum(p * gaps, axis=-1)",
        "    return -jnp.log1p(_exps(x)[1])[..., 0] - jnp.sum(p * gaps, axis=-1)",
    ),
    Edit(
        "entropy_gradient_without_mean",
        ("GRAD-13",),
        "-p log p for -p (log p + entropy): the softmax's own derivative is forgotten",
        "jnp.sum(p * (gaps - mean) * tangents[0], axis=-1)",
        "jnp.sum(p * gaps * tangents[0], axis=-1)",
    ),
    Edit(
        "keywords_unchecked",
        ("SHAPE-7",),
        "a misspelt convention is taken for the default",
        '    if smoothing not in ("others", "uniform"):',
        "    if False:",
    ),
)

# As good as the base: each must pass everything.
BENIGN = (
    Edit("base", (), "the base itself", "_total(terms):", "_total(terms):"),
    Edit(
        "summed_backwards",
        (),
        "the classes are summed in the other order",
        "jnp.sum(jnp.where(top, 0, exps), axis=-1, keepdims=True)",
        "jnp.sum(jnp.where(top, 0, exps)[..., ::-1], axis=-1, keepdims=True)",
    ),
    Edit(
        "reciprocal",
        (),
        "one reciprocal and V products for V quotients",
        "    p = exps / total\n",
        "    p = exps * (1 / total)\n",
    ),
)
