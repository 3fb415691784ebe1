"""The pytest plug-in: light where it is not used, and a conformance run where it is."""

import re
import subprocess
import sys

import pytest

UNIT = "values.hard_targets[token-float32]"


def pytest_in(directory, *arguments):
    """Runs the suite under pytest in an empty directory."""
    command = [sys.executable, "-m", "pytest", "-q", "--pyargs", "lossproof.conformance", "--lossproof-level", "smoke"]
    return subprocess.run([*command, *arguments], cwd=directory, capture_output=True, text=True, check=False)


def test_loading_the_plugin_loads_nothing_heavy():
    """Fails when every pytest run of everybody who installed lossproof waits for jax."""
    heavy = ["jax", "jaxlib", "numpy", "hypothesis", "mpmath", "click", "rich", "torch", "optax"]
    program = f"import sys; import lossproof.conformance.plugin; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def helped(*arguments):
    command = [sys.executable, "-m", "pytest", "--help", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.findall(r"^  (--lossproof-[a-z-]+)", answer.stdout, re.MULTILINE)


def test_other_projects_get_one_option_alone(tmp_path):
    """Fails when everybody who installed lossproof finds its options in the help of every pytest run."""
    assert helped("--rootdir", str(tmp_path)) == ["--lossproof-target"]
    every = helped("--rootdir", str(tmp_path), "--lossproof-target", "lossproof")
    assert len(every) == 12 and len(set(every)) == 12


def test_the_suite_runs_under_pytest_anywhere(tmp_path):
    """Fails when a project cannot run the suite from its own directory, or the run leaves something behind there."""
    answer = pytest_in(tmp_path, "--lossproof-only", UNIT, "-p", "no:cacheprovider")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "1 passed" in answer.stdout


def test_a_broken_target_fails_under_pytest(tmp_path, loss_file):
    """Fails when a project's own pytest stays green with a broken loss."""
    target = loss_file("30 % off")
    smoothing = "values.label_smoothing[token-float32]"
    only = ("--lossproof-only", UNIT, "--lossproof-only", smoothing)
    answer = pytest_in(tmp_path, *only, "--lossproof-target", target, "-rs")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "1 failed, 1 skipped" in answer.stdout
    assert "VALUE-1: loss" in answer.stdout and "times the allowed error" in answer.stdout
    assert "has no argument label_smoothing" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lossproof-only", "values.nothing"], "'values.nothing' names no unit"),
        (["--lossproof-only", UNIT, "--lossproof-target", "optx"], "unknown target 'optx'"),
    ],
)
def test_usage_errors_do_not_pass(tmp_path, arguments, words):
    """Fails when a misspelt unit or target is a green run of nothing."""
    answer = pytest_in(tmp_path, *arguments)
    assert answer.returncode not in (0, 5)
    assert words in answer.stdout + answer.stderr
