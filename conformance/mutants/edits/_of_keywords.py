"""Broken keywords: conventions, the soft-cap, dense targets and further results."""

from lossproof.conformance.mutants._edit import Edit

OF_KEYWORDS = (
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
        "a masked class is capped to -c and gets a probability (https://github.com/unslothai/unsloth/pull/10616)",
        " + jnp.where(masked, -jnp.inf, 0)\n",
        "\n",
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
        "    if how.cap is not None:\n"
        "        still = lax.stop_gradient(x)\n"
        "        x = _capped(still, how.cap) + jnp.where(jnp.isfinite(still), x - still, 0)",
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
        "0 * inf: a masked class makes the entropy NaN (https://github.com/huggingface/trl/issues/7221)",
        "    return jnp.where(p == 0, 0, p * gaps)  # a gap of huge logits is infinite\n\n\ndef _gaps(x):\n"
        "    return jnp.where(x == -jnp.inf, 0, _peak(x) - x)",
        "    return p * gaps\n\n\ndef _gaps(x):\n    return _peak(x) - x",
    ),
    Edit(
        "entropy_negated",
        ("VALUE-15",),
        "sum p log p for its negative",
        "    return jnp.log1p(_exps(x)[1])[..., 0] + jnp.sum(_share(p, gaps), axis=-1)",
        "    return -jnp.log1p(_exps(x)[1])[..., 0] - jnp.sum(_share(p, gaps), axis=-1)",
    ),
    Edit(
        "entropy_gradient_without_mean",
        ("GRAD-13",),
        "-p log p for -p (log p + entropy): the softmax's own derivative is forgotten",
        "jnp.sum(_share(p, gaps - mean) * tangents[0], axis=-1)",
        "jnp.sum(_share(p, gaps) * tangents[0], axis=-1)",
    ),
    Edit(
        "keywords_unchecked",
        ("SHAPE-7",),
        "a misspelt convention is taken for the default",
        '    if smoothing not in ("others", "uniform"):',
        "    if False:",
    ),
    Edit(
        "class_of_64_bits",
        ("VALUE-14",),
        "an index is returned as wide as the platform likes",
        "jnp.argmax(logits, axis=-1).astype(jnp.int32)",
        "jnp.argmax(logits, axis=-1)",
    ),
    Edit(
        "declared_entropy_kept",
        ("CONV-1",),
        "a loss said to be torch's takes its shares e / V, but subtracts H",
        '    return How(smoothing == "uniform", subtract_entropy, cap)',
        "    return How(True, subtract_entropy, cap)",
        declares="uniform no-entropy",
    ),
    Edit(
        "further_results_as_asked_for",
        ("VALUE-15",),
        "further results whose names come in another order than the outputs are swapped",
        "    return results + tuple("
        "_further(name, logits, x, targets, in_range) if name in also else None for name in FURTHER)\n",
        "    wanted = [name for name in FURTHER if name in also]\n"
        "    further = dict(zip(wanted, [_further(name, logits, x, targets, in_range) for name in also]))\n"
        "    return results + tuple(further.get(name) for name in FURTHER)\n",
    ),
)
