"""What a target's keywords say: conventions, the soft-cap, dense targets, further results. A target that lacks a
keyword does not support its clauses.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.draw import Options, cases, generator, random_cotangents, unit_cotangents
from lossproof.conformance.suite.asking.run import Run, expects
from lossproof.conformance.suite.checks.gradients import explore_hvp
from lossproof.conformance.suite.registry import HARD, THREE, check
from lossproof.conformance.targets import Unsupported
from lossproof.reference.bounds import Grade
from lossproof.spec import DENSE, FURTHER, TOKEN, WEIGHTED

# One shape: each keyword's value is compiled anew.
SHAPE = ((4, 16),)
# Far enough for 1 - tanh^2 to vanish at 100, and another one for each way of carrying.
CAPS = {"bfloat16": 30.0, "float16": 10.0, "float32": 5.0, "float64": 50.0}


def _differentiated(
    run: Run,
    case: Case,
    cotangents: Mapping[str, Any],
    arguments: Sequence[str] = ("logits",),
    outputs: Sequence[str] | None = None,
    grade: Grade = "A",
) -> None:
    """Values and gradients of one program."""
    values, gradients = run.differentiate(case, cotangents)
    run.judge_values(case, values, outputs, grade)
    run.judge_gradients(case, gradients, arguments, cotangents, grade)


def _with_keywords(run: Run, options: Options, **keywords: Any) -> st.SearchStrategy[Case]:
    return run.cases(options, shapes=SHAPE).map(lambda case: case.with_inputs(**keywords))


@check("conventions.keywords", "CONV-2", functions=[TOKEN], dtypes=["float32"], is_quick=False)
def conventions(run: Run) -> None:
    """e / V on every class, and no entropy constant, in values and in derivatives by the logits and by e."""
    run.require(outputs=["loss"], arguments=["label_smoothing", "smoothing", "subtract_entropy"])
    arguments = ["logits"] + (["label_smoothing"] if run.target.scalars_differentiable else [])
    for smoothing, subtract_entropy in (("uniform", True), ("others", False)):
        strategy = _with_keywords(run, Options(smoothing=True), smoothing=smoothing, subtract_entropy=subtract_entropy)
        run.explore(strategy, lambda case: _differentiated(run, case, unit_cotangents(case), arguments), 0.5)


@check("values.softcap", "VALUE-11", "GRAD-12", functions=[TOKEN], dtypes=THREE)
def softcap(run: Run) -> None:
    """Logits in the linear range and far beyond the cap, masks, and tokens that are undefined without a cap."""
    run.require(outputs=["loss"], arguments=["logit_softcap"])
    keywords: dict[str, Any] = {"logit_softcap": CAPS[run.dtype]}
    keywords |= {"also": FURTHER} if run.has("also") else {}  # of which the checks below share the program
    strategy = _with_keywords(run, run.everything, **keywords)
    planted = st.builds(_with_special_logits, strategy, st.integers(0, 2**16))
    run.explore(strategy, lambda case: _differentiated(run, case, unit_cotangents(case)), 0.5)
    run.explore(planted, lambda case: _differentiated(run, case, unit_cotangents(case)), 0.3)


@check("gradients.hvp_through_softcap", "GRAD-12", "GRAD-9", functions=[TOKEN], dtypes=["float32"], is_quick=False)
def softcap_curvature(run: Run) -> None:
    """The second derivative of the soft-cap is part of Hessian-vector products."""
    run.require(outputs=["loss"], arguments=["logit_softcap"])
    explore_hvp(run, _with_keywords(run, run.everything, logit_softcap=CAPS[run.dtype]), ("forward-over-reverse",))


@check(
    "values.keywords_of_totals",
    "CONV-2",
    "VALUE-11",
    "GRAD-12",
    functions=[WEIGHTED],
    dtypes=["float32"],
    is_quick=False,
)
def totals(run: Run) -> None:
    """Another convention and a soft-cap in a total, together."""
    keywords = {"smoothing": "uniform", "subtract_entropy": False, "logit_softcap": CAPS[run.dtype]}
    run.require(outputs=["loss"], arguments=["label_smoothing", *keywords])
    strategy = _with_keywords(run, run.everything, **keywords)
    run.explore(strategy, lambda case: _differentiated(run, case, unit_cotangents(case)), 0.5)


def _with_special_logits(case: Case, seed: int) -> Case:
    """Masks off the target in every row, and in one row out of two draws a +inf or a NaN."""
    logits, targets = case.logits.copy(), np.asarray(case.inputs["targets"])
    hidden = generator(seed).uniform(size=logits.shape) < 0.3
    np.copyto(logits, -np.inf, where=hidden & (np.arange(logits.shape[-1]) != targets[..., None]))
    if seed % 2:
        logits[seed % 4, ..., seed % 16] = (np.inf, np.nan)[seed // 2 % 2]
    return case.with_inputs(logits=logits)


@check("values.dense_targets_by_keyword", "VALUE-12", functions=HARD, dtypes=["float32"], is_quick=False)
def dense_targets(run: Run) -> None:
    """Any real targets, in tokens and in totals; a total's weight 0 hides a NaN."""
    run.require(outputs=["loss"])
    if not run.takes_dense_targets:
        raise Unsupported(f"{run.target.name}'s {run.function} takes no dense targets")
    traced = run.target.scalars_differentiable
    drawn = cases(DENSE, run.dtype, Options(z_loss=run.has("z_loss")), traced=traced, shapes=[run.nearest(SHAPE[0])])

    def build(case: Case, seed: int) -> Case:
        inputs = dict(case.inputs)
        if run.has("weights"):
            inputs["weights"] = generator(seed).integers(-2, 8, case.logits.shape[:-1]).astype(np.float32) / 4
            inputs["logits"] = np.where(inputs["weights"][..., None] == 0, np.nan, inputs["logits"])
        return Case(run.function, inputs, case.traced)

    def examine(case: Case) -> None:
        _differentiated(run, case, unit_cotangents(case), ["logits", "targets"])

    run.explore(st.builds(build, drawn, st.integers(0, 2**16)), examine, 0.5)


