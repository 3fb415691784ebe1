"""Broken special values and excluded tokens."""

from lossproof.conformance.mutants._edit import Edit

OF_STATES = (
    Edit(
        "no_max_shift",
        ("STATE-4", "ACC-2"),
        "exp of the logits themselves overflows",
        "return _finite(jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True))",
        "return 0 * _finite(jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True))",
    ),
    Edit(
        "masked_logit_times_0",
        ("STATE-1", "DIFF-2"),
        "0 * inf: one -inf logit off the target makes the loss NaN "
        "(t5x.losses, https://github.com/google-deepmind/optax/issues/896)",
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
)
