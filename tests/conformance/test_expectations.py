"""Expectations: what a file may say, and what becomes of a run's verdicts."""

import re
from pathlib import Path

import pytest

from lossproof.conformance.command.expectations._file import Expectation, ExpectationError
from lossproof.conformance.command.expectations.expectations import Expectations, apply, idle, load_expectations
from lossproof.conformance.judging.result import (
    ERROR,
    EXPECTED_FAIL,
    FAIL,
    INTERNAL,
    NOT_APPLICABLE,
    PASS,
    UNEXPECTED_PASS,
    UNSUPPORTED,
    VOID,
    Result,
)
from lossproof.conformance.suite.units import all_units

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "expectations.md"
CHECK = "states.masked_vocabulary"  # of STATE-1 and DIFF-2
UNIT = f"{CHECK}[token-float32]"
MASKED = ("STATE-1", "DIFF-2")


def expecting(*names, verdict=FAIL):
    return Expectations(Path("e.toml"), tuple(Expectation(name, f"{name} reason", "", verdict) for name in names))


def a_run(verdicts=None, *, level=PASS, broken=None):
    """A result for every unit: `level`, but where `verdicts` by unit or check says otherwise."""
    results = []
    for unit in all_units():
        verdict = (verdicts or {}).get(unit.id, (verdicts or {}).get(unit.check.id, level))
        clauses = (broken or {}).get(unit.id, unit.check.clauses) if verdict == FAIL else ()
        message = "" if verdict == PASS else verdict
        results.append(Result(unit.id, unit.check.clauses, verdict, message, tuple(clauses)))
    return results


def verdicts_of(results):
    return {result.unit: result.verdict for result in results}


def citing(clause):
    return {unit.id for unit in all_units() if clause in unit.check.clauses}


def result_of(results, unit):
    (found,) = [result for result in results if result.unit == unit]
    return found


@pytest.fixture
def load(tmp_path):
    """Writes a file and loads it."""

    def write(text):
        path = tmp_path / "expectations.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_expectations(path)

    return write


def test_the_file_of_the_documentation_loads(load):
    """Fails when the complete example names what is not there, or has a key that is not known."""
    (text,) = re.findall(r"```toml\n(.+?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    entries = load(text).entries
    assert [(entry.name, entry.verdict, bool(entry.link)) for entry in entries] == [
        ("ACC-1", FAIL, True),
        ("states.mass_on_masked[token-bfloat16]", FAIL, False),
        ("shapes.empty_batch", ERROR, False),
    ]
    assert all(entry.reason for entry in entries)


def test_an_empty_file_expects_nothing(load):
    """Fails when a file that is left empty, once all is repaired, becomes an error."""
    assert load("").entries == ()


def test_a_clause_may_fail_in_one_unit_and_crash_in_another(load):
    """Fails when the two entries are taken for one that is there twice."""
    once = '[[expect]]\nclause = "ACC-1"\nreason = "r"\n'
    assert [entry.verdict for entry in load(f'{once}{once}verdict = "error"\n').entries] == [FAIL, ERROR]


ENTRY = '[[expect]]\nclause = "STATE-1"\n'
REASON = 'reason = "r"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[expect]\n", ("must be a TOML file", "line 1")),
        (b"\xff", ("must be a TOML file",)),
        ("[expect]\n", ("[[expect]]", "two pairs")),
        ("expect = [1]\n", ("[[expect]]", "two pairs")),
        (f"[[expects]]\n{REASON}", ("must hold [[expect]] tables alone", "'expects'")),
        (f'{ENTRY}{REASON}reson = "r"\n', ("entry 1", "no key 'reson'", "did you mean reason")),
        (f'{ENTRY}{REASON}xyz = "r"\n', ("no key 'xyz'", "clause, unit, reason, link, verdict")),
        (ENTRY, ("entry 1", "a reason is missing")),
        (f'{ENTRY}reason = " "\n', ("reason must be a text that is not empty",)),
        (f"{ENTRY}reason = 7\n", ("reason must be a text", "got 7")),
        (f"[[expect]]\n{REASON}", ("either a clause or a unit",)),
        (f'{ENTRY}{REASON}unit = "{UNIT}"\n', ("either a clause or a unit",)),
        (f'[[expect]]\nclause = "state-1"\n{REASON}', ("no clause 'state-1'", "did you mean STATE-1")),
        (f'[[expect]]\nclause = "STATE"\n{REASON}', ("no clause 'STATE'",)),
        (f'[[expect]]\nclause = "{CHECK}"\n{REASON}', (f"no clause '{CHECK}'",)),
        (f'[[expect]]\nunit = "states.masked_vocab"\n{REASON}', ("no unit 'states.masked_vocab'", CHECK)),
        (f'[[expect]]\nunit = "STATE-1"\n{REASON}', ("no unit 'STATE-1'",)),
        (f'{ENTRY}{REASON}link = "javascript:alert(1)"\n', ("link must begin with https://", "javascript")),
        (f'{ENTRY}{REASON}verdict = "pass"\n', ("verdict must be 'fail' or 'error'", "'pass'")),
        (f"{ENTRY}{REASON}{ENTRY}{REASON}", ("entry 2", "STATE-1 is there a second time")),
    ],
)
def test_what_cannot_be_is_answered_with_one_line(load, text, words):
    """Fails when a wrong entry is ignored, and expects nothing or everything; or the message does not say where."""
    with pytest.raises(ExpectationError) as caught:
        load(text)
    message = str(caught.value)
    assert "\n" not in message and "expectations.toml" in message
    assert [word for word in words if word not in message] == []


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """Fails when a missing file, or a folder, is a traceback."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ExpectationError, match=re.escape(f"{path} cannot be read: ")):
            load_expectations(path)


def test_without_entries_the_results_stay():
    """Fails when an empty file changes a verdict."""
    results = a_run({UNIT: FAIL})
    assert apply(expecting(), results) == (results, [], [])


def test_a_unit_whose_broken_clauses_are_expected_fails_as_expected():
    """Fails when an expected breach still counts, loses its message or reason, or another unit's verdict changes."""
    before = a_run({UNIT: FAIL})
    after, entries, sentences = apply(expecting(*MASKED), before)
    result = result_of(after, UNIT)
    assert (result.verdict, result.broken) == (EXPECTED_FAIL, MASKED)
    assert result.message.startswith("fail\n") and "STATE-1 reason" in result.message
    assert [r for r in after if r.unit != UNIT] == [r for r in before if r.unit != UNIT]
    assert [(e["clause"], e["unit"], e["reason"], e["link"], e["met"]) for e in entries] == [
        (clause, None, f"{clause} reason", "", True) for clause in MASKED
    ]
    for clause, sentence in zip(MASKED, sentences, strict=True):
        assert sentence == (
            f"{clause} is expected to fail, and does in 1 of {len(citing(clause))} units: {clause} reason"
        )


