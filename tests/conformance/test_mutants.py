"""The mutants are real edits, every difference from t5x has one, and the suite tells them from good losses."""

import pytest
from click.testing import CliRunner

from lossproof.conformance import cli
from lossproof.conformance._clauses import CLAUSES
from lossproof.conformance.mutants import BENIGN, MUTANTS
from lossproof.conformance.mutants._matrix import mutated_source

NAMES = [edit.name for edit in (*MUTANTS, *BENIGN)]


def test_names_are_unique():
    """Otherwise one mutant hides behind another."""
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("edit", MUTANTS, ids=lambda edit: edit.name)
def test_a_mutant_changes_the_base_in_one_place_and_still_compiles(edit):
    """A mutant that does not apply, or is a syntax error, proves nothing when it dies."""
    source = mutated_source(edit)
    compile(source, edit.name, "exec")
    assert source != mutated_source(BENIGN[0])


def test_a_mutant_whose_text_is_gone_is_an_error():
    """Otherwise a changed base would leave mutants that are the base itself."""
    stale = MUTANTS[0].__class__("stale", ("VALUE-1",), "", "no such text", "")
    with pytest.raises(ValueError, match="is there 0 times"):
        mutated_source(stale)


def test_mutants_cite_known_clauses_and_every_clause_that_applies_to_the_base():
    """A clause without a mutant is a claim that nothing is seen to check."""
    cited = {clause for edit in MUTANTS for clause in edit.clauses}
    # CONV-1 is about targets of another convention, and the base keeps SPEC.md's.
    assert set(CLAUSES) - {"CONV-1"} == cited


def test_the_command_reports_a_kill_with_its_check_and_clause():
    """The matrix must say who killed what, and by which clause."""
    result = CliRunner().invoke(cli, ["mutants", "packed_by_running_sums", "-n", "1"])
    assert result.exit_code == 0, result.output
    assert "factors.packed[factor-float32]" in result.output
    assert "NORM-7" in result.output
    assert "1 of 1 mutants killed" in result.output


def test_an_unknown_mutant_is_a_usage_error():
    """A misspelled name must not pass as 0 of 0 killed."""
    result = CliRunner().invoke(cli, ["mutants", "nobody"])
    assert result.exit_code == 2
    assert "unknown mutant 'nobody'" in result.output
