"""What can go wrong with an argument of a loss, whatever the call."""

from dataclasses import dataclass

from lossproof.conformance.coverage.model import Cell


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
        {"function": "weighted", "logit_softcap": "small"},
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
        "jnp.where(jnp.arange(logits.shape[-1]) < logits.shape[-1] // "
        "(block := 1024 if logits.shape[-1] > 1024 else 8) * block, logits, -jnp.inf)",
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
