"""The mutants are real edits, every clause has one, and the suite tells them from good losses."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from lossproof.conformance.command._mutants import mutants
from lossproof.conformance.coverage.cases import FUNCTIONS, calls
from lossproof.conformance.coverage.model import AXES
from lossproof.conformance.coverage.stored import stored
from lossproof.conformance.judging.result import FAIL, PASS, Result
from lossproof.conformance.mutants import BENIGN, MUTANTS, Edit
from lossproof.conformance.mutants._cells_against import has_cells, on_cell
from lossproof.conformance.mutants.killers import Killer, known_killers
from lossproof.conformance.mutants.load import load, mutated_source
from lossproof.conformance.mutants.matrix import Outcome, breaks, examine, idle_clauses
from lossproof.conformance.mutants.meetings._conditions import CONDITIONS
from lossproof.conformance.mutants.meetings._defects import DEFECTS
from lossproof.conformance.mutants.meetings.meetings import MEETINGS
from lossproof.conformance.mutants.report import summary, table, to_json
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.pairs.cells import look
from lossproof.conformance.suite.units import all_units, run_unit
from lossproof.spec import CLAUSES

NAMES = [edit.name for edit in (*MUTANTS, *BENIGN)]
HARMLESS = next(edit for edit in BENIGN if edit.name == "logarithm_of_quotient")
BROKEN = next(edit for edit in MUTANTS if edit.name == "packed_by_running_sums")
BASE = next(edit for edit in BENIGN if edit.name == "base")


@pytest.fixture
def as_users_have_it():
    """JAX with its own promotions: the second implementation leaves them to it."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def run():
    """Runs the command in one worker."""
    return lambda *words: CliRunner().invoke(mutants, [*words, "-n", "1"])


def failure(*clauses, broken=(), verdict=FAIL):
    """A result of some check."""
    return Result("some.check[token-float32]", clauses, verdict, broken=broken or clauses)


def test_names_are_unique():
    """Fails when one mutant hides behind another."""
    assert len(set(NAMES)) == len(NAMES)


def test_there_are_as_many_as_promised():
    """Fails when the matrix shrinks below 235 broken losses and 20 good ones, or fewer than 60 are made of meetings."""
    assert len(MUTANTS) >= 235
    assert len(MEETINGS) >= 60
    assert len(BENIGN) >= 20


def test_every_defect_and_every_condition_meets_another():
    """Fails when a line of the table of defects and conditions makes no mutant."""
    names = [meeting.edit.name for meeting in MEETINGS]
    assert [defect.name for defect in DEFECTS if not any(name.startswith(defect.name) for name in names)] == []
    assert [condition.name for condition in CONDITIONS if not any(condition.name in name for name in names)] == []


@pytest.mark.parametrize(
    "meeting",
    [pytest.param(m, marks=[pytest.mark.thorough] * (n % 20 > 0), id=m.edit.name) for n, m in enumerate(MEETINGS)],
)
@pytest.mark.usefixtures("as_users_have_it")
def test_a_meeting_changes_the_answer_by_more_than_rounding(meeting):
    """Fails when a mutant is right in the very call in which its defect and its condition meet."""
    outputs = load(BASE).offer(FUNCTIONS[meeting.cell["function"]]).outputs
    asked = calls(meeting.cell, 0, outputs)
    right, wrong = (load(edit).perform(asked.way, asked.cases, asked.directions) for edit in (BASE, meeting.edit))
    pairs = zip(flat(right), flat(wrong), strict=True)
    assert max(difference(one, other) for one, other in pairs) > 1e-4


def flat(answers):
    """All arrays of some answers."""
    return [
        array.astype(np.float64)
        for answer in answers
        for arrays in (answer.outputs, *answer.derivatives)
        for array in arrays.values()
    ]


def difference(one, other):
    """The largest one, relative to the largest number; infinite where one is a number and the other is not."""
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return np.inf
    finite = np.isfinite(one)
    return np.max(np.abs(one - other)[finite], initial=0) / np.max(np.abs([one, other])[:, finite], initial=1e-30)


def test_what_killed_a_mutant_is_known_of_mutants_that_there_are():
    """Fails when killers.json speaks of a mutant, a unit or a cell that is gone, which costs time and nothing else."""
    known = known_killers()
    assert set(known) <= {edit.name for edit in MUTANTS}
    killers = [killer for each in known.values() for killer in each]
    assert {killer.unit for killer in killers} <= {unit.id for unit in all_units()}
    assert [killer.cell for killer in killers if killer.cell and killer.cell not in stored("standard")] == []


