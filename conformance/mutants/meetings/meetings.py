"""Broken losses whose fault lies where features of a call meet: each is a defect that shows under a condition.

The call that shows a fault is a cell of the model of `conformance.coverage`: the plain one, but for what the defect and
the condition need. The model says which of them can meet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from lossproof.conformance.coverage.model import AXES, Cell, broken_rule
from lossproof.conformance.mutants._edit import Edit
from lossproof.conformance.mutants.meetings._conditions import CONDITIONS, Condition
from lossproof.conformance.mutants.meetings._defects import DEFECTS, Defect

# Lines of the base in front of which a fault is put, and what is known there besides logits, targets, e and k.
_PLACES: Mapping[str, str] = {
    "row": "    carried = _carried(logits)\n    x = jnp.where(dead",
    "targets": "    return logits, wide.astype(jnp.int32), e, k\n",
    "weights": "    weights = _checked_weights(weights, logits).astype(carried)\n",
    "further": "    x, loss, z, log_z = _tokens(logits, targets, e, k, ~in_range, how)\n",
}


@dataclass(frozen=True)
class Meeting:
    """A broken loss, and a call that shows it."""

    edit: Edit
    cell: Cell = field(repr=False)


def meetings() -> tuple[Meeting, ...]:
    """Those of the table that the model has a call for: of each defect and of each condition every fifth."""
    found = []
    for (i, defect), (j, condition) in product(enumerate(DEFECTS), enumerate(CONDITIONS)):
        if (i + j) % 5 == 0 and _can_meet(defect, condition):
            found.append(_meeting(defect, (condition,)))
    return (*found, *_chosen())


def _chosen() -> Iterator[Meeting]:
    """Those that people have made, and meetings of three."""
    defects = {defect.name: defect for defect in DEFECTS}
    conditions = {condition.name: condition for condition in CONDITIONS}
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
        yield _meeting(defects[name], tuple(conditions[other] for other in others))


def cell_of(defect: Defect, conditions: Sequence[Condition]) -> Cell | None:
    """The plain call that has what all of them need; None if there is none."""
    given: dict[str, str] = {}
    needs = (defect.cell, *(condition.cell for condition in conditions))
    for axis, value in (item for need in needs for item in need.items()):
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
    places = (*(condition.place for condition in conditions), defect.place)
    place = next((place for place in places if place != "row"), "row")
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
