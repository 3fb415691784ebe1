"""Classes split over devices, broken: what a device knows of its own classes is taken for what all know."""

from lossproof.conformance.mutants._edit import Edit

# Of the mesh that the call is inside of; 1 outside.
_DEVICES = "math.prod(jax.sharding.get_abstract_mesh().shape.values())"
_WHOLE = "    whole = _gathered(logits, names)\n"

OF_SPLITS = (
    Edit(
        "peaks_not_exchanged",
        ("SPLIT-1",),
        "each device subtracts the maximum of its own classes, and the sums are added as they are",
        _WHOLE,
        "    whole = _gathered(logits - jnp.max(lax.stop_gradient(logits), axis=-1, keepdims=True), names)\n",
    ),
    Edit(
        "loss_added_over_devices",
        ("SPLIT-1",),
        "a loss that each device has whole is added up once more",
        "    results = tuple(jnp.where(in_range, value, 0) for value in (loss, z, log_z))",
        "    results = tuple(lax.psum(jnp.where(in_range, value, 0), axis_name or ()) for value in (loss, z, log_z))",
    ),
    Edit(
        "weights_added_over_devices",
        ("SPLIT-1",),
        "every device counts the batch's weights",
        "    weight_sum = _total(counted)",
        "    weight_sum = lax.psum(_total(counted), axis_name or ())",
    ),
    Edit(
        "class_of_own_device",
        ("SPLIT-1",),
        "the predicted class is a number of the classes of its device",
        "jnp.argmax(logits, axis=-1).astype(jnp.int32)",
        f"(jnp.argmax(logits, axis=-1) % (logits.shape[-1] // {_DEVICES})).astype(jnp.int32)",
    ),
    Edit(
        "smoothed_over_own_classes",
        ("SPLIT-2",),
        "e / (V - 1) with the V of one device",
        "        on, off, entropy = 1 - known, known / (classes - 1), _entropy(known, classes)",
        "        on, off, entropy = 1 - known, known / (classes - 1), _entropy(known, classes)\n"
        f"        off = known / max(classes // {_DEVICES} - 1, 1)",
    ),
    Edit(
        "entropy_of_own_classes",
        ("SPLIT-2",),
        "H with the V of one device",
        "        on, off, entropy = 1 - known, known / (classes - 1), _entropy(known, classes)",
        "        on, off = 1 - known, known / (classes - 1)\n"
        f"        entropy = _entropy(known, max(classes // {_DEVICES}, 2))",
    ),
    Edit(
        "target_on_every_device",
        ("SPLIT-2",),
        "the target modulo the classes of a device is looked up on each of them",
        "    is_target = jnp.arange(classes) == targets[..., None]",
        f"    own = classes // {_DEVICES}\n    is_target = jnp.arange(classes) % own == targets[..., None] % own",
    ),
    Edit(
        "range_of_own_classes",
        ("SPLIT-2",),
        "a target beyond the V of one device is taken for padding",
        "    return (targets >= 0) & (targets < logits.shape[-1])",
        f"    return (targets >= 0) & (targets < logits.shape[-1] // {_DEVICES})",
    ),
    Edit(
        "next_devices_classes",
        ("SPLIT-2",),
        "devices are counted from 1, so that a target is looked up on the next one",
        _WHOLE,
        f"{_WHOLE}    whole = jnp.roll(whole, logits.shape[-1], axis=-1)\n",
    ),
    Edit(
        "weights_differentiated_on_each_device",
        ("SPLIT-3",),
        "a hand-written backward adds up the derivative by the weights, which each device has whole",
        "    weights = _checked_weights(weights, logits).astype(carried)",
        "    weights = _checked_weights(weights, logits).astype(carried)\n"
        f"    more = ({_DEVICES} - 1) * (weights - lax.stop_gradient(weights))\n"
        "    weights = weights + jnp.where(jnp.isfinite(weights), more, 0)",
    ),
    Edit(
        "sum_transposed_to_sum",
        ("SPLIT-3",),
        "psum's derivative is taken for a psum, and the gradient is as many times too large as there are devices",
        _WHOLE,
        f"{_WHOLE}    more = ({_DEVICES} - 1) * (whole - lax.stop_gradient(whole))\n"
        "    whole = whole + jnp.where(jnp.isfinite(whole), more, 0)\n",
    ),
    Edit(
        "empty_device_undefined",
        ("SPLIT-4",),
        "-inf - -inf on a device whose classes are all padding of the vocabulary",
        _WHOLE,
        "    highest = jnp.max(logits, axis=-1, keepdims=True)\n"
        "    whole = _gathered(jnp.where(highest == -jnp.inf, jnp.nan, logits), names)\n",
    ),
    Edit(
        "peak_of_first_device",
        ("SPLIT-4",),
        "the first device's maximum serves for all, though it may have none",
        "    return _finite(jnp.max(lax.stop_gradient(x), axis=-1, keepdims=True))",
        f"    own = x.shape[-1] // {_DEVICES}\n"
        "    return _finite(jnp.max(lax.stop_gradient(x)[..., :own], axis=-1, keepdims=True))",
    ),
    Edit(
        "undefined_on_one_device",
        ("SPLIT-4",),
        "a maximum over devices overlooks a NaN, and the others go on without it",
        _WHOLE,
        "    whole = _gathered(jnp.where(jnp.isnan(logits), -jnp.inf, logits), names)\n",
    ),
    Edit(
        "axes_in_reverse",
        ("SPLIT-5",),
        "of two axes the second is taken for the slower one",
        "    return tuple(names)",
        "    return tuple(names)[::-1]",
    ),
    Edit(
        "axis_name_of_any_type",
        ("SHAPE-8",),
        "the number of an axis is taken for its name",
        "    if not names or not all(isinstance(name, str) for name in names):",
        "    if not names:",
    ),
    Edit(
        "axis_name_unknown",
        ("SHAPE-8",),
        "a call outside of the mesh ends in an error of JAX, about something else",
        "        except NameError:\n            raise ValueError(f",
        "        except NameError:\n            raise NameError(f",
    ),
    Edit(
        "tree_over_devices",
        ("SPLIT-5",),
        "a tree over devices leaves the last one out where their number is no power of 2",
        _WHOLE,
        "    whole = _gathered(logits, names)\n"
        "    devices = math.prod(lax.axis_size(name) for name in names)\n"
        "    if devices & (devices - 1):\n"
        "        whole = whole.at[..., -jnp.shape(logits)[-1] :].set(-jnp.inf)\n",
    ),
)
