"""Broken losses whose fault lies where two features of a call meet, or three: each is a defect that shows under a condition.

The call that shows a fault is a cell of the model of `conformance.coverage`: the plain one, but for what the defect and
the condition need. The model says which of them can meet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from lossproof.conformance.coverage._model import AXES, Cell, broken_rule
from lossproof.conformance.mutants._edit import Edit

# Lines of the base in front of which a fault is put, and what is known there besides logits, targets, e and k.
_PLACES: Mapping[str, str] = {
    "row": "    carried = _carried(logits)\n    x = jnp.where(dead",
    "targets": "    return logits, wide.astype(jnp.int32), e, k\n",
    "weights": "    weights = _checked_weights(weights, logits).astype(carried)\n",
    "further": "    x, loss, z, log_z = _tokens(logits, targets, e, k, ~in_range, how)\n",
}


@dataclass(frozen=True)
class Defect:
    """What goes wrong.

    Attributes:
      name: the first part of the mutant's.
      what: in words.
      variable: that gets a wrong value.
      value: it.
      cell: what a call must have for that to matter.
      clause: that speaks of it; without one, that of the condition is broken.
      place: where it can be put, if not everywhere.
      subject: "values" or "gradients", whichever are wrong.
    """

    name: str
    what: str
    variable: str
    value: str
    cell: Cell
    clause: str = ""
    place: str = "row"
    subject: str = "values"


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


@dataclass(frozen=True)
class Meeting:
    """A broken loss, and a call that shows it."""

    edit: Edit
    cell: Cell = field(repr=False)


_SMOOTHED = {"label_smoothing": "0.5", "label_smoothing form": "float"}
_PENALISED = {"z_loss": "0.5", "z_loss form": "float"}
_PULLED = {"derivative": "vjp", "cotangent": "loss"}
_WEIGHTED = {"function": "weighted", "weights": "float32", "weighing": "ordinary"}
_DIVIDED = {"function": "weighted", "factor": "37", "factor form": "float"}

DEFECTS = (
    Defect("smoothing_dropped", "label_smoothing does not arrive", "e", "jnp.zeros_like(e)", _SMOOTHED, "VALUE-2"),
    Defect(
        "smoothing_constant",
        "label_smoothing has no derivative",
        "e",
        "lax.stop_gradient(e)",
        {"label_smoothing": "0.5", "label_smoothing form": "traced", **_PULLED},
        "GRAD-4",
        subject="gradients",
    ),
    Defect("z_dropped", "z_loss does not arrive", "k", "jnp.zeros_like(k)", _PENALISED, "VALUE-4"),
    Defect(
        "z_constant",
        "z_loss has no derivative",
        "k",
        "lax.stop_gradient(k)",
        {"z_loss": "0.5", "z_loss form": "traced", **_PULLED},
        "GRAD-3",
        subject="gradients",
    ),
    Defect(
        "z_sign_lost",
        "the sign of z_loss is lost",
        "k",
        "jnp.abs(k)",
        {"z_loss": "-0.1", "z_loss form": "float"},
        "VALUE-4",
    ),
    Defect(
        "softcap_dropped",
        "the soft-cap does not arrive",
        "how",
        "how._replace(cap=None)",
        {"logit_softcap": "small"},
        "VALUE-11",
    ),
    Defect(
        "convention_dropped",
        "smoothing falls back to its default",
        "how",
        "how._replace(uniform=False)",
        {**_SMOOTHED, "smoothing": "uniform"},
        "CONV-2",
    ),
    Defect(
        "entropy_subtracted",
        "subtract_entropy falls back to its default",
        "how",
        "how._replace(subtract_entropy=True)",
        {**_SMOOTHED, "subtract_entropy": "False"},
        "CONV-2",
    ),
    Defect(
        "logits_constant",
        "the logits have no derivative",
        "logits",
        "lax.stop_gradient(logits)",
        _PULLED,
        subject="gradients",
    ),
    Defect(
        "logits_in_16_bits",
        "the logits are rounded to bfloat16 on the way",
        "logits",
        "logits.astype(jnp.bfloat16).astype(logits.dtype)",
        {"logits": "float32"},
    ),
    Defect(
        "last_block_dropped",
        "classes behind the last whole block do not count",
        "logits",
        "jnp.where(\n"
        "            jnp.arange(logits.shape[-1])\n"
        "            < logits.shape[-1] // (1024 if logits.shape[-1] > 1024 else 8) * (1024 if logits.shape[-1] > 1024 else 8),\n"
        "            logits,\n"
        "            -jnp.inf,\n"
        "        )",
        {},
    ),
    Defect(
        "targets_shifted",
        "a target counts for the next class",
        "targets",
        "jnp.roll(targets, 1, axis=-1) if _is_dense(targets) else (targets + 1) % logits.shape[-1]",
        {},
    ),
    Defect(
        "weights_dropped", "weights do not arrive", "weights", "jnp.ones_like(weights)", _WEIGHTED, "VALUE-5", "weights"
    ),
    Defect(
        "weights_constant",
        "weights have no derivative",
        "weights",
        "lax.stop_gradient(weights)",
        {**_WEIGHTED, **_PULLED},
        "GRAD-2",
        "weights",
        "gradients",
    ),
    Defect(
        "factor_dropped",
        "the factor does not arrive",
        "loss_normalizing_factor",
        "None",
        _DIVIDED,
        "VALUE-5",
        "weights",
    ),
    Defect(
        "factor_constant",
        "the factor has no derivative",
        "loss_normalizing_factor",
        "lax.stop_gradient(loss_normalizing_factor)",
        {**_DIVIDED, **_PULLED, "factor form": "traced"},
        "GRAD-5",
        "weights",
        "gradients",
    ),
)

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
    Condition("many_tokens", "N is above 4096", "math.prod(logits.shape[:-1]) > 4096", {"batch": "4100"}, "SHAPE-1", "SHAPE-1"),
    Condition("three_axes", "tokens have three axes", "logits.ndim == 4", {"batch": "1x3x2"}, "SHAPE-1", "SHAPE-1"),
    Condition("one_token", "there is one token, without an axis", "logits.ndim == 1", {"batch": "scalar"}, "SHAPE-1", "SHAPE-1"),
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


def meetings() -> tuple[Meeting, ...]:
    """Those of the table that the model has a call for: of each defect and of each condition every fifth."""
    found = []
    for (i, defect), (j, condition) in product(enumerate(DEFECTS), enumerate(CONDITIONS)):
        if (i + j) % 5 == 0 and _can_meet(defect, condition):
            found.append(_meeting(defect, (condition,)))
    return (*found, *_chosen())


def _chosen() -> Iterator[Meeting]:
    """Those that people have made, and meetings of three."""
    by_name = {item.name: item for item in (*DEFECTS, *CONDITIONS)}
    for name, *others in (
        ("smoothing_dropped", "eager_calls"),
        ("z_dropped", "dense_targets", "many_classes"),
        ("softcap_dropped", "dense_targets", "bfloat16"),
        ("smoothing_dropped", "mapped_targets", "softcap"),
        ("weights_constant", "dense_targets", "softcap"),
        ("logits_constant", "softcap", "partial_block"),
        ("factor_dropped", "dense_targets", "float16"),
        ("z_sign_lost", "several_devices", "softcap"),
        ("smoothing_constant", "uniform_smoothing", "many_tokens"),
        ("last_block_dropped", "eager_calls", "partial_block"),
    ):
        yield _meeting(by_name[name], tuple(by_name[other] for other in others))


def cell_of(defect: Defect, conditions: Sequence[Condition]) -> Cell | None:
    """The plain call that has what all of them need; None if there is none."""
    given: dict[str, str] = {}
    for axis, value in (item for part in (defect, *conditions) for item in part.cell.items()):
        other = given.get(axis, value)
        if value != other and _ANY_OTHER.get(axis) not in (value, other):
            return None
        given[axis] = other if value == _ANY_OTHER.get(axis) else value
    cell = {axis: values[0] for axis, values in AXES.items()} | given
    return None if broken_rule(cell) else cell


# Where a defect or a condition says so, any other value would do.
_ANY_OTHER = {
    "weights": "float32",
    "label_smoothing": "0.5",
    "label_smoothing form": "float",
    "z_loss": "0.5",
    "z_loss form": "float",
}


def _can_meet(defect: Defect, condition: Condition) -> bool:
    if defect.variable in condition.without or (defect.place != "row" and condition.place not in ("row", defect.place)):
        return False
    if (defect.name, condition.name) == ("convention_dropped", "many_classes"):
        return False  # e / V and e / (V - 1) are nearly the same there
    if condition.spoken_of and defect.variable not in condition.spoken_of:
        return False
    return cell_of(defect, (condition,)) is not None


def _meeting(defect: Defect, conditions: Sequence[Condition]) -> Meeting:
    cell = cell_of(defect, conditions)
    assert cell is not None, (defect.name, [condition.name for condition in conditions])
    place = next((item.place for item in (*conditions, defect) if item.place != "row"), "row")
    old, indent = _PLACES[place], "    "
    test = " and ".join(f"({condition.test})" if len(conditions) > 1 else condition.test for condition in conditions)
    if any(condition.spoken_of for condition in conditions):
        fault = f"{indent}{defect.variable} = jnp.where({test}, {defect.value}, {defect.variable})\n"
    else:
        fault = f"{indent}if {test}:\n{indent}    {defect.variable} = {defect.value}\n"
    new = fault + old
    if place == "weights":
        new = f"{indent}weights = _checked_weights(weights, logits)\n{fault}{indent}weights = weights.astype(carried)\n"
    clauses = [getattr(condition, defect.subject) for condition in conditions]
    special = next((clause for clause in clauses if clause not in ("VALUE-1", "GRAD-1")), clauses[0])
    return Meeting(
        Edit(
            "_".join((defect.name, "with", *(condition.name for condition in conditions))),
            (defect.clause or special,),
            f"{defect.what} where {' and '.join(condition.what for condition in conditions)}",
            old,
            new,
        ),
        cell,
    )


MEETINGS = meetings()
MUTANTS = tuple(meeting.edit for meeting in MEETINGS)
