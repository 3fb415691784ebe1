"""One unit of work: a check, applied to one function and one dtype of a target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import Case, argument_dtype
from lossproof.conformance.judging.charges import BY_GRADE_A, SAME, TOGETHER, by, cotangent_of
from lossproof.conformance.judging.draw import unit_cotangents
from lossproof.conformance.judging.exact import Exact, exact_gradients, exact_values
from lossproof.conformance.judging.judge import Violation, VoidCaseError, judge, refuse_void
from lossproof.conformance.judging.mean import divisor, has_tokens, mean_bounds
from lossproof.conformance.suite.asking.search import Search
from lossproof.conformance.targets import Arrays, Split, TargetRaised, Unsupported
from lossproof.conformance.targets.frameworks.python import target_code
from lossproof.conformance.targets.programs.program import ProgramHangsError
from lossproof.reference.bounds import (
    Bounds,
    Grade,
    PredictionBounds,
    smallest_normal,
    with_final_rounding,
)
from lossproof.spec import OUTPUTS, SCALARS, WEIGHTED

# What may have a derivative.
DIFFERENTIATED = ("logits", "targets", "weights", *SCALARS)


@dataclass(frozen=True)
class Comparison:
    """What an array is compared for.

    Attributes:
      subjects: that it tells of, as in `charges`.
      grade: of the bound.
      loose: gives the bound of grade C, if it is known.
      clauses: for which it counts; None are all of the check's.
    """

    subjects: tuple[str, ...] = ()
    grade: Grade = "C"
    loose: Callable[[], Any] | None = None
    clauses: Sequence[str] | None = None


class Run(Search):
    """What a check works with: it asks the target, and judges the answers; its bases say what else it has."""

    # Asking the target; whatever it raises is a violation.

    def ask(
        self, what: str, question: Callable[[], Any], case: Case | None = None, subjects: Sequence[str] = ()
    ) -> Any:
        """The target's answer. A program that hung is not asked again in this unit: shrinking would wait for it.

        Args:
          what: is asked, for messages.
          question: asks it.
          case: of which a derivative is asked for.
          subjects: that are asked for, and deviate if there is no answer.

        Raises:
          OutsideLimits: the target does not say that it takes the case.
          VoidCaseError: a mean has no derivative there.
        """
        if case is not None:
            self.target.limits.require(self.target.limits.cast(case))
            self.refuse_no_mean(case, empty=True)
        if self._hung is not None:
            raise self._hung
        try:
            return question()
        except ProgramHangsError as error:
            self._hung = error
            raise
        except Violation as violation:  # of how it must answer
            violation.subjects, violation.case = violation.subjects or tuple(subjects), violation.case or case
            raise
        except TargetRaised as raised:
            cause = raised.__cause__
            text = str(cause).strip()
            said = f"{what} raised {type(cause).__name__}: {text.splitlines()[0] if text else ''}"
            raise Violation(said, subjects, case=case) from cause

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """What the target returns for a plain call; for `ask`."""
        with target_code():
            return self.target.call(function, arguments)

    def refuse_no_mean(self, case: Case, *, empty: bool) -> None:
        """Raises VoidCaseError where the weights that a mean divides by add up to 0 although tokens count; and, if
        `empty`, where none counts.
        """
        convention = self.convention
        if convention.reduction == "mean" and case.function == WEIGHTED and case.logits.size:
            counts = has_tokens(case, convention)
            if divisor(case, convention).value == 0 and (counts or empty):
                raise VoidCaseError("the mean over weights that add up to 0 is 0/0")

    def values(self, case: Case) -> Arrays:
        """The target's outputs."""
        outputs = self.target.offer(self.function).outputs
        case = self.target.limits.cast(case)
        self.target.limits.require(case)
        self.refuse_no_mean(case, empty=False)
        try:
            return dict(self.ask(self.function, lambda: self.target.values(case), subjects=outputs))
        except Violation as violation:
            violation.case = case
            raise

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        """The target's outputs under differentiation, and its gradients."""
        self.target.offer(self.function)
        case = self.target.limits.cast(case)
        answer: tuple[Arrays, Arrays] = self.ask(
            f"the gradient of {self.function}",
            lambda: self.target.differentiate(case, cotangents),
            case,
            self._of_derivatives(case, cotangents),
        )
        return answer

    def split(self, case: Case, cotangents: Mapping[str, Any], split: Split) -> tuple[Arrays, Arrays]:
        """The target's outputs, each with an axis of devices in front, and its gradients, the classes split."""
        answer: tuple[Arrays, Arrays] = self.ask(
            f"{self.function} with the classes split over {' x '.join(map(str, split.sizes))} devices",
            lambda: self.target.split(case, cotangents, split),
            case,
            (*self.target.offer(self.function).outputs, *self._of_derivatives(case, cotangents)),
        )
        return answer

    def _of_derivatives(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[str, ...]:
        """All that derivatives are about: each argument that has one, and the cotangents."""
        return (*(by(name) for name in DIFFERENTIATED if name in case.inputs), *self.of_cotangents(cotangents))

    def of_cotangents(self, cotangents: Mapping[str, Any]) -> tuple[str, ...]:
        """The subject of pulling these back: one alone, or all that there are."""
        if len(cotangents) == 1:
            return (cotangent_of(next(iter(cotangents))),)
        outputs = self.target.offer(self.function).outputs
        return (TOGETHER,) if len(outputs) > 1 and set(outputs) <= set(cotangents) else ()

    # Judging.

    def bounds(self, case: Case, grade: Grade, whole: Case | None = None) -> Bounds:
        """How large the errors of a case may be; `whole` is the batch that it is a part of."""
        return mean_bounds(case, self.convention, grade, self.profile, whole or case)

    def of_further(self, case: Case, grade: Grade) -> PredictionBounds:
        """How large the errors of a case's further results may be."""
        return PredictionBounds(_of_prediction(case), self.convention, grade, self.profile)

    def check_values(self, case: Case, outputs: Sequence[str] | None = None, grade: Grade = "C") -> None:
        """Compares the target's outputs with the reference's."""
        self.judge_values(case, self.values(case), outputs, grade)

    def judge_values(
        self,
        case: Case,
        actual: Arrays,
        outputs: Sequence[str] | None = None,
        grade: Grade = "C",
        subject: str = "",
    ) -> None:
        """Compares given outputs with the reference's; `subject` is what that tells of, if not of the outputs."""
        exact = exact_values(case, self.convention)
        bounds = self._value_bounds(case, grade)
        offered = self.target.offer(self.function).outputs
        for name in outputs or [*(name for name in OUTPUTS[self.function] if name in offered), *case.also]:

            def loose(name: str = name) -> Any:
                return self._value_bounds(case, "C")[name]

            of = Comparison((subject or name,), grade, loose)
            self.judge("values", case, name, actual[name], exact[name], bounds[name], of)
        self.tally.cases += 1

    def _value_bounds(self, case: Case, grade: Grade) -> Arrays:
        bounds = dict(self.bounds(case, grade).values())
        return bounds | dict(self.of_further(case, grade).values()) if case.also else bounds

    def check_gradients(
        self,
        case: Case,
        arguments: Sequence[str] = ("logits",),
        cotangents: Mapping[str, Any] | None = None,
        grade: Grade = "C",
    ) -> None:
        """Compares the target's gradients with the reference's."""
        cotangents = unit_cotangents(case) if cotangents is None else cotangents
        _, actual = self.differentiate(case, cotangents)
        self.judge_gradients(case, actual, arguments, cotangents, grade)

    def judge_gradients(
        self,
        case: Case,
        actual: Arrays,
        arguments: Sequence[str],
        cotangents: Mapping[str, Any],
        grade: Grade = "C",
        subject: str = "",
    ) -> None:
        """Compares given gradients with the reference's; `subject` is what that tells of, if not of derivatives."""
        exact = exact_gradients(case, cotangents, self.convention)
        missing = [name for name in arguments if name not in actual]
        for name in (name for name in arguments if name in actual):

            def bound(grade: Grade, name: str = name) -> Any:
                found = self._gradient_bounds(case, cotangents, grade)[name]
                return with_final_rounding(found, exact[name].magnitude, argument_dtype(case, name))

            subjects = (subject,) if subject else (by(name), *self.of_cotangents(cotangents))
            of = Comparison(subjects, grade, partial(bound, "C"))
            self.judge("gradients", case, f"the derivative by {name}", actual[name], exact[name], bound(grade), of)
        if missing:
            raise Unsupported(f"{self.target.name} has no derivative by {missing[0]}")
        self.tally.cases += 1

    def _gradient_bounds(self, case: Case, cotangents: Mapping[str, Any], grade: Grade) -> Arrays:
        bounds = dict(self.bounds(case, grade).gradients(cotangents))
        further = self.of_further(case, grade).gradients(cotangents) if case.also else {}
        return bounds | {name: bounds[name] + bound for name, bound in further.items()}

    def judge_same(self, case: Case, plain: Arrays, differentiated: Arrays) -> None:
        """Compares outputs without differentiation with those under it: apart by no more than two good algorithms
        can be.
        """
        bounds = self._value_bounds(case, "A")
        for name, value in plain.items():
            other = differentiated[name].astype(np.float64)
            with np.errstate(invalid="ignore"):
                apart = np.abs(value.astype(np.float64) - other) > 2 * bounds[name]
            if np.any(apart):
                raise Violation(
                    f"{name} is {float(value[apart].ravel()[0])!r} on its own and "
                    f"{float(other[apart].ravel()[0])!r} under differentiation; {case.describe()}",
                    (SAME,),
                )
            self.charge(SAME)

    def judge(
        self,
        quantity: str,
        case: Case,
        name: str,
        actual: Any,
        exact: Exact,
        bound: Any,
        of: Comparison | None = None,
    ) -> None:
        """Raises Violation if an array is outside its bound, VoidCaseError if the bound says nothing."""
        bound = np.asarray(bound, np.float64)
        refuse_void(name, exact, bound, smallest_normal(case.carried))
        self.judge_array(quantity, name, actual, exact, bound, case.describe(), case, of)

    def charge(self, *subjects: str, grade: Grade = "A", clauses: Sequence[str] | None = None) -> None:
        """Counts a comparison for those of the check's clauses, or of these, that speak of one of the subjects, and
        that a bound of this grade can tell.
        """
        about = self.clauses if clauses is None else clauses
        told = [clause for clause in about if grade == "A" or clause not in BY_GRADE_A]
        for subject in subjects:
            self.tally.charge(told, subject)

    def judge_array(
        self,
        quantity: str,
        name: str,
        actual: Any,
        exact: Exact,
        bound: Any,
        described: str,
        call: Case | None = None,
        of: Comparison | None = None,
    ) -> None:
        """Raises Violation if an array is outside its bound; a sum with signs may cancel far below its bound, so
        no void check.
        """
        of = of or Comparison()
        try:
            judgement = judge(name, actual, exact, np.broadcast_to(np.asarray(bound, np.float64), exact.high.shape))
        except Violation as violation:
            violation.subjects, violation.case = of.subjects, call
            raise
        self.tally.add(quantity, judgement.utilisation, f"{name}: {described}", call)
        if judgement.utilisation > 1:
            carried = "float64" if self.dtype == "float64" else "float32"
            came = np.asarray(actual).dtype.name
            is_foreign = came not in ({carried} if quantity == "values" else {carried, self.dtype})
            returned = f" (returned as {came}, not {carried})" if is_foreign else ""
            is_small = of.grade == "A" and of.loose is not None and self._keeps(actual, exact, of.loose(), call)
            raise Violation(f"{judgement.message}{returned}; {described}", of.subjects, is_small=is_small, case=call)
        self.charge(*of.subjects, grade=of.grade, clauses=of.clauses)
        self._climb = max(self._climb, judgement.utilisation)

    def _keeps(self, actual: Any, exact: Exact, bound: Any, case: Case | None) -> bool:
        """Whether an array is within a bound that tells."""
        bound = np.broadcast_to(np.asarray(bound, np.float64), exact.high.shape)
        try:
            refuse_void("it", exact, bound, smallest_normal(case.carried if case else "float32"))
        except VoidCaseError:
            return False
        return judge("it", actual, exact, bound).utilisation <= 1


def expects(condition: bool, message: str, *subjects: str, case: Case | None = None) -> None:
    """Raises Violation of the subjects unless the condition holds."""
    if not condition:
        raise Violation(message, subjects, case=case)


def _of_prediction(case: Case) -> Case:
    """The call without what its further results are independent of."""
    taken = ("logits", "targets", "logit_softcap")
    return replace(case, inputs={name: value for name, value in case.inputs.items() if name in taken})
