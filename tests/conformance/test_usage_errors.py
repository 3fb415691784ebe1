"""Usage errors: exit code 2, one line that helps, no traceback."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lossproof.conformance import cli

SAMPLES = runpy.run_path(str(Path(__file__).with_name("_documents.py")))

TWO_ARGUMENTS = "def loss(logits, targets, other): return logits\n"


def assert_usage_error(result, *words):
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("lossproof: "), result.stderr
    assert result.stdout == ""
    assert [word for word in words if word not in lines[0]] == []


def test_an_unknown_target_is_answered_with_those_there_are(check):
    """Fails when a misspelt target is a traceback, or the message leaves the user to guess."""
    assert_usage_error(
        check("optx"), "unknown target 'optx'", "lossproof, lossproof-xla, optax", "torch", "file.py:function"
    )


def test_a_file_that_is_not_there_is_named(check, tmp_path):
    """Fails when a missing file is anything but a usage error."""
    assert_usage_error(check(f"{tmp_path}/none.py:loss"), f"{tmp_path}/none.py", "does not exist")


def test_a_module_that_is_not_there_is_named(check):
    """Fails when a module that cannot be imported is anything but a usage error."""
    assert_usage_error(check("no_such_module_here:loss"), "no_such_module_here", "cannot be imported")


def test_a_file_that_cannot_be_imported_is_named_with_the_reason(check, loss_file):
    """Fails when the target's own error at import is hidden, or taken for one of the suite."""
    target = loss_file("", "import json\njson.loads('[')\n")
    assert_usage_error(check(target), "mine.py", "cannot be imported", "JSONDecodeError")
    broken = loss_file("", "def loss(:\n")
    assert_usage_error(check(broken), "mine.py", "cannot be imported", "SyntaxError")


def test_a_function_that_is_not_there_is_answered_with_those_there_are(check, loss_file):
    """Fails when the message does not list what the module has."""
    target = loss_file("good").replace(":loss", ":losss")
    assert_usage_error(check(target), "no function 'losss'", "its functions are: loss")


def test_a_module_without_any_of_the_functions_is_refused(check, loss_file):
    """Fails when `file.py:` with other functions runs nothing."""
    target = loss_file("good").removesuffix("loss")
    assert_usage_error(check(target), "none of the functions", "token_cross_entropy", "compute_weighted_cross_entropy")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def loss(logits): return logits\n", ("must take logits and targets", "['logits']")),
        (TWO_ARGUMENTS, ("needs other, which no call of the specification has", "LOSSPROOF", "arguments")),
        ("def loss(logits, targets): raise RuntimeError('no\\nluck')\n", ("RuntimeError: no",)),
        ("def loss(logits, targets): raise RuntimeError\n", ("RuntimeError",)),
    ],
)
def test_a_function_that_rejects_its_arguments_is_told_which_they_are(check, loss_file, source, words):
    """Fails when a function of another form is run, fails every unit and gets a verdict."""
    assert_usage_error(check(loss_file("", source)), "mine.py:loss", *words)


def test_an_unknown_unit_is_named(check):
    """Fails when a misspelt --only runs everything or nothing."""
    assert_usage_error(check("optax", only=["values.nothing"]), "'values.nothing' names no unit", "lossproof units")


@pytest.mark.parametrize("words", ["uniformly", "uniform entropie", "none"])
def test_an_unknown_convention_is_answered_with_those_there_are(check, loss_file, words):
    """Fails when a misspelt convention is ignored: the target is then held to another one."""
    result = check(loss_file("good"), "--convention", words)
    assert_usage_error(result, words.split()[-1], "choose from others, uniform, entropy, no-entropy")


def test_a_convention_of_a_built_in_target_is_its_own(check):
    """Fails when a convention given for optax is dropped."""
    assert_usage_error(check("optax", "--convention", "uniform"), "optax declares its own convention")


@pytest.mark.parametrize("arguments", [["--level", "huge"], ["--level"], ["--seed", "x"], ["-n", "0"], ["--nothing"]])
def test_a_bad_option_is_a_usage_error(arguments):
    """Fails when an option that does not exist or fit is ignored, or answered with a traceback."""
    command = [sys.executable, "-m", "lossproof", "check", "lossproof", *arguments]
    if arguments != ["--level", "huge"]:  # one in a process of its own is enough
        from click.testing import CliRunner

        from lossproof.conformance import cli

        assert CliRunner().invoke(cli, command[3:]).exit_code == 2
        return
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "'huge' is not one of 'smoke', 'standard', 'exhaustive'" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("words", [["mutants", "base", "--json"], ["compare", "RESULT", "--html"]])
def test_a_file_that_cannot_be_written_is_found_out_and_the_old_one_stays(tmp_path, words):
    """Fails when a long run ends with nowhere to write, or a refused one empties the file that was there."""
    result = tmp_path / "result.json"
    result.write_text(json.dumps(SAMPLES["conforming"]()), "utf-8")
    given = [str(result) if word == "RESULT" else word for word in words]
    answer = CliRunner().invoke(cli, [*given, str(tmp_path / "nowhere" / "file")])
    assert answer.exit_code == 2, answer.output
    assert answer.stderr.startswith("lossproof: ") and "cannot be written: No such file" in answer.stderr
    kept = tmp_path / "kept"
    kept.write_text("old", "utf-8")
    answer = CliRunner().invoke(cli, [given[0], "no such name", *given[2:], str(kept)])
    assert answer.exit_code == 2 and kept.read_text("utf-8") == "old"


@pytest.mark.parametrize("option", ["--timeout", "--memory"])
def test_a_limit_must_be_positive(check, option):
    """Fails when a limit of 0 kills every unit and calls it a verdict."""
    answer = check("lossproof", option, "0")
    assert answer.exit_code == 2 and option in answer.stderr
