"""Defects that people's own losses have, so that a loss which behaves like one of them can be told so."""

from lossproof.conformance.mutants._edit import Edit

OF_USERS = (
    Edit(
        "padded_to_128_with_zeros",
        ("VALUE-1", "VALUE-8"),
        "the last block of 128 classes is padded with logits of 0, which enter the lse",
        "    loss, z, log_z = _terms(x, q, k)\n",
        "    padding = [(0, 0)] * (x.ndim - 1) + [(0, -classes % 128)]\n"
        "    loss, z, log_z = _terms(jnp.pad(x, padding), jnp.pad(q, padding), k)\n",
    ),
    Edit(
        "smoothing_of_frameworks",
        ("VALUE-2", "VALUE-3"),
        "label smoothing as torch and optax have it: the mass goes to all V classes, not to the V - 1 others, and the "
        "entropy of the smoothed targets is not subtracted",
        '    return How(smoothing == "uniform", subtract_entropy, cap)',
        "    return How(True, False, cap)",
    ),
    Edit(
        "z_loss_detached",
        ("GRAD-1", "GRAD-3"),
        "the z-loss is in the loss, but not in its derivatives (a stop_gradient around it)",
        "    dloss, dz, dlse = (jnp.zeros_like(value) for value in out)\n",
        "    dloss, dz, dlse = (jnp.zeros_like(value) for value in out)\n"
        "    k, dk = jnp.zeros_like(k), jnp.zeros_like(k)\n",
    ),
    Edit(
        "labels_index_as_arrays_do",
        ("EXCL-2", "DIFF-3"),
        "a label out of range picks a class as an array's index does: -1 the last one; from V on the loss is NaN",
        "    in_range = _in_range(logits, targets)\n"
        "    x, loss, z, log_z = _tokens(logits, targets, e, k, ~in_range, how)\n",
        "    if not _is_dense(targets):\n"
        "        targets = jnp.where(targets < 0, targets + logits.shape[-1], targets)\n"
        "    in_range = _in_range(logits, targets)\n"
        "    x, loss, z, log_z = _tokens(logits, targets, e, k, in_range & False, how)\n"
        "    loss, in_range = jnp.where(in_range, loss, log_z + jnp.nan), in_range | True\n",
    ),
)
