"""Broken values, and totals that lose digits."""

from lossproof.conformance.mutants._edit import Edit

OF_VALUES = (
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
        "xent, xent + scaled_z) / scale, z, lse",
        "xent, xent) / scale, z, lse",
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
        "gradient_filtered",
        ("ACC-3",),
        "entries below a threshold are dropped (cut-cross-entropy's filter)",
        "        row = (mass - q) * p - q * complement",
        "        row = (mass - q) * p - q * complement\n        row = jnp.where(jnp.abs(row) < 2.0**-12, 0, row)",
    ),
    Edit(
        "running_sum_in_float32",
        ("ACC-4",),
        "small losses vanish beside a large one in a plain running sum "
        "(https://github.com/pytorch/pytorch/issues/55657)",
        "    return jnp.where(jnp.isfinite(high), high + low, jnp.sum(flat))",
        "    return jnp.where(jnp.isfinite(high), high, jnp.sum(flat))",
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
)