@pytest.mark.usefixtures("as_users_have_it")
def test_what_is_known_of_a_killer_is_only_where_to_look():
    """Fails when a mutant counts as killed because it was when somebody wrote that down."""
    unit = next(unit for unit in all_units() if has_cells(unit) and unit.id.endswith("[token-float32]"))
    cell = next(cell for cell in stored("standard") if (cell["function"], cell["transform"]) == ("token", "jit"))
    plain = {axis: values[0] for axis, values in AXES.items()}
    result = run_unit(on_cell(unit, Killer(unit.id, cell, plain)), load(BASE), "standard", seed=0)
    assert (result.verdict, result.message) == (PASS, "")


@pytest.mark.parametrize("edit", [*MUTANTS, *BENIGN], ids=lambda edit: edit.name)
def test_an_edit_changes_the_base_in_one_place_and_still_compiles(edit):
    """Fails when a mutant does not apply, or is a syntax error: it would prove nothing when it dies."""
    source = mutated_source(edit)
    compile(source, edit.name, "exec")
    assert edit.name == "base" or source != mutated_source(BENIGN[0])


def test_no_two_edits_make_the_same_loss():
    """Fails when a bug, or a good variant, counts twice."""
    assert len({mutated_source(edit) for edit in (*MUTANTS, *BENIGN)}) == len(NAMES)


def test_a_mutant_whose_text_is_gone_is_an_error():
    """Fails when a changed base would leave mutants that are the base itself."""
    stale = Edit("stale", ("VALUE-1",), "", "no such text", "")
    with pytest.raises(ValueError, match="is there 0 times"):
        mutated_source(stale)


def test_mutants_cite_every_clause_and_no_other():
    """Fails when a clause has no mutant: a claim that nothing is seen to check."""
    assert {clause for edit in MUTANTS for clause in edit.clauses} == set(CLAUSES)
    assert [edit.name for edit in MUTANTS if not edit.clauses] == []
    assert [edit.name for edit in BENIGN if edit.clauses] == []


def test_a_mutant_is_killed_when_each_clause_that_it_breaks_is_noticed():
    """Fails when one noticed clause hides that another one is not."""
    edit = replace(BROKEN, clauses=("NORM-7", "DIFF-13"))
    assert not Outcome(edit).is_right
    half = Outcome(edit, {"NORM-7": failure("NORM-7")})
    assert not half.is_right
    assert half.unnoticed == ["DIFF-13"]
    assert Outcome(edit, {clause: failure(clause) for clause in edit.clauses}).is_right


def test_only_a_failure_of_the_clause_itself_breaks_it():
    """Fails when a check that passed, or that failed for another of its clauses, counts as a kill."""
    assert breaks(failure("ACC-1", "VALUE-1"), "ACC-1")
    assert not breaks(failure("ACC-1", "VALUE-1", broken=("ACC-1",)), "VALUE-1")
    assert not breaks(failure("ACC-1", verdict=PASS), "ACC-1")
    assert not breaks(failure("ACC-1"), "VALUE-1")


def test_a_harmless_edit_survives():
    """Fails when a mutant counts as killed although no check noticed it."""
    outcome = examine(replace(HARMLESS, clauses=("NORM-2",)))
    assert outcome.units > 0
    assert outcome.unnoticed == ["NORM-2"]


def test_clauses_that_kill_nothing_are_named():
    """Fails when a run could be green with a clause that never killed."""
    every = [Outcome(BROKEN, {clause: failure(clause)}) for clause in CLAUSES]
    assert idle_clauses(every) == []
    assert idle_clauses(every[1:]) == [next(iter(CLAUSES))]


def test_the_command_reports_a_kill_with_its_check_and_clause(run, tmp_path):
    """Fails when the matrix does not say who killed what, by which clause."""
    result = run(BROKEN.name, "--json", str(tmp_path / "matrix.json"))
    assert result.exit_code == 0, result.output
    assert "factors.packed[factor-float32]" in result.output
    assert "NORM-7 DIFF-13" in result.output
    assert "1 of 1 mutants killed" in result.output
    (line,) = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))
    assert line["verdict"] == "killed"
    assert line["killed_by"]["NORM-7"] == "factors.packed[factor-float32]"


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(BROKEN, {"NORM-7": failure("NORM-7")}), ("survived", "no check", "0 of 1 mutants killed")),
        (Outcome(HARMLESS, alarm=failure("VALUE-3")), ("false alarm", "VALUE-3", "0 of 1 good losses pass")),
        (Outcome(HARMLESS), ("passes", "1 of 1 good losses pass")),
    ],
)
def test_the_matrix_names_survivors_and_false_alarms(monkeypatch, run, outcome, words):
    """Fails when a survivor or a false alarm looks like success, or does not end with exit code 1."""
    monkeypatch.setattr("lossproof.conformance.command._mutants.run_all", lambda *_: [outcome])
    result = run(outcome.edit.name)
    assert result.exit_code == (not outcome.is_right)
    assert [word for word in words if word not in result.output] == []
    assert to_json([outcome])[0]["verdict"] in words
    assert summary([outcome]) in result.output
    assert table([outcome]).row_count >= 1