def _further(run: Run, examine: Callable[[Case, int], None], share: float) -> None:
    """Explores with every further result asked for, smoothing and z-loss (which must not enter), one target out of
    range, ties for the largest logit, and masks; with a soft-cap but for float32.
    """
    run.require(outputs=["loss"], arguments=["also", "label_smoothing", "z_loss"])
    capped = run.has("logit_softcap") and run.dtype != "float32"
    keywords = {"also": FURTHER} | ({"logit_softcap": CAPS[run.dtype]} if capped else {})
    drawn = _with_keywords(run, Options(smoothing=True, z_loss=True), **keywords)

    def build(case: Case, seed: int) -> Case:
        case = _with_special_logits(case, seed)
        targets = case.inputs["targets"].copy()
        targets[0] = (targets[0], -1, case.logits.shape[-1])[seed % 3]
        return case.with_inputs(targets=targets)

    pairs = st.tuples(st.builds(build, drawn, st.integers(0, 2**16)), st.integers(0, 2**16))
    run.explore(pairs, lambda pair: examine(*pair), share)


def _check_result(run: Run, name: str) -> None:
    def examine(case: Case, _seed: int) -> None:
        values, _ = run.differentiate(case, unit_cotangents(case))
        run.judge_values(case, values, [name], "A")
        if name == "predicted_class":
            kind = values[name].dtype.name
            expects(
                kind == "int32", f"{name} must be int32, whatever the logits are, got {kind}; {case.describe()}", name
            )

    _further(run, examine, 1.0)


@check("values.target_log_probability", "VALUE-13", functions=[TOKEN], dtypes=THREE, is_quick=False)
def target_log_probability(run: Run) -> None:
    """x_t - lse, however confident; whatever e and k are."""
    _check_result(run, "target_log_probability")


@check("values.predicted_class", "VALUE-14", functions=[TOKEN], dtypes=THREE, is_quick=False)
def predicted_class(run: Run) -> None:
    """The first of the largest logits, -1 for what is excluded or undefined, as int32."""
    _check_result(run, "predicted_class")


@check("values.entropy_of_prediction", "VALUE-15", functions=[TOKEN], dtypes=THREE)
def entropy(run: Run) -> None:
    """-sum_j p_j log p_j with 0 log 0 = 0."""
    _check_result(run, "entropy")


@check("gradients.further_results", "GRAD-13", functions=[TOKEN], dtypes=THREE)
def further_gradients(run: Run) -> None:
    """By the logits, for random cotangents of all results together, and of each alone."""

    def examine(case: Case, seed: int) -> None:
        names = (("entropy",), ("target_log_probability",), ("loss", "z_loss", "log_z", *FURTHER))[seed % 3]
        cotangents = random_cotangents(case, names, seed)
        run.check_gradients(case, ["logits"], cotangents, "A")

    _further(run, examine, 1.0)
