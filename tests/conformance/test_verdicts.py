"""What a run says of a target: it conforms, it does not, or there is no verdict."""

import mpmath
import pytest

from lossproof.conformance import Result, Summary, load_target
from lossproof.conformance.judging.exact import as_pairs
from lossproof.conformance.judging.judge import Violation, VoidCaseError
from lossproof.conformance.judging.result import (
    ERROR,
    EXPECTED_FAIL,
    FAIL,
    INTERNAL,
    NOT_APPLICABLE,
    NOT_RUN,
    PASS,
    UNEXPECTED_PASS,
    UNSUPPORTED,
    VOID,
)
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite.registry import Check, Unit
from lossproof.conformance.suite.units import run_unit
from lossproof.conformance.targets import Offer, Target, Unsupported
from lossproof.reference import Enclosure
from lossproof.reference.bounds import profile, profile_names
from lossproof.spec import TOKEN

HARD = "values.hard_targets[token-float32]"


class Silent(Target):
    """Offers a function that nobody calls."""

    name = "silent"
    offers = {TOKEN: Offer(("loss",), ("logits", "targets"))}  # noqa: RUF012  not shared


def unit(body):
    return Unit(Check("group.name", ("VALUE-1",), (TOKEN,), ("float32",), body), TOKEN, "float32")


def comparing(run, subject):
    run.tally.cases = 1
    run.charge(subject)


def raising(error):
    def body(_):
        raise error

    return body


def undecided(_):
    as_pairs(Enclosure(mpmath.mpf(-1), mpmath.mpf(1)))


def result(verdict, cases=1):
    return Result(f"group.name[token-{verdict}]", ("VALUE-1",), verdict, cases=cases)


@pytest.mark.parametrize(
    ("body", "verdict", "message"),
    [
        (lambda run: comparing(run, "loss"), PASS, ""),
        (lambda run: comparing(run, "by logits"), VOID, "nothing that its clauses speak of was compared"),
        (lambda run: None, VOID, "no case was judged"),  # noqa: ARG005
        (raising(Unsupported("not here")), UNSUPPORTED, "not here"),
        (raising(Violation("wrong")), FAIL, "wrong"),
        (raising(VoidCaseError("too loose")), VOID, "too loose"),
        (undecided, VOID, "only known to lie between -1.0 and 1.0"),
        (raising(ZeroDivisionError("oh")), INTERNAL, "ZeroDivisionError: oh"),
    ],
)
def test_what_a_check_does_decides_its_verdict(body, verdict, message):
    """Fails when a check that judged nothing passes, or an error of the suite counts against the target."""
    found = run_unit(unit(body), Silent(), "smoke", 0)
    assert found.verdict == verdict
    assert message in found.message


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([PASS], 0),
        ([PASS, UNSUPPORTED], 0),
        ([PASS, FAIL], 1),
        ([FAIL, UNSUPPORTED], 1),
        ([], 3),
        ([UNSUPPORTED, UNSUPPORTED], 3),
        ([PASS, VOID], 3),
        ([PASS, INTERNAL], 3),
        ([FAIL, INTERNAL], 1),
        ([FAIL, VOID], 1),
        ([UNEXPECTED_PASS, VOID], 1),
        ([EXPECTED_FAIL, VOID], 3),
        ([FAIL, NOT_RUN], 1),
        ([ERROR, NOT_RUN], 1),
        ([PASS, NOT_RUN], 3),
        ([NOT_RUN], 3),
        ([PASS, ERROR], 1),
        ([ERROR], 1),
        ([PASS, EXPECTED_FAIL], 0),
        ([PASS, UNEXPECTED_PASS], 1),
        ([EXPECTED_FAIL, FAIL], 1),
        ([NOT_APPLICABLE], 3),
        ([NOT_APPLICABLE, PASS], 0),
    ],
)
def test_the_exit_code_is_that_of_the_worst(verdicts, code):
    """Fails when a run that judged nothing, or broke, ends as if the target conformed or not."""
    assert Summary([result(verdict) for verdict in verdicts]).exit_code() == code


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ([PASS], "conforms"),
        ([PASS, FAIL], "does not conform"),
        ([VOID, FAIL], "does not conform"),
        ([EXPECTED_FAIL, FAIL], "does not conform"),
        ([PASS, EXPECTED_FAIL], "fails as expected"),
        ([VOID, EXPECTED_FAIL], "no verdict"),
    ],
)
def test_the_verdict_in_words(verdicts, word):
    """Fails when expected failures are called conforming, or hide others."""
    assert Summary([result(verdict) for verdict in verdicts]).word == word


def test_what_measures_has_no_say():
    """Fails when a survey that was made counts as a clause that was judged, or one that could not be as a breach."""
    measured = Result("survey.values[token-float32]", (), PASS, cases=9)
    assert Summary([measured]).exit_code() == 3
    assert Summary([measured, result(UNSUPPORTED)]).exit_code() == 3
    assert Summary([Result("survey.values[token-float32]", (), FAIL), result(PASS)]).exit_code() == 0


def test_what_is_broken_outranks_what_could_not_be_judged():
    """Fails when a void unit hides a broken clause, or a clause whose units were not run counts as broken or passed."""
    results = [
        Result("a[token-float32]", ("VALUE-1", "VALUE-4"), VOID, "too loose"),
        Result("b[token-float32]", ("VALUE-1",), FAIL, broken=("VALUE-1",), cases=1),
        Result("c[token-float32]", ("VALUE-5", "VALUE-6"), NOT_RUN),
        Result("d[token-float32]", ("VALUE-5",), PASS, cases=1),
        Result("e[token-float32]", ("VALUE-1",), NOT_RUN),
        Result("f[token-float32]", ("VALUE-6",), UNSUPPORTED),
    ]
    summary = Summary(results, floor=9.0)
    assert summary.clause_verdicts() == {"VALUE-1": FAIL, "VALUE-4": VOID, "VALUE-5": NOT_RUN, "VALUE-6": NOT_RUN}
    assert (summary.word, summary.reasons()) == ("does not conform", ["1 unit is void", "2 units are not run"])


