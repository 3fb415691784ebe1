"""Several processes: the same results, and a verdict when one of them dies."""

import importlib.util
import sys

import hypothesis
import pytest
from hypothesis import strategies as st

from lossproof.conformance import Request, Summary, run
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.targets import Target
from lossproof.spec import TOKEN

UNITS = ("values.hard_targets[token-float32]", "values.log_z[token-bfloat16]")


def results(workers, seed=5):
    seen = []
    found = run(Request("lossproof", "smoke", seed, UNITS, workers, ""), seen.append)
    assert sorted(result.unit for result in seen) == sorted(UNITS)
    return found


def test_results_depend_on_the_seed_and_not_on_the_number_of_workers():
    """Fails when a failure cannot be repeated elsewhere, or the order of results is that of the race."""
    one, two, other = results(1), results(2), results(1, seed=6)
    assert one == two
    assert {result.unit for result in one} == set(UNITS)
    assert all(result.verdict == "pass" and result.cases and result.worst for result in one)
    assert [result.worst for result in one] != [result.worst for result in other]


def test_a_unit_that_was_never_run_counts_as_the_suites_failure(monkeypatch):
    """Fails when a run that ends early is judged by what it got to."""
    monkeypatch.setattr("lossproof.conformance.running.runner.pytest.main", lambda *_, **__: 0)
    found = run(Request("lossproof", "smoke", 0, UNITS, 1, ""), lambda _: None)
    assert sorted((result.unit, result.verdict, result.message) for result in found) == sorted(
        (unit, "internal", "it was never run") for unit in UNITS
    )
    assert Summary(found).exit_code() == 3


def draws(seed):
    """What a search draws: integers and floats, which is all that cases are made of."""
    search, seen = Run(Target(), TOKEN, "float32", "standard", seed), []
    search.explore(st.tuples(st.integers(0, 2**32 - 1), st.floats(0.0, 1000.0, width=32)), seen.append)
    return seen


def test_a_hook_that_has_moved_is_no_silence(monkeypatch):
    """Fails when another version of Hypothesis makes seeds mean other cases, and nobody is told."""
    monkeypatch.delattr("hypothesis.internal.conjecture.providers._get_local_constants")
    with pytest.raises(RuntimeError, match=f"hypothesis {hypothesis.__version__} has moved the hook"):
        draws(0)


def test_draws_do_not_depend_on_what_else_is_loaded(tmp_path):
    """Fails when a seed means other cases in another process: Hypothesis likes the constants of modules it finds."""
    before = [draws(seed) for seed in range(5)]
    path = tmp_path / "full_of_constants.py"
    path.write_text(
        f"numbers = {list(range(10**6, 10**6 + 997 * 300, 997))}\nfloats = {[n + 0.5 for n in range(300)]}\n"
    )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(sys.modules[path.stem])
        after = [draws(seed) for seed in range(5)]
    finally:
        del sys.modules[path.stem]
    assert before == after
    assert len({str(seen) for seen in before}) == 5
