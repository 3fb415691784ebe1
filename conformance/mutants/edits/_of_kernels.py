"""Bugs of fused and of distributed kernels: blocks, running maxima, vocabularies in parts, hand-written backwards."""

from lossproof.conformance.mutants._edit import Edit

_REST = "        jnp.sum(jnp.where(top, 0, exps), axis=-1, keepdims=True),\n"

OF_KERNELS = (
    Edit(
        "padding_columns",
        ("VALUE-8", "VALUE-1"),
        "the last block's columns beyond V enter the sum as logits of 0 "
        "(https://github.com/verl-project/verl/issues/2899)",
        _REST,
        "        jnp.sum(jnp.where(top, 0, exps), axis=-1, keepdims=True)\n"
        "        + (-x.shape[-1] % 64) * jnp.exp(-_peak(x)),\n",
    ),
    Edit(
        "partial_block_dropped",
        ("VALUE-1",),
        "V // 64 blocks for V classes: the last, partial one is never summed",
        _REST,
        "        jnp.sum(\n"
        "            jnp.where(top | (jnp.arange(x.shape[-1]) >= max(x.shape[-1] // 64, 1) * 64), 0, exps),\n"
        "            axis=-1,\n"
        "            keepdims=True,\n"
        "        ),\n",
    ),
    Edit(
        "partial_block_overlaps",
        ("VALUE-8",),
        "the slice of the last, partial block is moved to fit, so that classes count twice (lax.dynamic_slice clamps)",
        _REST,
        "        jnp.sum(\n"
        "            jnp.where(top, 0, exps)\n"
        "            * jnp.where(\n"
        "                (jnp.arange(x.shape[-1]) >= x.shape[-1] - 64)\n"
        "                & (jnp.arange(x.shape[-1]) < x.shape[-1] // 64 * 64)\n"
        "                & (x.shape[-1] % 64 > 0),\n"
        "                2,\n"
        "                1,\n"
        "            ).astype(exps.dtype),\n"
        "            axis=-1,\n"
        "            keepdims=True,\n"
        "        ),\n",
    ),
    Edit(
        "first_block_masked",
        ("STATE-1",),
        "a running maximum that is still -inf behind the first block: exp(-inf - -inf) is NaN "
        "(https://github.com/flagos-ai/FlagGems/pull/330)",
        "    exps = jnp.exp(x - _peak(x))",
        "    hidden = jnp.all(x[..., :4] == -jnp.inf, axis=-1, keepdims=True)\n"
        "    exps = jnp.where(hidden, jnp.nan, jnp.exp(x - _peak(x)))",
    ),
    Edit(
        "log_of_softmax",
        ("VALUE-2", "VALUE-1"),
        "the logarithm of probabilities, which is infinite where they underflow "
        "(https://github.com/NVIDIA/Megatron-LM/pull/5522, https://github.com/deeplearning4j/deeplearning4j/issues/785)",
        "half = (0.5 * _peak(x) - 0.5 * x) + 0.5 * log_sum",
        "half = -0.5 * jnp.log(jnp.exp(x - _peak(x)) / (1 + rest))",
    ),
    Edit(
        "local_vocabulary",
        ("VALUE-2",),
        "the smoothing's share is that of one of two parts of the vocabulary "
        "(https://github.com/NVIDIA/Megatron-LM/issues/7464)",
        "on, off, entropy = 1 - known, known / (classes - 1), _entropy(known, classes)",
        "on, off, entropy = 1 - known, known / max(classes // 2 - 1, 1), _entropy(known, classes)",
    ),
    Edit(
        "parts_reduced_twice",
        ("VALUE-1", "VALUE-8"),
        "gathered logits are reduced over the parts once more, and the loss grows by log 2 "
        "(https://github.com/NVIDIA/Megatron-LM/issues/7452)",
        "    log_sum = jnp.log1p(rest)\n",
        "    log_sum = jnp.log1p(1 + 2 * rest)\n",
    ),
    Edit(
        "target_in_padding_column",
        ("EXCL-2",),
        "a target just beyond the vocabulary meets a column of padding "
        "(https://github.com/apple/ml-cross-entropy/pull/59)",
        "    return (targets >= 0) & (targets < logits.shape[-1])",
        "    return (targets >= 0) & (targets <= logits.shape[-1])",
    ),
    Edit(
        "smoothing_of_ignored_token",
        ("EXCL-2",),
        "the smoothing's part of the loss counts ignored tokens (https://github.com/pytorch/pytorch/issues/73205)",
        "    results = tuple(jnp.where(in_range, value, 0) for value in (loss, z, log_z))",
        "    parts = ((loss, e * log_z), (z, 0), (log_z, 0))\n"
        "    results = tuple(jnp.where(in_range, value, share) for value, share in parts)",
    ),
    Edit(
        "z_not_weighted",
        ("VALUE-5",),
        "the weights do not reach the z-loss (https://github.com/linkedin/Liger-Kernel/pull/420)",
        "    loss, z = (jnp.where(dead, 0, _contribution(counted, factor, loss, value)) for value in (loss, z))",
        "    pairs = ((counted, loss), (in_range.astype(carried), z))\n"
        "    loss, z = (jnp.where(dead, 0, _contribution(w, factor, loss, value)) for w, value in pairs)",
    ),
    Edit(
        "z_loss_always_on",
        ("VALUE-1",),
        "`z_loss or 1e-4`: a coefficient of 0 is taken for none given (https://github.com/allenai/OLMo-core/pull/702)",
        "    z = (k * lse) * lse",
        "    k = jnp.where(k == 0, 1e-4, k)\n    z = (k * lse) * lse",
    ),
    Edit(
        "lse_without_gradient",
        ("GRAD-7",),
        "log_z is a by-product that has no derivative (https://github.com/Dao-AILab/flash-attention/issues/141)",
        "dlse = dlse + jnp.sum(p * dx, axis=-1)",
        "dlse = dlse + 0 * jnp.sum(dx, axis=-1)",
    ),
    Edit(
        "cotangent_of_first_token",
        ("GRAD-7",),
        "the backward reads one cotangent for all tokens (https://github.com/NVIDIA/TransformerEngine/pull/2139, "
        "https://github.com/linkedin/Liger-Kernel/pull/1298)",
        "    results = tuple(jnp.where(in_range, value, 0) for value in (loss, z, log_z))",
        "    first = lambda _, cotangent: jnp.full_like(cotangent, jnp.sum(jnp.ravel(cotangent)[:1]))\n"
        "    results = tuple(\n"
        "        jax.custom_derivatives.linear_call(lambda _, y: y, first, (), jnp.where(in_range, value, 0))\n"
        "        for value in (loss, z, log_z)\n"
        "    )",
    ),
    Edit(
        "label_gradient_is_0",
        ("GRAD-1",),
        "the target's own entry is 0, as if its logit took no part",
        "        row = (mass - q) * p - q * complement",
        "        row = jnp.where(q == mass, 0, (mass - q) * p - q * complement)",
    ),
)
