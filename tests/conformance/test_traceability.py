"""Every clause leads to a check, a mutant and a vector, and the page that says so is up to date."""

import importlib.util
from pathlib import Path

import pytest

from lossproof.spec import CLAUSES

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "make_traceability.py"


@pytest.fixture
def traceability():
    """The script that writes the page, as a module."""
    spec = importlib.util.spec_from_file_location("make_traceability", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_clause_has_a_check_a_mutant_and_a_vector(traceability):
    """Fails when a clause could be broken unnoticed, or a reason for having no vector is no longer true."""
    assert traceability.gaps() == []
    assert set(traceability.WITHOUT_VECTOR) <= set(CLAUSES)


@pytest.mark.parametrize(
    ("source", "missing"),
    [("_by_check", "no check"), ("_by_mutant", "no mutant"), ("_by_vector", "no golden vector")],
)
def test_a_missing_citation_is_a_gap(traceability, monkeypatch, source, missing):
    """Fails when the search for gaps does not look at one of the three."""
    cited = {**getattr(traceability, source)(), "VALUE-1": []}
    monkeypatch.setattr(traceability, source, lambda: cited)
    (gap,) = traceability.gaps()
    assert gap.startswith(f"VALUE-1 has {missing}")


def test_the_page_is_up_to_date(traceability):
    """Fails when a clause, a citation, a check, a vector or a mutant has come or gone since the page was written."""
    assert traceability.PAGE.read_text(encoding="utf-8") == traceability.page(), (
        "docs/traceability.md is out of date: run python docs/make_traceability.py"
    )


@pytest.mark.parametrize(
    ("line", "clauses"),
    [
        ("x = 0  # [GRAD-1] p - q", ["GRAD-1"]),
        ("the formulas (VALUE-1 to VALUE-3, STATE-2)", ["VALUE-1", "VALUE-2", "VALUE-3", "STATE-2"]),
        ("SPEC.md CONV, GRAD-9.", ["GRAD-9", "CONV-1", "CONV-2"]),
        ("SPEC.md, all clauses but VALUE-8 and NORM.", []),
        ("a VALUE that is no clause", []),
    ],
)
def test_citations_are_read_as_they_are_written(traceability, line, clauses):
    """Fails when a range, a group or a list of exceptions is taken for something else."""
    assert list(traceability._cited(line)) == clauses
