"""What is left of a cell where a target does not offer all that it has."""

from collections.abc import Mapping, Sequence

from lossproof.conformance.coverage.cases import SCALARS, simplified
from lossproof.conformance.coverage.model import ABSENT, AXES, Cell, broken_rule, is_dense, shape_of
from lossproof.conformance.targets import Offer, Target

# Values that a target may lack are replaced by these, which all have.
_KEYWORDS = ("smoothing", "subtract_entropy", "logit_softcap", "also")


def adapted(cell: Cell, target: Target, offer: Offer, *, dense: bool) -> dict[str, str] | None:
    """The cell with plain values where the target does not offer its own; None where that is no cell.

    Args:
      cell: of the model.
      target: whose ways, limits and scalars count.
      offer: of the function.
      dense: whether targets may be weights of all classes.
    """
    wanted: dict[str, str] = dict(cell)
    for axis, word in (("weights", "weights"), *SCALARS.items(), *((word, word) for word in _KEYWORDS)):
        if word not in offer.arguments and wanted[axis] != ABSENT:
            wanted = simplified(wanted, axis, ABSENT)
    if "weights" in offer.required and wanted["weights"] == ABSENT:
        wanted = simplified(wanted, "weights", "float32")
    for axis, word in SCALARS.items():
        if word in offer.required and wanted[axis] == ABSENT:
            wanted = simplified(wanted, axis, "37" if axis == "factor" else "0")
        if wanted[f"{axis} form"] == "traced" and not target.scalars_differentiable:
            wanted[f"{axis} form"] = "float"
    if is_dense(wanted["targets"]) and not dense:
        wanted = simplified(wanted, "targets", "int32")
    if target.limits.targets and wanted["targets"] not in target.limits.targets and not is_dense(wanted["targets"]):
        wanted["targets"] = target.limits.targets[0]
    if target.limits.masks and wanted["weights"] not in (ABSENT, "bool"):
        wanted["weights"], wanted["weighing"] = "bool", "ordinary"
    if "axis_name" not in offer.arguments and wanted["transform"] == "split":
        wanted["transform"] = "jit"
    for axis, offered in (("transform", target.transforms), ("derivative", target.derivatives)):
        if wanted[axis] not in offered:
            wanted = simplified(
                wanted, axis, "eager" if axis == "transform" else "vjp" if "vjp" in offered else "values"
            )
    if not target.chooses_arguments:
        wanted["by"] = "all"
    if wanted["cotangent"] == "further" and wanted["also"] == ABSENT:
        wanted["cotangent"] = "loss"
    if wanted["cotangent"] in ("z_loss", "third") and len(offer.outputs) < 3:
        named = {"z_loss": ("z_loss",), "third": ("log_z", "weight_sum")}[wanted["cotangent"]]
        wanted["cotangent"] = wanted["cotangent"] if set(named) & set(offer.outputs) else "loss"
    shape = (*shape_of(wanted["batch"]), int(wanted["classes"]))
    nearest = target.limits.nearest(shape)
    if nearest != shape:
        wanted["batch"] = "x".join(map(str, nearest[:-1])) or "scalar"
        wanted["classes"] = str(nearest[-1])
    return _allowed(wanted, lacking(offer))


def lacking(offer: Offer) -> list[str]:
    """The axes of scalars that a target lacks, also where the specification's function has no default."""
    return [axis for axis, word in SCALARS.items() if word not in offer.arguments]


def _allowed(cell: Mapping[str, str], without: Sequence[str]) -> dict[str, str] | None:
    """The cell, with plain values where it breaks a rule; None if that does not help.

    Args:
      cell: maybe of the model.
      without: axes of scalars that the target lacks.
    """
    kept = dict(cell)
    for _ in range(len(AXES)):
        rule = broken_rule(kept, without)
        if rule is None:
            return kept
        for axis in rule.axes:
            if kept[axis] != AXES[axis][0] and axis not in ("function", "logits", "batch", "classes"):
                changed = simplified(kept, axis, AXES[axis][0])
                if broken_rule(changed, without) is not rule:
                    kept = changed
                    break
        else:
            return None
    return None