def test_a_unit_that_breaks_another_clause_too_fails():
    """Fails when one expected clause excuses what a unit breaks besides."""
    after, _, _ = apply(expecting("STATE-1"), a_run({UNIT: FAIL}))
    assert result_of(after, UNIT).verdict == FAIL
    assert result_of(after, UNIT).message.endswith("not expected: DIFF-2")


def test_only_what_is_broken_has_to_be_expected():
    """Fails when an entry for a clause that the unit keeps is asked for."""
    after, _, _ = apply(expecting("STATE-1"), a_run({UNIT: FAIL}, broken={UNIT: ("STATE-1",)}))
    assert result_of(after, UNIT).verdict == EXPECTED_FAIL
    assert result_of(after, UNIT).verdict_on("DIFF-2") == UNSUPPORTED  # nothing was compared for it


@pytest.mark.parametrize("name", [UNIT, CHECK])
def test_a_unit_may_be_named_itself_or_by_its_check(name):
    """Fails when an entry for a unit or a check does not cover all that it breaks, or covers other units."""
    other = "states.huge_logits[token-float32]"
    after, entries, _ = apply(expecting(name), a_run({UNIT: FAIL, other: FAIL}))
    assert (result_of(after, UNIT).verdict, result_of(after, other).verdict) == (EXPECTED_FAIL, FAIL)
    assert (entries[0]["clause"], entries[0]["unit"], entries[0]["met"]) == (None, name, True)
    assert UNEXPECTED_PASS not in verdicts_of(after).values()  # one unit of the check is enough


def test_a_clause_that_some_unit_breaks_is_no_unexpected_pass():
    """Fails when units that pass are held against an entry that is right about another one."""
    after, _, _ = apply(expecting(*MASKED), a_run({UNIT: FAIL}))
    assert UNEXPECTED_PASS not in verdicts_of(after).values()


def test_a_clause_that_nothing_breaks_is_an_unexpected_pass():
    """Fails when an entry that is out of date stays unseen, or the message does not say what to do."""
    after, entries, sentences = apply(expecting("STATE-1"), a_run())
    marked = {unit for unit, verdict in verdicts_of(after).items() if verdict == UNEXPECTED_PASS}
    assert marked == citing("STATE-1")
    assert entries[0]["met"] is False
    assert "remove the entry" in sentences[0] and "STATE-1 reason" in sentences[0]
    for result in after:
        if result.unit in marked:
            assert (result.message, result.broken) == (sentences[0], ("STATE-1",))


def test_a_unit_that_passes_is_an_unexpected_pass_alone():
    """Fails when an outdated entry for a unit marks none, or others."""
    after, _, _ = apply(expecting(UNIT), a_run())
    assert {unit for unit, verdict in verdicts_of(after).items() if verdict == UNEXPECTED_PASS} == {UNIT}
    assert result_of(after, UNIT).broken == MASKED


def test_two_outdated_entries_are_both_named():
    """Fails when the second entry about a unit hides the first."""
    after, _, sentences = apply(expecting(*MASKED), a_run())
    result = result_of(after, UNIT)
    assert (result.verdict, result.broken) == (UNEXPECTED_PASS, MASKED)
    assert [sentence for sentence in sentences if sentence not in result.message] == []


