"""The survey: a measurement of accuracy, on known algorithms and on results with planted errors."""

import numpy as np
import pytest

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.survey import _cases
from lossproof.conformance.suite.survey._cases import LEADS, OFFSETS, batches
from lossproof.conformance.suite.survey._survey import survey
from lossproof.conformance.targets import Offer, Target, TargetRaised, Unsupported
from lossproof.reference.bounds import unit_in_last_place, unit_roundoff
from lossproof.spec import DENSE, TOKEN, WEIGHTED


def rows_of(case, algorithm):
    """Each token's loss and gradient, in the type that the algorithm is computed in.

    Args:
      algorithm: "exact" is in float64 and relative for confident tokens; "log softmax" and "lse" are as in
        docs/error-analysis.md, sections 17 and 11; "16 bits" is the second, in the logits' own type.
    """
    dense = case.function == DENSE
    one_hot = case.inputs["targets"] if dense else np.eye(case.logits.shape[-1])[case.inputs["targets"]]
    carried = np.float64 if case.dtype == "float64" else np.float32
    x = case.logits.astype({"exact": np.float64, "16 bits": case.logits.dtype}.get(algorithm, carried))
    one_hot = one_hot.astype(x.dtype)
    m = np.max(x, axis=-1, keepdims=True)
    exps = np.exp(x - m)
    s = np.sum(exps, axis=-1, keepdims=True).astype(x.dtype)
    if algorithm == "lse":
        log_p = x - (m + np.log(s))
    else:
        log_p = (x - m) - np.log(s)
    gradient = np.exp(log_p) - one_hot
    if algorithm == "exact":
        others = np.where(np.arange(x.shape[-1]) == np.argmax(x, axis=-1)[:, None], 0, exps)
        rest = np.sum(others, axis=-1, keepdims=True)
        log_p = (x - m) - np.log1p(rest)
        at_top = (one_hot == 1) & (others == 0)
        gradient = np.where(at_top, -rest / (1 + rest), exps / (1 + rest) - one_hot)
    return -np.sum(one_hot * log_p, axis=-1), gradient, carried


class Planted(Target):
    """An algorithm of `rows_of`, whose results may be changed.

    Args:
      change: a function of the loss and the gradient, as they are returned.
    """

    name = "planted"

    def __init__(self, algorithm, change=lambda loss, gradient: (loss, gradient)):
        self.algorithm, self.change = algorithm, change
        self.offers = dict.fromkeys((TOKEN, WEIGHTED, DENSE), Offer(("loss",), ("logits", "targets")))

    def values(self, case):
        """The loss alone."""
        return self.differentiate(case, {})[0]

    def differentiate(self, case, cotangents):
        """Both; cotangents are 1."""
        loss, gradient, carried = rows_of(case, self.algorithm)
        if self.algorithm != "16 bits":
            loss = loss.astype(carried)
        loss, gradient = self.change(loss, gradient.astype(case.logits.dtype))
        return {"loss": np.sum(loss) if case.function == WEIGHTED else loss}, {"logits": gradient}


def surveyed(target, quantity, dtype="float32", function=TOKEN):
    """A survey of the level smoke."""
    run = Run(target, function, dtype, "smoke", 0)
    found = survey(run, quantity)
    assert run.tally.cases == found.grade["cases"] > 0
    return found


@pytest.mark.parametrize("function", [TOKEN, WEIGHTED, DENSE])
@pytest.mark.parametrize("dtype", DTYPES)
def test_known_algorithms_get_their_grades(dtype, function):
    """Fails when an algorithm is graded better or worse than it is; a dense row has no grade-A gradient of its own.

    Exact results in float64 are computed in float64 here, so that only their ends are as good as grade A asks.
    """
    found = surveyed(Planted("exact"), "values", dtype, function)
    assert found.grade["grade"] == "A"
    assert surveyed(Planted("exact"), "gradients", dtype, function).grade["grade"] == "A"
    assert surveyed(Planted("log softmax"), "values", dtype, function).grade["grade"] == "B"
    if dtype == "float32":
        assert surveyed(Planted("lse"), "values", dtype, function).grade["grade"] == "C"
        gradients = {name: surveyed(Planted(name), "gradients", dtype, function) for name in ("log softmax", "lse")}
        assert gradients["log softmax"].grade["grade"] == ("A" if function == DENSE else "B")
        assert gradients["lse"].grade["grade"] == "C"


