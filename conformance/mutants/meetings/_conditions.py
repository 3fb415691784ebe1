"""Calls in which alone something goes wrong: a type, a shape, a transform, an option."""

from dataclasses import dataclass

from lossproof.conformance.coverage.model import Cell


@dataclass(frozen=True)
class Condition:
    """When it goes wrong.

    Attributes:
      name: the second part of the mutant's.
      what: in words.
      test: in terms of the variables at its place.
      cell: a call of which it holds.
      values: the clause that speaks of values there.
      gradients: the clause that speaks of gradients there.
      place: where its variables are.
      spoken_of: variables for which the condition depends on numbers, not on shapes and types, if it does.
      without: variables that have no effect there.
    """

    name: str
    what: str
    test: str
    cell: Cell
    values: str = "VALUE-1"
    gradients: str = "GRAD-1"
    place: str = "row"
    spoken_of: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


_DENSE = {"targets": "dense float32", "place": "any sum"}
_MAPPED = 'type({}).__name__ == "BatchTracer"'
_NUMBERS = ("e", "k", "logits", "weights")

CONDITIONS = (
    Condition("dense_targets", "targets are dense", "_is_dense(targets)", _DENSE, "VALUE-12", without=("e",)),
    Condition(
        "softcap", "there is a soft-cap", "how.cap is not None", {"logit_softcap": "small"}, "VALUE-11", "GRAD-12"
    ),
    Condition(
        "uniform_smoothing",
        "smoothing is uniform",
        "how.uniform",
        {"smoothing": "uniform"},
        "CONV-2",
        "CONV-2",
    ),
    Condition(
        "entropy_kept",
        "H is not subtracted",
        "not how.subtract_entropy",
        {"subtract_entropy": "False"},
        "CONV-2",
        "CONV-2",
    ),
    Condition("many_classes", "V is above 2^16", "logits.shape[-1] > 65536", {"classes": "70001"}),
    Condition(
        "partial_block",
        "V is above 128 and no multiple of it",
        "logits.shape[-1] > 128 and logits.shape[-1] % 128 > 0",
        {"classes": "129"},
    ),
    Condition(
        "one_class",
        "V is 1",
        "logits.shape[-1] == 1",
        {"classes": "1", "z_loss": "0.5", "z_loss form": "float"},
        "STATE-6",
        "STATE-6",
        without=("e", "how", "logits", "targets"),
    ),
    Condition(
        "many_tokens", "N is above 4096", "math.prod(logits.shape[:-1]) > 4096", {"batch": "4100"}, "SHAPE-1", "SHAPE-1"
    ),
    Condition("three_axes", "tokens have three axes", "logits.ndim == 4", {"batch": "1x3x2"}, "SHAPE-1", "SHAPE-1"),
    Condition(
        "one_token",
        "there is one token, without an axis",
        "logits.ndim == 1",
        {"batch": "scalar"},
        "SHAPE-1",
        "SHAPE-1",
    ),
    Condition("float16", "logits are float16", "logits.dtype == jnp.float16", {"logits": "float16"}),
    Condition("bfloat16", "logits are bfloat16", "logits.dtype == jnp.bfloat16", {"logits": "bfloat16"}),
    Condition("float64", "logits are float64", "logits.dtype == jnp.float64", {"logits": "float64"}),
    Condition(
        "eager_calls",
        "the call is eager",
        "not isinstance(logits, jax.core.Tracer)",
        {"transform": "eager", "derivative": "values"},
        "VALUE-9",
    ),
    Condition(
        "mapped_targets",
        "targets alone are mapped",
        f"{_MAPPED.format('targets')} and not {_MAPPED.format('logits')}",
        {"transform": "vmap targets"},
        "GRAD-10",
        "GRAD-10",
    ),
    Condition(
        "mapped_logits",
        "logits alone are mapped",
        f"{_MAPPED.format('logits')} and not {_MAPPED.format('targets')}",
        {"transform": "vmap logits", "derivative": "values"},
        "GRAD-10",
        "GRAD-10",
    ),
    Condition(
        "mapped_scalars",
        "z_loss is mapped",
        _MAPPED.format("k"),
        {"transform": "vmap scalars", "z_loss": "0.5", "z_loss form": "traced"},
        "GRAD-10",
        "GRAD-10",
    ),
    Condition(
        "several_devices",
        "there is more than one device",
        "math.prod(jax.sharding.get_abstract_mesh().shape.values()) > 1",
        {"transform": "split", "classes": "8"},
        "SPLIT-1",
        "SPLIT-3",
    ),
    Condition(
        "negative_z_loss",
        "z_loss is negative",
        "k < 0",
        {"z_loss": "-0.1", "z_loss form": "float"},
        "VALUE-4",
        spoken_of=_NUMBERS,
    ),
    Condition(
        "full_smoothing",
        "all mass is on the others",
        "e == 1",
        {"label_smoothing": "1", "label_smoothing form": "float"},
        "STATE-7",
        "STATE-7",
        spoken_of=_NUMBERS,
    ),
    Condition(
        "masked_block",
        "the first four classes are masked",
        "jnp.all(logits[..., :4] == -jnp.inf, axis=-1, keepdims=True)",
        {"masks": "first block"},
        "STATE-1",
        "STATE-1",
        spoken_of=("logits",),
    ),
    Condition(
        "uint8_targets",
        "targets are uint8",
        "targets.dtype == jnp.uint8",
        {"targets": "uint8"},
        "SHAPE-2",
        place="targets",
        without=("how", "targets"),
    ),
    Condition(
        "numpy_scalars",
        "z_loss is a NumPy scalar",
        "isinstance(z_loss, np.generic)",
        {"z_loss": "0.5", "z_loss form": "numpy"},
        "VALUE-4",
        place="targets",
        without=("how", "targets"),
    ),
    Condition(
        "integer_weights",
        "weights are integers",
        "jnp.issubdtype(weights.dtype, jnp.integer)",
        {"function": "weighted", "weights": "int32", "weighing": "ordinary"},
        "VALUE-5",
        place="weights",
    ),
    Condition(
        "weights_of_bfloat16",
        "weights are bfloat16",
        "weights.dtype == jnp.bfloat16",
        {"function": "weighted", "weights": "bfloat16", "weighing": "ordinary"},
        "VALUE-5",
        place="weights",
    ),
    Condition(
        "entropy_alone",
        "of the further results entropy alone is asked for",
        'set(also) == {"entropy"}',
        {"function": "token", "also": "e"},
        place="further",
    ),
)