@pytest.mark.parametrize(("cases", "code"), [(4, 3), (5, 0), (6, 0)])
def test_too_few_cases_are_no_verdict(cases, code):
    """Fails when a search that found hardly anything to judge counts as one that found nothing wrong."""
    summary = Summary([result(PASS, cases), Result("golden.topic.id[token-float32]", ("VALUE-1",), PASS, cases=1)], 5.0)
    assert summary.exit_code() == code
    assert ("too few cases: 4 in the 1 units that pass" in str(summary.reasons())) == (code == 3)


def test_the_worst_unit_decides_on_a_clause():
    """Fails when one pass hides a failure, or a clause that no unit breaks fails with the unit."""
    both = ("VALUE-1", "VALUE-4")
    results = [
        Result("a[token-float32]", both, FAIL, broken=("VALUE-4",), cases=1, compared={"VALUE-1": {"loss": 1}}),
        Result("b[token-float32]", ("VALUE-1",), UNSUPPORTED),
        Result("c[token-float32]", ("VALUE-8",), NOT_APPLICABLE),
        Result("d[token-float32]", ("VALUE-5",), EXPECTED_FAIL, broken=("VALUE-5",)),
        Result("e[token-float32]", ("VALUE-6",), ERROR, broken=("VALUE-6",)),
    ]
    assert Summary(results).clause_verdicts() == {
        "VALUE-1": PASS,
        "VALUE-4": FAIL,
        "VALUE-5": EXPECTED_FAIL,
        "VALUE-6": ERROR,
    }


def test_a_result_survives_the_way_between_processes():
    """Fails when a worker's result comes back as another one."""
    import json

    first = Result(
        HARD, ("VALUE-1", "ACC-1"), FAIL, "wrong", cases=3, values=0.1, gradients=2.5, worst="x", seconds=1.5
    )
    again = Result.from_json(json.loads(json.dumps(first.to_json())))
    assert again == first and again.seconds == first.seconds


def test_a_good_loss_conforms(check, loss_file):
    """Fails when a right answer is refused."""
    answer = check(loss_file("good"), only=[HARD])
    assert answer.exit_code == 0, answer.output
    assert "conforms: 1 clauses pass, 0 fail" in answer.stdout
    assert "smoke is no conformance result" in answer.stdout and "Only part of the suite" in answer.stdout


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("30 % off", "times the allowed error"),
        ("nan", "loss[0] is nan"),
        ("wrong shape", "loss must have the shape"),
        ("raises", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_loss_fails(loss_file, end, words):
    """Fails when a target that errs, in whatever way, passes or crashes the suite."""
    (hard,) = selected_units([HARD])
    found = run_unit(hard, load_target(loss_file(end)), "smoke", 0)
    assert (found.verdict, found.broken) == (FAIL, ("VALUE-1",))
    assert words in found.message


def test_a_broken_loss_does_not_conform(check, loss_file):
    """Fails when a breach is not said, or not with its clause."""
    answer = check(loss_file("30 % off"), only=[HARD])
    assert answer.exit_code == 1, answer.output
    assert "does not conform" in answer.stdout and "VALUE-1 (hard targets)" in answer.stdout
    assert "times the allowed error" in answer.stdout
    assert "Traceback" not in answer.output


def test_a_target_that_supports_nothing_of_it_gets_no_verdict(check, loss_file):
    """Fails when "unsupported" everywhere counts as passed."""
    answer = check(loss_file("good"), only=["values.label_smoothing"])
    assert answer.exit_code == 3, answer.output
    assert "no verdict" in answer.stdout and "has no argument label_smoothing" in answer.stdout


def test_the_printed_command_repeats_the_failure(check, repeat, loss_file):
    """Fails when the command under a failure runs something else: another seed, level, unit or convention."""
    first = check(loss_file("30 % off"), "--seed", "11", "--convention", "uniform no-entropy", only=[HARD])
    again = repeat(first.stdout)
    assert (first.exit_code, again.exit_code) == (1, 1)

    def told(answer):
        lines = [line for line in answer.stdout.splitlines() if line.startswith((" ", "fail"))]
        return lines[next(number for number, line in enumerate(lines) if line.startswith("fail")) :]

    assert told(first) == told(again) and len(told(first)) >= 3
    command = next(line for line in first.stdout.splitlines() if "again: " in line)
    for words in ("--level smoke", "--seed 11", f"--only '{HARD}'", "--convention 'uniform no-entropy'"):
        assert words in command


def test_a_type_that_the_profile_does_not_know_is_unsupported():
    """Fails when a platform without float64 makes the suite fail instead of leaving float64 out."""
    check = Check("group.name", ("VALUE-1",), (TOKEN,), ("float64",), lambda run: comparing(run, "loss"))
    tpu = next(profile(name) for name in profile_names() if profile(name).float64 is None)
    found = run_unit(Unit(check, TOKEN, "float64"), Silent(), "smoke", 0, tpu)
    assert found.verdict == UNSUPPORTED and "knows nothing of float64" in found.message
    assert run_unit(Unit(check, TOKEN, "float64"), Silent(), "smoke", 0).verdict == PASS