def test_an_outdated_entry_shows_where_all_its_units_fail_as_expected_for_another_reason():
    """Fails when an entry that nothing meets is hidden by breaches that other entries excuse."""
    failing = dict.fromkeys(citing("DIFF-2"), FAIL)
    others = {unit.id: [clause for clause in unit.check.clauses if clause != "DIFF-2"] for unit in all_units()}
    assert all(others[unit] for unit in failing)
    after, entries, _ = apply(expecting("DIFF-2", *failing), a_run(failing, broken=others))
    assert [entry["met"] for entry in entries] == [False] + [True] * len(failing)
    assert {result_of(after, unit).verdict for unit in failing} == {UNEXPECTED_PASS}


def test_a_breach_that_is_expected_stays_so_where_other_units_show_an_outdated_entry():
    """Fails when an entry that nothing meets takes away what another one excuses."""
    after, _, _ = apply(expecting("STATE-1", UNIT), a_run({UNIT: FAIL}, broken={UNIT: ("DIFF-2",)}))
    assert result_of(after, UNIT).verdict == EXPECTED_FAIL
    marked = {unit for unit, verdict in verdicts_of(after).items() if verdict == UNEXPECTED_PASS}
    assert marked == citing("STATE-1") - {UNIT}


def test_a_breach_stays_one_beside_an_outdated_entry():
    """Fails when an entry that is out of date replaces the verdict of a unit that fails."""
    broken = {UNIT: ("DIFF-2",)}
    after, _, _ = apply(expecting("STATE-1"), a_run({UNIT: FAIL}, broken=broken))
    assert (result_of(after, UNIT).verdict, result_of(after, UNIT).broken) == (FAIL, ("DIFF-2",))


def test_a_crash_is_not_expected_by_an_expected_failure():
    """Fails when "fail" excuses a target that crashes, or "error" one that is wrong."""
    for expected, happened in ((FAIL, ERROR), (ERROR, FAIL)):
        after, entries, _ = apply(expecting(UNIT, *MASKED, verdict=expected), a_run({UNIT: happened}))
        assert result_of(after, UNIT).verdict == happened
        assert [entry["met"] for entry in entries] == [False] * 3


@pytest.mark.parametrize("names", [(UNIT,), MASKED])
def test_a_crash_may_be_expected(names):
    """Fails when the entry is not met, or the clauses of a crash, which names none as broken, count as passed."""
    after, _, sentences = apply(expecting(*names, verdict=ERROR), a_run({UNIT: ERROR}))
    result = result_of(after, UNIT)
    assert (result.verdict, result.broken) == (EXPECTED_FAIL, MASKED)
    assert {result.verdict_on(clause) for clause in MASKED} == {EXPECTED_FAIL}
    assert "is expected to end in an error, and does in 1 of" in sentences[0]


@pytest.mark.parametrize("kept", [{UNIT}, set()])
def test_a_part_of_the_units_is_too_little_to_tell(kept):
    """Fails when a run of some units calls an entry outdated that others would meet."""
    results = [result for result in a_run() if result.unit in kept]
    after, entries, sentences = apply(expecting("STATE-1"), results)
    assert (after, entries[0]["met"]) == (results, None)
    assert sentences[0].endswith("too little to tell")
    assert idle(expecting("STATE-1"), results) == []


def test_a_partial_run_says_nothing_about_what_passes():
    """Fails when level smoke, which hardly searches, calls an entry outdated; or no longer excuses what fails."""
    after, entries, _ = apply(expecting(*MASKED, "ACC-1"), a_run({UNIT: FAIL}), partial=True)
    assert set(verdicts_of(after).values()) == {PASS, EXPECTED_FAIL}
    assert [entry["met"] for entry in entries] == [True, True, None]


@pytest.mark.parametrize("verdict", [VOID, INTERNAL])
def test_where_the_suite_failed_nothing_is_concluded(verdict):
    """Fails when an entry is called outdated although a unit that might meet it gave no verdict."""
    after, entries, _ = apply(expecting("STATE-1"), a_run({UNIT: verdict}))
    assert (verdicts_of(after), entries[0]["met"]) == (verdicts_of(a_run({UNIT: verdict})), None)


def test_an_entry_about_what_is_not_supported_is_idle():
    """Fails when an entry that matches nothing that ran goes unseen, or one unit that ran is not enough."""
    expectations = expecting("VALUE-13")
    none = a_run(dict.fromkeys(citing("VALUE-13"), UNSUPPORTED) | {min(citing("VALUE-13")): NOT_APPLICABLE})
    after, entries, sentences = apply(expectations, none)
    assert (after, entries[0]["met"]) == (none, False)
    assert idle(expectations, none) == idle(expectations, after) == sentences
    assert "supports none of its" in sentences[0] and "remove the entry" in sentences[0]
    one = [r if r.verdict != NOT_APPLICABLE else Result(r.unit, r.clauses, PASS) for r in none]
    assert idle(expectations, one) == []
    assert idle(expectations, apply(expectations, one)[0]) == []
