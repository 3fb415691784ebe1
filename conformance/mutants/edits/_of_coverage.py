"""Broken invariances, and what breaks at the shapes of production alone."""

from lossproof.conformance.mutants._edit import Edit

MUTANTS = (
    Edit(
        "running_maximum_kept",
        ("VALUE-1", "GRAD-1"),
        "an online softmax goes on with the maximum of the rows before",
        "return _finite(jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True))",
        "highest = jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True)\n"
        "    return _finite(lax.cummax(highest, axis=0) if x.ndim > 1 and len(x) else highest)",
    ),
    Edit(
        "mean_for_sum",
        ("VALUE-5",),
        "a mean over all tokens for the sum (Keras's sum_over_batch_size, jnp.mean)",
        "return _total(loss), _total(z), weight_sum",
        "return _total(loss) / max(loss.size, 1), _total(z), weight_sum",
    ),
    Edit(
        "nan_times_in_range",
        ("EXCL-2", "DIFF-3"),
        "0 * NaN: a token without a target is masked by a product, and its logits reach the loss",
        "    x, loss, z, log_z = _tokens(logits, targets, e, k, ~in_range, how)\n"
        "    results = tuple(jnp.where(in_range, value, 0) for value in (loss, z, log_z))",
        "    x, loss, z, log_z = _tokens(logits, targets, e, k, in_range & False, how)\n"
        "    results = tuple(in_range * value for value in (loss, z, log_z))",
    ),
    Edit(
        "masked_by_minus_10000",
        ("STATE-1", "DIFF-2"),
        "-10000 stands in for -inf, and is nothing beside logits that are as low (BERT's masks)",
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried))",
        "    x = jnp.where(dead[..., None], 0, logits.astype(carried))\n    x = jnp.where(x == -jnp.inf, -1e4, x)",
    ),
    Edit(
        "targets_by_columns",
        ("SHAPE-1",),
        "targets of two axes are read in the order of the other axis (batch-major and time-major mixed up)",
        "    is_target = jnp.arange(classes) == targets[..., None]",
        "    targets = targets if targets.ndim < 2 else targets.T.reshape(targets.shape)\n"
        "    is_target = jnp.arange(classes) == targets[..., None]",
    ),
    Edit(
        "targets_in_16_bits",
        ("GRAD-1",),
        "token ids pass through 16 bits, as in many data files: right up to class 65535",
        "    is_target = jnp.arange(classes) == targets[..., None]",
        "    is_target = jnp.arange(classes) == (targets[..., None] & 0xFFFF)",
    ),
    Edit(
        "last_block_of_1024_dropped",
        ("VALUE-1", "GRAD-1"),
        "classes behind the last whole block of 1024 do not count (tokamax's chunked_xla)",
        "    exps = jnp.exp(x - _peak(x))",
        "    whole = max(x.shape[-1] // 1024 * 1024, 1024)\n"
        "    exps = jnp.where(jnp.arange(x.shape[-1]) < whole, jnp.exp(x - _peak(x)), 0)",
    ),
    Edit(
        "classes_summed_one_by_one",
        ("ACC-3", "ACC-5"),
        "one running float32 sum over the vocabulary, whose error grows with V",
        "        jnp.sum(jnp.where(top, 0, exps), axis=-1, keepdims=True),",
        "        lax.scan(lambda s, e: (s + e, None), jnp.zeros_like(exps[..., 0]),\n"
        "                 jnp.moveaxis(jnp.where(top, 0, exps), -1, 0))[0][..., None],",
    ),
)
