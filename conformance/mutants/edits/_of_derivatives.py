"""Broken derivatives."""

from lossproof.conformance.mutants._edit import Edit

OF_DERIVATIVES = (
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
        "_coefficient(weights, factor) * dvalue",
        "_coefficient(weights, factor) * safe * dvalue",
    ),
    Edit(
        "label_without_gradient",
        ("GRAD-1",),
        "the target's own entry is left at p",
        "        row = (mass - q) * p - q * complement",
        "        row = mass * p + 0 * complement",
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
        "by_weight * dweights - _times(out / safe, dfactor)",
        "by_weight * dweights",
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
        "slope_of_masked_class",
        ("GRAD-4",),
        "the derivative by e at e = 0 is inf - inf where a class besides the target is masked",
        "jnp.where(jnp.isinf(moved) & jnp.isinf(of_entropy), moved, moved - of_entropy)",
        "moved - of_entropy",
    ),
)