@pytest.mark.parametrize("quantity", ["values", "gradients"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_arithmetic_in_16_bits_has_no_grade_and_a_coarse_roundoff(dtype, quantity):
    """Fails when a loss computed in its logits' own 16 bits gets a grade, or an effective unit roundoff as fine as that
    of the type that it should be carried in, or coarser than its own.
    """
    grade = surveyed(Planted("16 bits"), quantity, dtype).grade
    assert grade["grade"] == "none"
    assert 4 * unit_roundoff("float32") < grade["roundoff"] <= unit_roundoff(dtype)
    fine = surveyed(Planted("log softmax"), "gradients", dtype).grade
    assert fine["grade"] == "B" and fine["roundoff"] is None


@pytest.mark.parametrize("quantity", ["values", "gradients"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_wrong_special_state_has_no_grade_and_no_number(quantity, wrong):
    """Fails when nan or inf for one token counts as a distance, or is lost among good tokens."""

    def plant(loss, gradient):
        loss[-1], gradient[-1, 0] = wrong, wrong
        return loss, gradient

    found = surveyed(Planted("exact", plant), quantity)
    assert found.grade["grade"] == "none" and found.grade["roundoff"] is None
    assert found.grade["utilisation"] == {"A": None, "B": None, "C": None}
    rows = {(row["by"], row["at"]): row for row in found.rows}
    assert rows["offset", OFFSETS[-1]]["ulp"] is rows["offset", OFFSETS[-1]]["utilisation"] is None
    assert rows["confidence", LEADS[-1]]["ulp"] is not None


@pytest.mark.parametrize("steps", [1, 8, -64])
def test_an_error_is_counted_in_units_of_the_output_s_last_place(steps):
    """Fails when a planted error of so many units is reported as another number, or at another lead than its own."""
    place = LEADS.index(10.0)

    def plant(loss, gradient):
        loss[place] += steps * unit_in_last_place(np.abs(loss[place]), "float32").astype(np.float32)
        return loss, gradient

    clean, planted = (surveyed(Planted("exact", change), "values") for change in (lambda *pair: pair, plant))
    for before, after in zip(clean.rows, planted.rows, strict=True):
        if (before["by"], before["at"]) == ("confidence", 10.0):
            assert abs(steps) - before["ulp"] <= after["ulp"] <= abs(steps) + before["ulp"]
            assert after["utilisation"] > before["utilisation"]
        elif before["by"] != "classes":
            assert before == after


@pytest.mark.parametrize("quantity", ["values", "gradients"])
@pytest.mark.parametrize("classes", _cases.CLASSES["smoke"])
def test_one_bad_vocabulary_decides_on_the_grade(classes, quantity):
    """Fails when a target that is wrong for one number of classes only has the grade of the others."""

    def plant(loss, gradient):
        return (1.5 * loss, 1.5 * gradient) if gradient.shape[-1] == classes else (loss, gradient)

    found = surveyed(Planted("exact", plant), quantity)
    assert found.grade["grade"] == "none"
    assert found.grade["roundoff"] > unit_roundoff("float32")
    shares = {row["at"]: row["utilisation"] for row in found.rows if row["by"] == "classes"}
    assert [at for at, share in shares.items() if share > 1] == [classes]


def test_rows_say_what_was_varied():
    """Fails when a lead, an offset or a number of classes is missing from the plots, or has another's name."""
    for dtype, held in (("float32", 6), ("bfloat16", 3), ("float16", 4)):
        rows = surveyed(Planted("exact"), "values", dtype).rows
        at = {by: [row["at"] for row in rows if row["by"] == by] for by in ("confidence", "offset", "classes")}
        assert at["confidence"] == sorted(LEADS)
        assert at["offset"] == sorted(OFFSETS[:held])
        assert at["classes"] == sorted(_cases.CLASSES["smoke"])
        assert {(row["function"], row["dtype"], row["quantity"]) for row in rows} == {(TOKEN, dtype, "values")}


@pytest.mark.parametrize("dtype", DTYPES)
def test_tokens_are_what_they_are_said_to_be(dtype):
    """Fails when a target does not lead by what the plot says, when an offset drowns the differences, or when two
    surveys look at other tokens.
    """
    for batch, again in zip(batches(dtype, "standard"), batches(dtype, "standard"), strict=True):
        x, targets = batch.tokens.logits.astype(np.float64), batch.tokens.inputs["targets"]
        assert batch.tokens.logits.tobytes() == again.tokens.logits.tobytes()
        assert np.array_equal(targets, again.tokens.inputs["targets"])
        assert np.array_equal(np.isnan(batch.leads), ~np.isnan(batch.offsets))
        is_target = np.arange(x.shape[-1]) == targets[:, None]
        lead = np.max(np.where(is_target, x, -np.inf), -1) - np.max(np.where(is_target, -np.inf, x), -1)
        asked = ~np.isnan(batch.leads)
        spacing = unit_in_last_place(np.max(np.abs(x), axis=-1), dtype)
        assert np.all(np.abs(lead - batch.leads)[asked] <= spacing[asked])
        assert all(len(np.unique(row)) > 1 for row in x[~asked] if np.ptp(row) > 1)


def test_an_error_of_the_target_is_a_violation():
    """Fails when a target that raises, or returns something else than a float a token, ends the run."""

    def raises(*_):
        raise TargetRaised("no device") from RuntimeError("no device")

    with pytest.raises(Violation, match="token_cross_entropy raised RuntimeError: no device"):
        surveyed(Planted("exact", raises), "values")
    for change in (lambda loss, gradient: (loss[:1], gradient[:1]), lambda loss, gradient: (loss > 0, gradient > 0)):
        for quantity, name in (("values", "loss"), ("gradients", "the derivative by logits")):
            with pytest.raises(Violation, match=f"{name} must be floats of the shape"):
                surveyed(Planted("exact", change), quantity)


def test_what_a_target_lacks_is_unsupported():
    """Fails when a target without the function, or without derivatives, is given a grade."""
    target = Planted("exact")
    target.offers = {TOKEN: Offer(("loss",), ("logits", "targets"))}
    with pytest.raises(Unsupported, match="planted has no compute_weighted_cross_entropy"):
        surveyed(target, "values", function=WEIGHTED)
    target.differentiate = lambda *_: ({}, {})
    with pytest.raises(Unsupported, match="planted has no derivative by logits"):
        surveyed(target, "gradients")
