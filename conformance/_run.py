"""One unit of work: a check, applied to one function and one dtype of a target."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from lossproof.conformance._calls import Calls
from lossproof.conformance._case import DENSE, OUTPUTS, SCALARS, WEIGHTED, Case
from lossproof.conformance._charges import BY_GRADE_A, SAME, TOGETHER, by, cotangent_of
from lossproof.conformance._draw import SHAPES, Options, cases, unit_cotangents
from lossproof.conformance._exact import Exact, exact_gradients, exact_values
from lossproof.conformance._judge import Violation, VoidCaseError, judge, refuse_void
from lossproof.conformance._mean import divisor, has_tokens, mean_bounds
from lossproof.conformance._tally import Tally
from lossproof.conformance.targets import Arrays, NotApplicable, OutsideLimits, Split, Target, TargetRaised, Unsupported
from lossproof.conformance.targets._program import ProgramHangsError
from lossproof.conformance.targets._python import target_code
from lossproof.reference import FORMATS, Convention
from lossproof.reference.bounds import (
    JAX_CPU,
    Bounds,
    Grade,
    PredictionBounds,
    Profile,
    smallest_normal,
    with_final_rounding,
)

# Cases per exploration; a check may ask for a multiple. Smoke is no conformance result.
EXAMPLES = {"smoke": 3, "standard": 20, "exhaustive": 2000}

# What may have a derivative.
DIFFERENTIATED = ("logits", "targets", "weights", *SCALARS)

# The shape that smoke makes do with: most of a short run goes into compiling, once for each shape.
QUICK = ((4, 16),)


class Run:
    """What a check works with.

    Attributes:
      target: the implementation under test.
      function: the function to call.
      dtype: of the logits.
      level: a key of `EXAMPLES`.
      seed: of the search.
      profile: of the platform that the target runs on.
      calls: that were made for what is being judged.
      clauses: that the check is about; comparisons count for those that speak of what was compared.
      tally: what has been seen.
    """

    def __init__(
        self,
        target: Target,
        function: str,
        dtype: str,
        level: str,
        seed: int,
        profile: Profile = JAX_CPU,
        calls: Calls | None = None,
        clauses: Sequence[str] = (),
    ) -> None:
        self.clauses: tuple[str, ...] = tuple(clauses)
        self.calls: Calls = calls or Calls()
        self.target: Target = self.calls.watch(target)
        self.function: str = function
        self.dtype: str = dtype
        self.level: str = level
        self.seed: int = seed
        self.profile: Profile = profile
        self.tally: Tally = Tally()
        self._hung: ProgramHangsError | None = None
        self._climb: float = 0.0  # the largest utilisation of the present draw, for hypothesis.target

    # What the target can do.

    def require(
        self, *, outputs: Sequence[str] = (), arguments: Sequence[str] = (), own_convention: bool = True
    ) -> None:
        """Raises Unsupported unless the target has the function with these outputs and arguments, computed as
        SPEC.md says.
        """
        offer = self.target.offer(self.function)
        for kind, wanted, offered in (("output", outputs, offer.outputs), ("argument", arguments, offer.arguments)):
            missing = [name for name in wanted if name not in offered]
            if missing:
                raise Unsupported(f"{self.target.name}'s {self.function} has no {kind} {', '.join(missing)}")
        if own_convention and self._departs and "label_smoothing" in arguments:
            raise Unsupported(f"{self.target.name} declares another convention of label smoothing")

    def require_dtype(self) -> None:
        """Raises Unsupported if the target does not declare logits of this type, or the profile does not know it."""
        if self.dtype not in self.target.dtypes:
            raise Unsupported(f"{self.target.name} declares no {self.dtype} logits")
        try:
            self.profile.of(self.dtype)
        except ValueError as error:
            raise Unsupported(str(error)) from error

    def require_departure(self) -> None:
        """Raises NotApplicable if the target's smoothing is SPEC.md's own."""
        if not self._departs:
            raise NotApplicable(f"{self.target.name} keeps the specification's own convention")

    @property
    def _departs(self) -> bool:
        convention = self.target.convention
        return convention.smoothing != "others" or not convention.subtract_entropy

    @property
    def convention(self) -> Convention:
        """What the function computes; only totals have a reduction."""
        declared = self.target.convention
        return declared if self.function == WEIGHTED else replace(declared, reduction="sum")

    def require_sum(self, *but: str) -> None:
        """Raises Unsupported for means, unless they are `but` such ones."""
        reduction = self.convention.reduction
        if reduction != "sum" and reduction not in but:
            raise Unsupported(f"{self.target.name} gives the mean of a batch ({reduction}), where this needs its sum")

    def nearest(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape of logits that the target takes: this one if it can be."""
        return self.target.limits.nearest(shape)

    def fits(self, case: Case) -> bool:
        """Whether the target says that it takes the call."""
        return self.target.limits.shape_fits(case.logits.shape)

    def has(self, argument: str) -> bool:
        """Whether the function takes an argument."""
        return argument in self.target.offer(self.function).arguments

    @property
    def takes_dense_targets(self) -> bool:
        """Whether floating-point targets are weights of all classes; other losses refuse them."""
        if self.function == DENSE:
            return True
        rows = np.zeros(self.nearest((1, 2)), np.float32)
        try:
            self.target.call(self.function, {"logits": rows, "targets": rows})
        except Unsupported:
            raise
        except Exception:  # noqa: BLE001  any refusal
            return False
        return True

    @property
    def everything(self) -> Options:
        """All the arguments that the function takes."""
        return Options(
            smoothing=self.has("label_smoothing"),
            z_loss=self.has("z_loss"),
            weights=self.has("weights"),
            factor=self.has("loss_normalizing_factor"),
        )

    def require_scalar_derivatives(self) -> None:
        """Raises Unsupported unless scalars may be differentiated."""
        if not self.target.scalars_differentiable:
            raise Unsupported(f"{self.target.name} does not declare that its scalars may be traced")

    # Searching.

    @property
    def is_broad(self) -> bool:
        """Whether more than one shape is tried; each is compiled for, and other types have those of the cells."""
        return self.level == "exhaustive" or (self.level == "standard" and self.dtype == "float32")

    @property
    def has_two_axes(self) -> bool:
        """Whether tokens of two axes are tried beside those of one: also where a target takes a few ranks alone, as the
        shapes that stand for others then have one token along an axis.
        """
        return self.is_broad or bool(self.target.limits.ranks)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Small shapes of logits."""
        return SHAPES if self.is_broad else QUICK

    @property
    def wide(self) -> tuple[tuple[int, ...], ...]:
        """Shapes with a longer row among them, for accuracy; only some dtypes, for time."""
        if self.level == "smoke":
            return QUICK
        return (*self.shapes, (1, 1000)) if self.dtype in ("float32", "bfloat16") else self.shapes

    def cases(
        self,
        options: Options = Options(),  # noqa: B008  frozen
        *,
        bare: bool = False,
        exactly: bool = False,
        **keywords: Any,
    ) -> st.SearchStrategy[Case]:
        """`_draw.cases` for this unit.

        Args:
          options: which arguments are drawn.
          bare: whether the others are left at their defaults. Otherwise, where scalars may be traced, they are passed
            with neutral values (weights 1, e = k = 0, L = 1), so that one compiled program serves most checks.
          exactly: whether shapes must be what they are; otherwise those that the target takes stand for them.
          **keywords: of `_draw.cases`.

        Returns:
          A strategy.
        """
        if self.function == DENSE and self.has("z_loss") and options.z_loss is False:
            options = replace(options, z_loss=0.0)  # an argument without a default
        traced = self.target.scalars_differentiable
        limits = self.target.limits
        wanted = tuple(keywords.setdefault("shapes", self.shapes))
        shapes = tuple(dict.fromkeys(map(limits.nearest, wanted)))
        if shapes != wanted:
            for shape in wanted if exactly else ():
                limits.require_shape(shape)
            keywords = {**keywords, "shapes": shapes}
        drawn = cases(self.function, self.dtype, options, traced=traced, **keywords)
        if limits.masks:
            drawn = drawn.map(_masked)
        return drawn if bare or not traced else drawn.map(self.completed)

    def completed(self, case: Case) -> Case:
        """The case with neutral values for the other arguments, where scalars may be traced."""
        if not self.target.scalars_differentiable:
            return case
        neutral = {
            "weights": np.ones(case.logits.shape[:-1], case.carried),
            "label_smoothing": 0.0,
            "z_loss": 0.0,
            "loss_normalizing_factor": 1.0,
        }
        missing = {name: value for name, value in neutral.items() if self.has(name) and name not in case.inputs}
        return case.with_inputs(**missing)

    def explore(self, strategy: st.SearchStrategy[Any], examine: Callable[[Any], None], share: float = 1.0) -> None:
        """Calls `examine` on many draws; a failing one is shrunk, and its error raised.

        A void draw (`refuse_void`) is thrown away and another one taken; where more than half are void, the
        exploration is. What is outside the target's limits is left out; where all is, the exploration is unsupported.
        """
        examples = max(2, round(EXAMPLES[self.level] * share))
        judged, reason = 0, ""
        outside: OutsideLimits | None = None

        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=(hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink),
        )
        @hypothesis.given(strategy)
        def explore(drawn: Any) -> None:
            nonlocal judged, reason, outside
            self._climb = 0.0
            self.calls.begin_draw()
            try:
                examine(drawn)
            except VoidCaseError as void:
                reason = str(void)
                hypothesis.reject()
            except OutsideLimits as unfit:
                outside = unfit
                return
            judged += 1
            hypothesis.target(self._climb, label="utilisation")

        with _own_constants_only():
            explore()
        self.calls.end_draws()
        if judged == 0 and outside is not None:
            raise outside
        if judged < examples / 2 and reason:
            raise VoidCaseError(f"only {judged} of {examples} draws could be judged: {reason}")

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
        of: "Comparison | None" = None,
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
        of: "Comparison | None" = None,
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


@dataclass(frozen=True)
class Comparison:
    """What an array is compared for.

    Attributes:
      subjects: that it tells of, as in `_charges`.
      grade: of the bound.
      loose: gives the bound of grade C, if it is known.
      clauses: for which it counts; None are all of the check's.
    """

    subjects: tuple[str, ...] = ()
    grade: Grade = "C"
    loose: Callable[[], Any] | None = None
    clauses: Sequence[str] | None = None


@contextlib.contextmanager
def _own_constants_only() -> Iterator[None]:
    """Keeps Hypothesis from mixing in numbers that it reads in the source of whatever modules are loaded.

    Otherwise equal seeds draw different cases in different processes. The hook is private: where it is missing there is
    nothing to turn off, and tests/conformance/test_workers.py tells if it was renamed.
    """
    try:
        from hypothesis.internal.conjecture import providers
        from hypothesis.internal.constants_ast import Constants

        saved = providers._get_local_constants  # noqa: SLF001
    except (ImportError, AttributeError):
        yield
        return
    providers._get_local_constants = Constants  # noqa: SLF001
    try:
        yield
    finally:
        providers._get_local_constants = saved  # noqa: SLF001


def expects(condition: bool, message: str, *subjects: str, case: Case | None = None) -> None:
    """Raises Violation of the subjects unless the condition holds."""
    if not condition:
        raise Violation(message, subjects, case=case)


def _masked(case: Case) -> Case:
    """Weights as a mask, which leaves out what the weights would."""
    weights = case.inputs.get("weights")
    return case if weights is None else case.with_inputs(weights=np.asarray(weights) != 0)


def _of_prediction(case: Case) -> Case:
    """The call without what its further results are independent of."""
    taken = ("logits", "targets", "logit_softcap")
    return replace(case, inputs={name: value for name, value in case.inputs.items() if name in taken})


def argument_dtype(case: Case, name: str) -> str:
    """The floating-point type of an argument, which its derivative has too (SHAPE-3)."""
    value = case.inputs.get(name)
    dtype = value.dtype.name if isinstance(value, np.ndarray) else case.carried
    return dtype if dtype in FORMATS else case.carried