def test_a_full_run_in_which_a_clause_kills_nothing_fails(monkeypatch, run):
    """Fails when a clause without a kill is only missing from the matrix."""
    outcomes = [Outcome(replace(BROKEN, clauses=(c,)), {c: failure(c)}) for c in CLAUSES if c != "ACC-6"]
    monkeypatch.setattr("lossproof.conformance.command._mutants.run_all", lambda *_: outcomes)
    result = run()
    assert result.exit_code == 1
    assert "no mutant is killed by ACC-6" in result.output


def test_what_killed_is_written_down_when_asked_for(monkeypatch, run):
    """Fails when a run cannot tell the next one where to begin, or tells it what no unit did."""
    outcomes = [
        Outcome(BROKEN, {"NORM-7": failure("NORM-7")}, killers=(Killer("some.check", {}, {}),)),
        Outcome(HARMLESS),
    ]
    written = []

    def one_by_one(edits, workers, progress, good_losses):
        del edits, workers, good_losses
        for outcome in outcomes:
            progress(outcome)
        return outcomes

    monkeypatch.setattr("lossproof.conformance.command._mutants.run_all", one_by_one)
    monkeypatch.setattr("lossproof.conformance.command._mutants.write_killers", written.append)
    run(BROKEN.name)
    assert written == []
    run(BROKEN.name, "--remember")
    assert written == [{BROKEN.name: (Killer("some.check", {}, {}),)}]


def test_an_interrupted_run_has_told_and_remembered_what_it_knew(monkeypatch, run):
    """Fails when minutes of work are lost to an interrupt."""
    written = []

    def interrupted(edits, workers, progress, good_losses):
        del edits, workers, good_losses
        progress(Outcome(BROKEN, {"NORM-7": failure("NORM-7")}, killers=(Killer("some.check", {}, {}),)))
        raise KeyboardInterrupt

    monkeypatch.setattr("lossproof.conformance.command._mutants.run_all", interrupted)
    monkeypatch.setattr("lossproof.conformance.command._mutants.write_killers", written.append)
    result = run(BROKEN.name, "--remember")
    assert result.exit_code != 0
    assert f"survived: {BROKEN.name} (0 s, some.check[token-float32], not noticed: DIFF-13)" in result.output
    assert written == [{BROKEN.name: (Killer("some.check", {}, {}),)}]


@pytest.mark.parametrize(
    "words", [["nobody"], ["base", "--json", "no/such/folder/matrix.json"], ["base", "--good-losses", "half"]]
)
def test_a_bad_argument_is_a_usage_error(run, words):
    """Fails when a misspelled name passes as 0 of 0 killed, or an unwritable file is found out after the run."""
    result = run(*words)
    assert result.exit_code == 2
    assert words[-1] in result.output


SOME_WEIGHT_0 = {"weights": "float32", "weighing": "zeros"}


@pytest.mark.parametrize(
    ("function", "dtype", "values"),
    [
        # An infinite loss has no part in a derivative that is not by the factor.
        ("weighted", "float32", {"masks": "some", "derivative": "jvp", "label_smoothing": "1"}),
        # Nor has inf - inf, the slope by a label_smoothing that is constant.
        ("token", "float32", {"masks": "some", "place": "masked", "derivative": "jvp", "label_smoothing": "0.5"}),
        # XLA:CPU's maximum of a long row leaves NaN out.
        ("weighted", "float16", {"classes": "32128", "special": "nan", "transform": "eager"}),
        # Infinite slopes of tokens whose cotangents have other signs.
        ("token", "float64", {"derivative": "vjp", "cotangent": "together", "label_smoothing": "1", "form": "traced"}),
        # Nor has a token of weight 0, in forward mode either, where a sum of infinite slopes is one.
        ("weighted", "float32", {"derivative": "jvp", "label_smoothing": "0", "form": "traced", **SOME_WEIGHT_0}),
        # A gap between logits may be infinite where the entropy has no part of it.
        ("token", "float32", {"special": "huge apart", "also": "e", "derivative": "vjp", "cotangent": "further"}),
    ],
)
@pytest.mark.usefixtures("as_users_have_it")
def test_the_base_is_right_where_it_was_not(function, dtype, values):
    """Fails when a mutant dies of what the base has, too."""
    cell = {axis: given[0] for axis, given in AXES.items()} | {"function": function, "logits": dtype}
    cell |= {"label_smoothing form": values.pop("form", "numpy")} if "label_smoothing" in values else {}
    seen = look(Run(load(BASE), FUNCTIONS[function], dtype, "standard", 0), cell | values, 0)
    assert seen.compared
    assert [deviation.message for deviation in seen.deviations] == []
