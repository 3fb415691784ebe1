"""Faults in what is around a call: how it is differentiated, where its arrays lie, what its mesh has besides."""

from lossproof.conformance.mutants._edit import Edit

MUTANTS = (
    Edit(
        "eager_tangent_of_the_factor_dropped",
        ("GRAD-8",),
        "an eager jvp leaves the tangent of L out; vjp, and jvp under jit, have it",
        "    return out, _coefficient(weights, factor) * dvalue + by_weight * dweights - _times(out / safe, dfactor)\n",
        "    known = _absent(dfactor) or isinstance(dfactor, jax.core.Tracer)\n"
        "    dfactor = dfactor if known else jnp.zeros_like(dfactor)\n"
        "    return out, _coefficient(weights, factor) * dvalue + by_weight * dweights - _times(out / safe, dfactor)\n",
    ),
    Edit(
        "z_slope_beside_the_logits_alone",
        ("GRAD-3",),
        "the derivative by z_loss is 0 unless the logits are differentiated in the same call",
        "    if not _absent(dk):\n",
        "    if not (_absent(dk) or _absent(dx)):\n",
    ),
    Edit(
        "tangent_0_of_a_masked_mass",
        ("GRAD-8",),
        "along dense targets the tangent 0 of a masked class is multiplied by its infinite slope",
        "jnp.sum(_times(2 * _shortfall(x)[0], dq), axis=-1)",
        "jnp.sum(2 * _shortfall(x)[0] * dq, axis=-1)",
    ),
    Edit(
        "wide_targets_wrap_under_jit",
        ("EXCL-2",),
        "traced int64 targets are cut to 32 bits, where there are 64: 2^32 is class 0",
        "    if targets.dtype in (np.int64, np.uint64):\n",
        "    if targets.dtype in (np.int64, np.uint64) and not isinstance(targets, jax.core.Tracer):\n",
    ),
    Edit(
        "float64_targets_widen_the_loss",
        ("SHAPE-3",),
        "float64 dense targets, NumPy's default, make the loss of float32 logits float64",
        "    q = targets.astype(carried)\n",
        "    q = targets if targets.dtype == jnp.float64 else targets.astype(carried)\n",
    ),
    Edit(
        "gap_of_huge_logits_overflows",
        ("STATE-4",),
        "lse - x_j of huge logits of both signs overflows, although its share of the loss does not",
        "    half = (0.5 * _peak(x) - 0.5 * x) + 0.5 * log_sum\n",
        "    half = 0.5 * (_peak(x) - x) + 0.5 * log_sum\n",
    ),
    Edit(
        "negative_mass_on_a_mask_is_plus_inf",
        ("STATE-2",),
        "any mass on a -inf logit makes the loss +inf, a negative one, too",
        "    terms = jnp.where(q == 0, 0, q * shortfall)\n",
        "    terms = jnp.where(q == 0, 0, jnp.where(shortfall == jnp.inf, jnp.inf, q * shortfall))\n",
    ),
    Edit(
        "negative_smoothing_has_a_gradient",
        ("SHAPE-5",),
        "a traced label_smoothing below 0 shows in the loss alone: its gradient is finite",
        "(known >= 0) & (known <= 1)",
        "known <= 1",
    ),
    Edit(
        "split_in_alphabetical_order",
        ("SPLIT-5",),
        "the classes are put together along the axes in alphabetical order, not in that of axis_name",
        "    return tuple(names)\n",
        "    return tuple(sorted(names))\n",
    ),
    Edit(
        "split_over_every_axis",
        ("SPLIT-5",),
        "classes are gathered over every axis of the mesh: other tokens are taken for classes",
        "    names = _axis_names(axis_name)\n",
        "    names = _axis_names(axis_name)\n"
        "    names += tuple(name for name in jax.sharding.get_abstract_mesh().axis_names if name not in names)\n",
    ),
    Edit(
        "packed_runs_cross_rows",
        ("NORM-7",),
        "a sequence that goes on in the next row is one with it",
        "        starts = (ids != jnp.roll(ids, 1, axis=-1)) | (positions == 0)\n"
        "        number = jnp.cumsum(starts, axis=-1)\n"
        "        sums = jnp.sum(jnp.where(number[..., :, None] == number[..., None, :], "
        "weights[..., None, :], 0), axis=-1)\n",
        "        starts = (ids.reshape(-1) != jnp.roll(ids.reshape(-1), 1)) | (positions.reshape(-1) == 0)\n"
        "        number = jnp.cumsum(starts)\n"
        "        sums = jnp.sum(jnp.where(number[:, None] == number, weights.reshape(-1), 0), axis=-1)\n"
        "        sums = sums.reshape(weights.shape)\n",
    ),
    Edit(
        "tokens_of_one_device",
        ("NORM-5",),
        "of a batch that lies on several devices NUM_TOTAL_TARGET_TOKENS counts what one of them has",
        "        return math.prod(tokens.shape), weights\n",
        "        traced = isinstance(tokens, jax.core.Tracer)\n"
        "        return math.prod(tokens.shape if traced else tokens.sharding.shard_shape(tokens.shape)), weights\n",
    ),
)
