"""The golden vectors: one check per case, judged against the stored answers."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import ml_dtypes  # noqa: F401  numpy learns the name bfloat16 from it
import numpy as np

from lossproof import golden
from lossproof.conformance.judging.case import Case, argument_dtype
from lossproof.conformance.judging.charges import BY_GRADE_A, DERIVATIVE_TYPES, VALUE_TYPES, by, concerned
from lossproof.conformance.judging.draw import carried_float
from lossproof.conformance.judging.exact import Exact
from lossproof.conformance.judging.judge import Violation, VoidCaseError, refuse_void
from lossproof.conformance.suite.asking.run import Comparison, Run, expects
from lossproof.conformance.suite.checks.factors import agrees
from lossproof.conformance.suite.registry import Check
from lossproof.conformance.targets import Arrays, OutsideLimits, Unsupported
from lossproof.reference.bounds import Grade, smallest_normal, with_final_rounding
from lossproof.spec import FACTOR, FORMATS, SCALARS

# Of which a vector tells by a comparison of two answers of the target with each other.
_ONE_VALUE = {"VALUE-9", "DIFF-1"}


def golden_checks() -> list[Check]:
    """A check for each case of the set.

    Raises:
      GoldenError: the set is broken.
    """
    return [
        Check(
            f"golden.{case.topic}.{case.id}",
            case.clauses,
            (case.function,),
            (_dtype(case),),
            partial(examine, case),
            is_quick=False,
        )
        for case in golden.load()
    ]


def examine(vector: golden.Case, run: Run) -> None:
    """Values and gradients against the stored answers; or, where weights or scalars are subnormal, against those for 0
    in their place (ACC-7).
    """
    compare = _compare_factor if vector.function == FACTOR else _compare
    before = copy.deepcopy(run.tally)
    try:
        compare(vector, vector, run)
    except Violation:
        flushed = _flushed(vector)
        if flushed is None:
            raise
        run.tally = before
        compare(vector, golden.answer(flushed, vector.topic), run)


def _compare(vector: golden.Case, answered: golden.Case, run: Run) -> None:
    """What the target makes of the inputs of `vector`, and the answers of `answered`."""
    offer = run.target.offer(run.function)
    run.require(outputs=["loss"], arguments=list(vector.inputs))
    run.require_sum()
    case = _case(vector, run)
    cotangents = {name: _numpy(value) for name, value in vector.cotangents.items()}
    # A program with derivatives gives the values too: half the compiling. Whether these are the values without, the
    # vectors about that tell, and the checks that draw their cases.
    outputs, gradients, refusal = _asked(answered, run, case, cotangents)
    arrays = {name: (outputs[name], answer) for name, answer in answered.answers.items() if name in offer.outputs}
    meaning = [clause for clause in vector.clauses if clause not in BY_GRADE_A]
    accuracy = [clause for clause in vector.clauses if clause in BY_GRADE_A]
    _judge(run, case, arrays, gradients, cotangents, "C", meaning)
    if accuracy:
        try:
            _judge(run, case, arrays, gradients, cotangents, "A", accuracy)
        except Violation as violation:
            raise Violation(str(violation), violation.subjects, is_small=True, case=case) from violation
        except VoidCaseError as void:
            if set(answered.answers) <= set(offer.outputs):
                raise
            raise Unsupported(f"{run.target.name} lacks the outputs that tell: {void}") from void
    _judge_types(run, case, outputs, {name: actual for name, (actual, _) in gradients.items()})
    run.tally.cases += 1
    if refusal is not None:
        raise refusal


def _asked(
    answered: golden.Case, run: Run, case: Case, cotangents: Mapping[str, Any]
) -> tuple[Arrays, "Judged", Unsupported | None]:
    """The outputs, the gradients that have an answer, and why the target has none, if so."""
    gradients: dict[str, tuple[Any, golden.Answer]] = {}
    if not cotangents or not set(cotangents) <= set(run.target.offer(run.function).outputs):
        return run.values(case), gradients, None
    try:
        outputs, found = run.differentiate(case, cotangents)
    except OutsideLimits:
        raise
    except Unsupported as reason:
        return run.values(case), gradients, reason
    gradients = {name: (found[name], answered.gradients[name]) for name in found if name in answered.gradients}
    if _ONE_VALUE & set(run.clauses):
        plain = run.values(case)
        run.judge_same(case, plain, outputs)
        outputs = plain
    return outputs, gradients, None


def _judge_types(run: Run, case: Case, outputs: Arrays, gradients: Arrays) -> None:
    """Compares the types of what a vector about them gives."""
    if not concerned(run.clauses, VALUE_TYPES):
        return
    for name, value in outputs.items():
        came = value.dtype.name
        said = f"{name} of {case.dtype} logits must be {case.carried}, got {came}; {case.describe()}"
        expects(came == case.carried, said, VALUE_TYPES)
        run.charge(VALUE_TYPES)
    for name, gradient in gradients.items():
        came, wanted = gradient.dtype.name, argument_dtype(case, name)
        said = f"the derivative by {name} must be {wanted}, got {came}; {case.describe()}"
        expects(came == wanted, said, DERIVATIVE_TYPES)
        run.charge(DERIVATIVE_TYPES)


Judged = Mapping[str, tuple[Any, golden.Answer]]


def _judge(
    run: Run,
    case: Case,
    values: Judged,
    gradients: Judged,
    cotangents: Mapping[str, Any],
    grade: Grade,
    clauses: Sequence[str],
) -> None:
    """Compares arrays with stored answers, for some of the vector's clauses."""
    bounds = run.bounds(case, grade)
    telling = Telling(smallest_normal(case.carried))
    value_bounds = bounds.values()
    for name, (actual, answer) in values.items():
        exact = stored(answer)
        bound = telling.noted(name, exact, value_bounds[name])
        run.judge_array(
            "values", name, actual, exact, bound, case.describe(), case, Comparison((name,), grade, clauses=clauses)
        )
    gradient_bounds = bounds.gradients(cotangents) if gradients else {}
    for name, (actual, answer) in gradients.items():
        what, exact = f"the derivative by {name}", stored(answer)
        if answer.at is not None:
            what += f", at {list(answer.at)}"
        bound = with_final_rounding(
            kept(what, gradient_bounds[name], answer), exact.magnitude, argument_dtype(case, name)
        )
        bound = telling.noted(what, exact, bound)
        of = Comparison((by(name), *run.of_cotangents(cotangents)), grade, clauses=clauses)
        run.judge_array("gradients", what, kept(what, actual, answer), exact, bound, case.describe(), case, of)
    if grade == "A":
        telling.require()


