"""The clauses: SPEC.md's, each cited, by units whose ids can be relied on."""

import re
from collections import Counter
from pathlib import Path

import pytest

from lossproof import golden
from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.running.selection import SelectionError, selected_units
from lossproof.conformance.suite.registry import SHORT
from lossproof.conformance.suite.units import all_units
from lossproof.spec import CLAUSES, FACTOR, GROUPS, NOTATION
from lossproof.spec._clauses import read

SPEC = (Path(__file__).resolve().parents[2] / "SPEC.md").read_text(encoding="utf-8")
UNIT = re.compile(rf"[a-z0-9_]+(\.[a-z0-9_-]+)+\[({'|'.join(SHORT.values())})-({'|'.join(DTYPES)})\]")


def test_clauses_are_those_of_the_specification():
    """Fails when the parser passes over a clause, a group or words of a text."""
    written = re.findall(r"^- \*\*([A-Z]+-\d+) \((.+?)\)\.\*\*", SPEC, re.MULTILINE)
    assert [(clause.id, clause.title) for clause in CLAUSES.values()] == written
    assert list(CLAUSES) == [clause for clause, _ in written]
    assert list(GROUPS) == re.findall(r"^## ([A-Z]+): ", SPEC, re.MULTILINE)
    assert {clause.group for clause in CLAUSES.values()} == set(GROUPS)
    words = " ".join(re.sub(r"\*\*[A-Z]+-\d+ \(.+?\)\.\*\*", "", SPEC).split())
    assert [clause.id for clause in CLAUSES.values() if not clause.text or clause.text not in words] == []
    assert NOTATION in SPEC


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("- **A-1 (one).** x.\n- **A-3 (three).** z.", "expected A-2, got A-3"),
        ("- **A-1 (one).** x.\n- **A-1 (again).** y.", "expected A-2, got A-1"),
        ("- **B-1 (one).** x.", "B-1 is of no group"),
    ],
)
def test_ids_have_no_gap(wrong, message):
    """Fails when an id is skipped, is used for a second clause, or has no group: ids are permanent."""
    with pytest.raises(ValueError, match=message):
        read(f"    V >= 2: on\n\n## A: letters\n\n{wrong}\n")


def test_references_inside_the_specification_lead_somewhere():
    """Fails when a clause points to one that does not exist."""
    assert set(re.findall(r"\b[A-Z]{2,}-\d+\b", SPEC)) - set(CLAUSES) == set()


def test_every_clause_is_cited():
    """Fails when a clause is neither checked nor in a golden case: nobody would notice if it were broken."""
    cited = {clause for unit in all_units() for clause in unit.check.clauses}
    cited |= {clause for case in golden.load() for clause in case.clauses}
    assert [clause for clause in CLAUSES if clause not in cited] == []
    assert cited - set(CLAUSES) == set()


def test_every_check_cites_a_clause():
    """Fails when a check could fail without saying what was broken."""
    assert [unit.id for unit in all_units() if not unit.check.clauses and not unit.id.startswith("survey.")] == []


def test_unit_ids_are_unique_and_of_one_form():
    """Fails when a unit cannot be named on a command line, or two share a name."""
    ids = [unit.id for unit in all_units()]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert [name for name in ids if not UNIT.fullmatch(name)] == []
    assert ids == [unit.id for unit in all_units()]


@pytest.mark.parametrize(
    "only", ["values.hard_targets[token-float32]", "values.hard_targets", "values", "VALUE-1", "VALUE"]
)
def test_units_are_selected_by_unit_check_group_and_clause(only):
    """Fails when --only selects another set of units than its name says."""
    chosen = selected_units([only])
    assert "values.hard_targets[token-float32]" in [unit.id for unit in chosen]
    for unit in chosen:
        named = [unit.id, unit.check.id, unit.check.id.partition(".")[0], *unit.check.clauses]
        assert only in named or any(clause.startswith(f"{only}-") for clause in unit.check.clauses)
    assert len(chosen) < len(all_units())


def test_several_names_select_the_union_in_the_order_of_all():
    """Fails when repeated --only options are an intersection, or change the order."""
    both = [unit.id for unit in selected_units(["NORM-1", "VALUE-8"])]
    apart = {unit.id for name in ("VALUE-8", "NORM-1") for unit in selected_units([name])}
    assert both == [unit.id for unit in all_units() if unit.id in apart]
    assert [unit.id for unit in selected_units([])] == [unit.id for unit in all_units()]


@pytest.mark.parametrize("only", ["VALUE-99", "value", "", "values.", "values.hard_targets[token-float128]"])
def test_a_name_that_fits_nothing_is_refused(only):
    """Fails when a misspelt --only runs nothing and passes."""
    with pytest.raises(SelectionError, match=re.escape(f"{only!r} names no unit")):
        selected_units(["VALUE-1", only])


def test_smoke_is_a_part_and_a_name_overrides_it():
    """Fails when smoke runs everything, or when a unit that is asked for by name is not run at smoke."""
    quick, whole = selected_units([], "smoke"), selected_units([], "standard")
    assert 0 < len(quick) < len(whole) / 4 and set(quick) < set(whole)
    assert {unit.dtype for unit in quick} == {"float32"}
    (unit,) = selected_units(["values.hard_targets[token-float64]"], "smoke")
    assert unit not in quick
    assert selected_units([], "exhaustive") == whole


def test_a_name_at_smoke_is_its_quick_units():
    """Fails when a group of clauses at level smoke takes as long as at level standard."""
    quick = set(selected_units([], "smoke"))
    named = selected_units(["GRAD"], "smoke")
    assert named == [unit for unit in selected_units(["GRAD"]) if unit in quick]
    slow = selected_units(["SPLIT-3"], "smoke")  # has no quick unit
    assert {unit.dtype for unit in slow} == {"float32"} and slow
    assert selected_units(["GRAD", "SPLIT-3"], "smoke") == sorted({*named, *slow}, key=list(selected_units([])).index)


def test_types_of_logits_are_selected():
    """Fails when a loss for one type is judged in others, or its factors, which have no logits, are not judged."""
    units = selected_units([], "standard", ["bfloat16", "float16"])
    assert {unit.dtype for unit in units if unit.function != FACTOR} == {"bfloat16", "float16"}
    assert [unit for unit in units if unit.function == FACTOR] == [u for u in all_units() if u.function == FACTOR]
    smoke = selected_units([], "smoke", ["bfloat16"])
    assert smoke and {unit.dtype for unit in smoke if unit.function != FACTOR} == {"bfloat16"}
    assert all(unit.check.is_quick for unit in smoke)
    assert {unit.dtype for unit in selected_units(["GRAD"], "smoke", ["float64"])} == {"float64"}


def test_a_type_that_is_not_there_is_refused():
    """Fails when a misspelt type selects nothing, or a name and a type that exclude each other do."""
    with pytest.raises(
        SelectionError, match="no logits of type 'int8': choose from bfloat16, float16, float32, float64"
    ):
        selected_units([], "smoke", ["int8"])
    with pytest.raises(SelectionError, match=r"'shapes.mismatch' has no unit with logits of type float64"):
        selected_units(["shapes.mismatch"], "smoke", ["float64"])


def test_there_is_no_other_level():
    """Fails when a misspelt level runs something else."""
    with pytest.raises(SelectionError, match="there is no level 'thorough': choose from smoke, standard, exhaustive"):
        selected_units([], "thorough")
