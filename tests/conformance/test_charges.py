"""What a clause is charged with: what was compared in a case about it, and deviations that it forbids."""

import tracemalloc

import jax
import numpy as np
import pytest

from lossproof.conformance import Summary, load_target
from lossproof.conformance.judging.charges import BY_GRADE_A, BY_LOGITS, LOSS, SUBJECTS, broken, concerned
from lossproof.conformance.judging.draw import make
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.judging.result import FAIL, PART, PASS, UNSUPPORTED
from lossproof.conformance.judging.tally import Tally
from lossproof.conformance.mutants import MUTANTS
from lossproof.conformance.mutants.load import load
from lossproof.conformance.running.selection import selected_units
from lossproof.conformance.suite._control import controlled, twin
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.units import run_unit
from lossproof.conformance.targets import function_target
from lossproof.spec import CLAUSES, DENSE, TOKEN, WEIGHTED

NAMES = ("values", "gradients", "states", "excluded", "accuracy", "golden.t5x_differences", "golden.special_states")

# With `{end}`, what the last line returns.
SOURCE = """
import jax
import jax.numpy as jnp

LOSSPROOF = {{"dtypes": ["float32"]}}

def of(logits, targets):
    return jnp.take_along_axis(logits, targets[..., None].astype(jnp.int32), axis=-1)[..., 0]

@jax.custom_vjp
def tripled(x):
    return x

tripled.defvjp(lambda x: (x, None), lambda _, g: (3 * g,))

def loss(logits, targets):
    {end}
"""
GOOD = "return -of(jax.nn.log_softmax(logits), targets)"
CARELESS = (
    "m = jnp.max(logits, -1, keepdims=True)\n"
    "    return (m + jnp.log(jnp.sum(jnp.exp(logits - m), -1, keepdims=True)))[..., 0] - of(logits, targets)"
)
WRONG = "return -1.3 * of(jax.nn.log_softmax(logits), targets)"
WRONG_GRADIENT = "return -of(jax.nn.log_softmax(tripled(logits)), targets)"
ONLY_MASKS_WRONG = "return -jnp.where(jnp.isneginf(logits).any(-1), 2, 1) * of(jax.nn.log_softmax(logits), targets)"


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Runs the float32 units of one function against a loss with this end; each once."""
    runs = {}

    def run(end, names=NAMES):
        key = (end, names)
        if key not in runs:
            path = tmp_path_factory.mktemp("loss") / "mine.py"
            path.write_text(SOURCE.format(end=end), encoding="utf-8")
            target = load_target(f"{path}:loss")
            units = [unit for unit in selected_units(names) if (unit.function, unit.dtype) == (TOKEN, "float32")]
            runs[key] = Summary([run_unit(unit, target, "smoke", 0) for unit in units])
        return runs[key]

    return run


def test_every_clause_speaks_of_something():
    """Fails when a clause could pass without a comparison, or the table names one that there is not."""
    assert [clause for clause in CLAUSES if not SUBJECTS[clause]] == []
    assert set(CLAUSES) >= BY_GRADE_A


def test_comparisons_count_for_the_clauses_that_speak_of_them():
    """Fails when the comparison of one output counts for a clause about another."""
    tally = Tally()
    tally.charge(["VALUE-1", "VALUE-8", "STATE-3"], "log_z")
    tally.charge(["VALUE-1", "VALUE-8", "STATE-3"], "loss", 2)
    assert tally.compared == {"VALUE-8": {"log_z": 1}, "STATE-3": {"log_z": 1, "loss": 2}, "VALUE-1": {"loss": 2}}
    tally.discharge(["STATE-3", "VALUE-1"], ["loss"])
    assert tally.compared == {"VALUE-8": {"log_z": 1}, "STATE-3": {"log_z": 1}}
    assert concerned(["GRAD-7", "GRAD-1", "DIFF-10"], "cotangent of z_loss") == ("GRAD-7", "DIFF-10")


@pytest.mark.parametrize(
    ("clauses", "subjects", "function", "is_small", "expected"),
    [
        (("STATE-1", "GRAD-7"), (LOSS,), TOKEN, False, ("STATE-1",)),
        (("GRAD-7", "GRAD-3"), (LOSS,), TOKEN, False, ("VALUE-1",)),
        (("GRAD-7", "GRAD-3"), (LOSS,), DENSE, False, ("VALUE-7",)),
        (("VALUE-2", "VALUE-3"), (BY_LOGITS, "cotangent of loss"), TOKEN, False, ("GRAD-1",)),
        (("VALUE-1", "ACC-2"), (LOSS,), TOKEN, True, ("ACC-2",)),
        (("VALUE-9", "DIFF-1"), (LOSS,), TOKEN, True, ("ACC-5",)),
        (("CONV-2",), (BY_LOGITS,), TOKEN, True, ("ACC-3",)),
        (("VALUE-6", "SHAPE-4"), ("weight_sum",), WEIGHTED, False, ("VALUE-6", "SHAPE-4")),
        (("SHAPE-1",), (), TOKEN, False, ("SHAPE-1",)),
    ],
)
def test_a_deviation_breaks_what_speaks_of_it(clauses, subjects, function, is_small, expected):
    """Fails when a clause is broken by what it does not forbid."""
    assert broken(clauses, subjects, function, is_small=is_small) == expected


def test_a_loss_alone_passes_only_what_was_compared(run_of):
    """Fails when a program without z_loss and log_z passes clauses about them, or one passes without a comparison."""
    clauses = run_of(GOOD).clauses
    for clause in ("GRAD-7", "VALUE-4", "VALUE-8", "STATE-5", "VALUE-5", "EXCL-1"):
        assert clauses.get(clause) is None or clauses[clause].verdict != PASS, clause
    passed = {clause: entry for clause, entry in clauses.items() if entry.verdict == PASS}
    assert {"VALUE-1", "GRAD-1", "STATE-1", "ACC-2"} <= set(passed)
    for clause, entry in passed.items():
        assert min(entry.compared[subject] for subject in SUBJECTS[clause]) > 0, clause
    partial = clauses["STATE-3"]
    assert (partial.verdict, partial.missing) == (PART, ("z_loss", "log_z"))
    assert "has no output z_loss" in partial.reason and "has no output log_z" in partial.reason


def test_reasons_are_true_of_the_type_that_is_declared(tmp_path):
    """Fails when a float32 loss without gradients is told that it declares no bfloat16 logits."""
    path = tmp_path / "mine.py"
    declared = 'LOSSPROOF = {"dtypes": ["float32"]}\n'
    body = "    x = np.asarray(logits)\n    m = x.max(-1, keepdims=True)\n"
    body += "    lse = np.log(np.exp(x - m).sum(-1)) + m[..., 0]\n"
    body += "    return lse - np.take_along_axis(x, targets[..., None], -1)[..., 0]\n"
    path.write_text(f"import numpy as np\n{declared}def loss(logits, targets):\n{body}", encoding="utf-8")
    target = load_target(f"{path}:loss")
    apart = ("golden.", "calls.")  # the loss is no accurate one, which cells would say
    units = [unit for unit in selected_units(["GRAD-1", "STATE-1"]) if not unit.id.startswith(apart)]
    clauses = Summary([run_unit(unit, target, "smoke", 0) for unit in units if unit.function == TOKEN]).clauses
    assert clauses["GRAD-1"].verdict == UNSUPPORTED
    assert (clauses["STATE-1"].verdict, clauses["STATE-1"].missing) == (PART, (BY_LOGITS,))
    for clause in ("GRAD-1", "STATE-1"):
        assert "derivatives" in clauses[clause].reason and "bfloat16" not in clauses[clause].reason, clause


def test_an_error_that_grows_with_the_offset_is_one_of_accuracy(run_of):
    """Fails when log_z - logit, a right formula with an inaccurate result, breaks clauses about its meaning."""
    clauses = run_of(CARELESS).clauses
    failed = {clause for clause, entry in clauses.items() if entry.verdict == FAIL}
    assert {"ACC-1", "ACC-2"} <= failed <= {"ACC-1", "ACC-2", "ACC-3", "ACC-5", "STATE-4", "DIFF-6", "EXCL-2", "DIFF-3"}
    for clause in ("VALUE-1", "VALUE-9", "DIFF-1", "STATE-1", "GRAD-1"):
        assert clauses[clause].verdict == PASS, clause


@pytest.mark.parametrize(("end", "plain"), [(WRONG, {"VALUE-1", "GRAD-1"}), (WRONG_GRADIENT, {"GRAD-1"})])
def test_what_is_wrong_everywhere_is_no_special_case(run_of, end, plain):
    """Fails when a loss that is wrong for every input breaks clauses about masks, states or ways of calling."""
    clauses = run_of(end).clauses
    failed = {clause for clause, entry in clauses.items() if entry.verdict == FAIL}
    assert plain <= failed
    special = {clause for clause in failed if clause.startswith(("STATE-", "EXCL-", "GRAD-", "DIFF-"))} - plain
    assert special <= {"EXCL-2", "DIFF-3"}  # it knows nothing of targets out of range


def test_a_total_that_is_wrong_of_tokens_that_are_right_breaks_the_clause_of_totals():
    """Fails when a mean for the sum is called a wrong loss of each token."""
    (unit,) = selected_units(["values.weighted_total"], dtypes=["float32"])
    (edit,) = (edit for edit in MUTANTS if edit.name == "mean_for_sum")
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        assert run_unit(unit, load(edit), "smoke", 0).broken == ("VALUE-5",)


def test_a_gradient_of_totals_breaks_no_clause_of_values():
    """Fails when a gradient that is wrong where a batch has more than one token is called a wrong total."""

    def loss(logits, targets, weights=None):
        off = float(len(logits) > 1) * (logits - jax.lax.stop_gradient(logits))  # 0, with a derivative
        taken = jax.numpy.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], -1)[:, 0]
        losses = jax.numpy.sum(off, -1) - taken
        return jax.numpy.sum(losses if weights is None else losses * weights.astype(losses.dtype))

    target = function_target("mine", loss)
    run = Run(target, WEIGHTED, "float32", "smoke", 0)
    case = make(WEIGHTED, "float32", np.arange(12.0).reshape(3, 4) % 5, np.zeros(3, np.int32))
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        assert controlled(run, target, Violation("", (BY_LOGITS,), case=case), ("EXCL-1",)) == ("GRAD-1",)


def test_what_is_wrong_for_masks_alone_breaks_their_clause(run_of):
    """Fails when the control of a special case excuses it."""
    clauses = run_of(ONLY_MASKS_WRONG, ("values.hard_targets", "states.masked_vocabulary")).clauses
    assert (clauses["VALUE-1"].verdict, clauses["STATE-1"].verdict) == (PASS, FAIL)


def test_the_control_of_a_large_dense_case_is_no_square_matrix():
    """Fails when the twin of a row of V classes takes the memory of V x V numbers, or its logits all differ."""
    logits = np.random.default_rng(0).normal(size=(1, 32128))
    case = make(DENSE, "float32", logits, np.eye(1, 32128), z_loss=0.0)
    run = Run(load_target("lossproof"), DENSE, "float32", "smoke", 0)
    tracemalloc.start()
    control = twin(run, case)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * logits.nbytes
    assert len(np.unique(control.logits)) < 100
    np.testing.assert_array_equal(control.inputs["targets"], case.inputs["targets"])
