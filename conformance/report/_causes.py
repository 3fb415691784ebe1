"""What a result says of the cause of its failures, in words."""

from collections.abc import Mapping
from typing import Any

from lossproof.conformance.diagnosis.axes import Rule, told
from lossproof.conformance.diagnosis.inputs import answered, shown

Cause = Mapping[str, Any]


def defects(cause: Cause) -> list[Mapping[str, Any]]:
    """The known defects that the loss is like, the one that explains most first."""
    return [cause["defect"], *cause["others"]] if cause["defect"] else []


def sentences(cause: Cause) -> list[str]:
    """What the loss does, a sentence for each defect; then where it does, and where not."""
    return [*map(_of_defect, defects(cause)), *filter(None, [where(cause)])]


def where(cause: Cause) -> str:
    """On which properties calls that fail differ from those that pass; "" where that is not known."""
    return told([Rule(**rule) for rule in cause["axes"]])


def simplest(cause: Cause) -> str:
    """The smallest input with a wrong answer, that answer and the right one; "" if there is none."""
    found = cause["simplest"]
    return "\n".join([shown([found["call"]]), *answered(found["answer"], found["right"])]) if found else ""


def by_unit(cause: Cause) -> dict[str, str]:
    """The name of the defect that explains the failure of each unit, where one does."""
    table: dict[str, str] = {}
    for defect in defects(cause):
        for unit in defect["units"]:
            table.setdefault(unit, defect["name"])
    return table


def _of_defect(defect: Mapping[str, Any]) -> str:
    kind = " that only lose digits" if defect["digits"] else ""
    share = f"{defect['matches']} of {defect['inputs']} failing inputs{kind}"
    name = f"the known defect {defect['name']}"
    does = f"does what {name} does" if 2 * defect["matches"] >= defect["inputs"] else f"resembles {name}"
    return f"{defect['what']}; it {does} on {share} ({', '.join(defect['clauses'])})"