@dataclass
class Telling:
    """Whether any array of a case has a bound that tells right from wrong; a case chosen for one output may be
    void in another.
    """

    smallest: float
    reasons: list[VoidCaseError] = field(default_factory=list)
    found: bool = False

    def noted(self, name: str, exact: Exact, bound: Any) -> Any:
        """The bound, after a note of whether it is void."""
        try:
            refuse_void(name, exact, np.asarray(bound), self.smallest)
            self.found = True
        except VoidCaseError as reason:
            self.reasons.append(reason)
        return bound

    def require(self) -> None:
        """Raises VoidCaseError if every array was void."""
        if self.reasons and not self.found:
            raise self.reasons[0]


def kept(name: str, array: Any, answer: golden.Answer) -> Any:
    """The elements of an array whose exact values the case has: all, or those at the flat indices `answer.at`.

    Raises:
      Violation: the array has not the shape of the answer.
    """
    if answer.at is None:
        return array
    if np.shape(array) != answer.shape:
        raise Violation(f"{name} must have the shape {answer.shape}, got {np.shape(array)}")
    return np.ravel(array)[list(answer.at)]


def stored(answer: golden.Answer) -> Exact:
    """The answer's decimals as float pairs, in the shape of what `kept` gives."""
    with localcontext(prec=60):
        numbers = [Decimal(text) for text in answer.decimal]
        highs = [float(number) for number in numbers]
        lows = [
            float(number - Decimal(high)) if np.isfinite(high) and number.is_finite() else 0.0
            for number, high in zip(numbers, highs, strict=True)
        ]
    shape = answer.shape if answer.at is None else (len(answer.at),)
    return Exact(np.array(highs).reshape(shape), np.array(lows).reshape(shape))


def _flushed(vector: golden.Case) -> golden.Case | None:
    """The case with 0 for each weight and scalar that is subnormal in the carried type; None where none is."""
    smallest = smallest_normal("float64" if _dtype(vector) == "float64" else "float32")

    def read(value: Any) -> Any:
        if isinstance(value, golden.Scalar):
            return replace(value, value=0.0) if abs(value.value) < smallest else value
        if isinstance(value, Mapping):
            return {name: read(array) if name.endswith("weights") else array for name, array in value.items()}
        if isinstance(value, golden.Array) and value.dtype in FORMATS:
            return replace(value, values=tuple(0.0 if abs(x) < smallest else x for x in value.values))
        return value

    inputs = {
        name: read(value) if name in {*SCALARS, "weights", "batch"} else value for name, value in vector.inputs.items()
    }
    return None if inputs == vector.inputs else replace(vector, inputs=inputs)


def _compare_factor(vector: golden.Case, answered: golden.Case, run: Run) -> None:
    run.target.offer(FACTOR)
    batch = vector.inputs["batch"]
    assert isinstance(batch, Mapping)
    factor = vector.inputs.get("loss_normalizing_factor")
    exact = {name: stored(answer) for name, answer in answered.answers.items()}
    chosen = factor.value if isinstance(factor, golden.Scalar) else factor
    agrees(run, chosen, {key: _numpy(array) for key, array in batch.items()}, exact)


def _case(vector: golden.Case, run: Run) -> Case:
    arrays: dict[str, Any] = {name: _numpy(value) for name, value in vector.inputs.items()}
    scalars = {name: float(arrays[name]) for name in SCALARS if name in arrays}
    # A coefficient such as float64 0.1 is passed as it is: tracing it in float32 would round it.
    traced = all(carried_float(number, _dtype(vector)) == number or math.isnan(number) for number in scalars.values())
    return Case(run.function, arrays | scalars, traced)


def _dtype(vector: golden.Case) -> str:
    logits = vector.inputs.get("logits")
    return logits.dtype if isinstance(logits, golden.Array) else "float32"


def _numpy(value: Any) -> Any:
    if isinstance(value, golden.Scalar):
        return np.asarray(value.value, value.dtype)
    return np.asarray(value.tolist(), value.dtype).reshape(value.shape)  # nested lists of (0, 3) do not show the 3
