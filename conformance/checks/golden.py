"""The golden vectors: one check per case, judged against the stored answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import ml_dtypes  # noqa: F401  numpy learns the name bfloat16 from it
import numpy as np

from lossproof import golden
from lossproof.conformance._case import FACTOR, SCALARS, Case
from lossproof.conformance._draw import carried_float
from lossproof.conformance._exact import Exact
from lossproof.conformance._judge import Violation, VoidCaseError, refuse_void
from lossproof.conformance._run import Run, argument_dtype
from lossproof.conformance._units import Check
from lossproof.conformance.checks.factors import agrees
from lossproof.reference.bounds import Bounds, Grade, smallest_normal, with_final_rounding

# What only an accurate algorithm can pass; the other cases are about meaning, and grade C tells.
_ACCURATE = ("ACC-", "DIFF-1 ", "DIFF-6 ", "STATE-4 ", "VALUE-9 ")


def golden_checks() -> list[Check]:
    """A check for each case of the set.

    Raises:
      GoldenError: the set is broken.
    """
    return [
        Check(f"golden.{case.topic}.{case.id}", case.clauses, (case.function,), (_dtype(case),), partial(examine, case))
        for case in golden.load()
    ]


def examine(vector: golden.Case, run: Run) -> None:
    """Values and gradients against the stored answers."""
    if vector.function == FACTOR:
        _examine_factor(vector, run)
        return
    offer = run.target.offer(run.function)
    run.require(outputs=["loss"], arguments=list(vector.inputs))
    case = _case(vector, run)
    cotangents = {name: _numpy(value) for name, value in vector.cotangents.items()}
    arrays = {
        name: (run.values(case)[name], answer) for name, answer in vector.answers.items() if name in offer.outputs
    }
    gradients = {}
    if cotangents and set(cotangents) <= set(offer.outputs):
        found = run.differentiate(case, cotangents)[1]
        gradients = {name: (found[name], vector.gradients[name]) for name in found if name in vector.gradients}
    _judge(run, case, arrays, gradients, cotangents, "C")
    accurate = tuple(clause for clause in vector.clauses if f"{clause} ".startswith(_ACCURATE))
    if accurate:
        try:
            _judge(run, case, arrays, gradients, cotangents, "A")
        except Violation as violation:
            raise Violation(str(violation), accurate) from violation
    run.tally.cases += 1


Judged = Mapping[str, tuple[Any, golden.Answer]]


def _judge(
    run: Run, case: Case, values: Judged, gradients: Judged, cotangents: Mapping[str, Any], grade: Grade
) -> None:
    bounds = Bounds(case, run.target.convention, grade)
    telling = Telling(smallest_normal(case.carried))
    value_bounds = bounds.values()
    for name, (actual, answer) in values.items():
        exact = stored(answer)
        bound = telling.noted(name, exact, value_bounds[name])
        run.judge_array("values", name, actual, exact, bound, case.describe())
    gradient_bounds = bounds.gradients(cotangents) if gradients else {}
    for name, (actual, answer) in gradients.items():
        what, exact = f"the derivative by {name}", stored(answer)
        bound = with_final_rounding(gradient_bounds[name], exact.magnitude, argument_dtype(case, name))
        run.judge_array("gradients", what, actual, exact, telling.noted(what, exact, bound), case.describe())
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


def stored(answer: golden.Answer) -> Exact:
    """The answer's decimals as float pairs."""
    with localcontext(prec=60):
        numbers = [Decimal(text) for text in answer.decimal]
        highs = [float(number) for number in numbers]
        lows = [
            float(number - Decimal(high)) if np.isfinite(high) and number.is_finite() else 0.0
            for number, high in zip(numbers, highs, strict=True)
        ]
    return Exact(np.array(highs).reshape(answer.shape), np.array(lows).reshape(answer.shape))


def _examine_factor(vector: golden.Case, run: Run) -> None:
    run.target.offer(FACTOR)
    batch = vector.inputs["batch"]
    assert isinstance(batch, Mapping)
    factor = vector.inputs.get("loss_normalizing_factor")
    exact = {name: stored(answer) for name, answer in vector.answers.items()}
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
    return np.asarray(value.value if isinstance(value, golden.Scalar) else value.tolist(), value.dtype)
