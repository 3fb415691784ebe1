"""Broken arguments: shapes, types, errors and normalising factors."""

from lossproof.conformance.mutants._edit import Edit

OF_ARGUMENTS = (
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
        "    if known_e is not None and not 0 <= known_e <= 1:",
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
        '        return _total(weights.astype(_carried(weights))), weights\n    if name == "NUM_TOTAL',
        '        return jnp.sum(weights > 0).astype(jnp.float32), weights\n    if name == "NUM_TOTAL',
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
        "targets_cut_to_32_bits",
        ("SHAPE-2",),
        "2^32 + 1 is read as 1 (jax without 64-bit types)",
        "    if targets.dtype in (np.int64, np.uint64):",
        "    if False:",
    ),
    Edit(
        "float64_in_float32",
        ("SHAPE-3", "ACC-5"),
        "a cast to float32 meant for narrow logits takes the digits of float64 ones, too",
        "return jnp.float64 if logits.dtype == jnp.float64 else jnp.float32",
        "return jnp.float32",
    ),
    Edit(
        "negative_tokens_count",
        ("NORM-3",),
        "tokens of -1, another mark of padding, get weight 1 and count in the mean",
        "(tokens > 0)",
        "(tokens != 0)",
    ),
    Edit(
        "weight_after_normaliser",
        ("NORM-6",),
        "a sequence is averaged over its tokens and weighted afterwards",
        "    sums = jnp.sum(weights, axis=-1, keepdims=True)\n",
        "    sums = jnp.sum(weights != 0, axis=-1, keepdims=True).astype(jnp.float32)\n",
    ),
    Edit(
        "neighbours_norm",
        ("NORM-7",),
        "a segment that begins with a weight of 0 is averaged with its neighbour",
        "starts = (ids != jnp.roll(ids, 1, axis=-1)) | (positions == 0)",
        "starts = ((ids != jnp.roll(ids, 1, axis=-1)) | (positions == 0)) & (weights != 0)",
    ),
    Edit(
        "padding_segment_counts",
        ("NORM-7",),
        "segment 0 is averaged like any other",
        "        weights = jnp.where(ids == 0, 0, weights)\n",
        "",
    ),
    Edit(
        "scalars_of_32_bits",
        ("SHAPE-6",),
        "an int is taken for one of 32 bits, as frameworks do: 2^31 tokens and more are an OverflowError",
        "float(value) if isinstance(value, numbers.Rational) and not isinstance(value, bool) else value",
        "np.int32(value) if isinstance(value, int) and not isinstance(value, bool) else value",
    ),
    Edit(
        "scalars_of_one_element",
        ("SHAPE-6",),
        "an array of shape (1,) is taken for a scalar",
        "    if jnp.shape(value) != ():",
        "    value = jnp.reshape(value, ()) if jnp.size(value) == 1 else value\n    if jnp.shape(value) != ():",
    ),
    Edit(
        "total_tokens_of_the_weights",
        ("NORM-3",),
        "without decoder_target_tokens, NUM_TOTAL_TARGET_TOKENS counts the weights, and is no error",
        '    if weights is None or name == "NUM_TOTAL_TARGET_TOKENS":\n'
        '        tokens = _from(batch, "decoder_target_tokens")\n',
        '    if weights is None:\n        tokens = _from(batch, "decoder_target_tokens")\n'
        '    tokens = batch.get("decoder_target_tokens", weights)\n',
    ),
    Edit(
        "empty_batch_divided",
        ("SHAPE-4",),
        "the loss of no tokens is 0 / L, which is NaN for the number of tokens of such a batch",
        "    return _total(loss), _total(z), weight_sum\n",
        "    if loss.size == 0:\n        return weight_sum / factor, weight_sum / factor, weight_sum\n"
        "    return _total(loss), _total(z), weight_sum\n",
    ),
    Edit(
        "weights_known_by_their_place",
        ("VALUE-5",),
        "NumPy weights are converted once for each array: a buffer that is filled anew is not read again",
        'def _checked_weights(weights, logits):\n    weights = _real_array("weights", weights)\n',
        "_CONVERTED = {}\n\n\n"
        "def _checked_weights(weights, logits):\n"
        "    if isinstance(weights, np.ndarray) and not isinstance(logits, jax.core.Tracer):\n"
        '        weights = _CONVERTED.setdefault(id(weights), (weights, _real_array("weights", weights)))[1]\n'
        '    weights = _real_array("weights", weights)\n',
    ),
)
