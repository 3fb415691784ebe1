"""The verdict on a cell of the model: every array that its calls give, against the exact one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossproof.conformance.coverage.cases import Calls, calls, exact_case, total_of
from lossproof.conformance.coverage.model import Cell
from lossproof.conformance.coverage.way import Answer, Directions
from lossproof.conformance.judging import charges
from lossproof.conformance.judging.case import Array, Case, argument_dtype
from lossproof.conformance.judging.exact import Exact, dot, exact_gradients, exact_hvp, exact_values
from lossproof.conformance.judging.judge import Judgement, Violation, VoidCaseError, judge
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.pairs.speaking import UNTOLD, unspoken_of
from lossproof.conformance.targets import Unsupported
from lossproof.reference import UndecidedError
from lossproof.reference.bounds import Grade, with_final_rounding
from lossproof.spec import WEIGHTED

SECOND = ("forward over reverse", "reverse over forward", "mixed")
FEW_TOKENS = 4  # whose derivatives along tangents are judged, one by one


@dataclass(frozen=True)
class Deviation:
    """Something that is not as it should be.

    Attributes:
      subject: what deviates, in the words of `charges`.
      message: what happened.
      case: the call.
      is_small: whether only an accurate algorithm would not deviate.
    """

    subject: str
    message: str
    case: Case
    is_small: bool = False


@dataclass(frozen=True)
class Seen:
    """What came of a cell.

    Attributes:
      compared: how many arrays were compared, by subject.
      deviations: the arrays that are wrong.
    """

    compared: Mapping[str, int]
    deviations: tuple[Deviation, ...]


def look(run: Run, cell: Cell, seed: int) -> Seen:
    """Makes the calls of a cell and judges all that they give.

    Raises:
      Unsupported: the target cannot be called so, or the exact answer cannot be had.
    """
    function_outputs = run.target.offer(run.function).outputs
    asked = calls(cell, seed, function_outputs)
    try:
        return Looking(run, cell, asked).seen()
    except UndecidedError as error:
        raise Unsupported(f"the reference cannot decide: {error}") from error
    except (OverflowError, ValueError) as error:
        if not _is_of_reference(error):
            raise
        raise Unsupported("the exact answer has too many digits") from error


def _is_of_reference(error: Exception) -> bool:
    """Whether exact sums of numbers of very different sizes have outgrown the memory."""
    return "does not fit in memory" in str(error) or "too many digits" in str(error)


class Looking:
    """One look at a cell.

    Args:
      run: the unit.
      cell: where.
      asked: its calls.
    """

    def __init__(self, run: Run, cell: Cell, asked: Calls) -> None:
        self.run: Run = run
        self.cell: Cell = cell
        self.asked: Calls = asked
        self.compared: dict[str, int] = {}
        self.deviations: list[Deviation] = []

    def seen(self) -> Seen:
        """Makes the calls and judges them."""
        cases, along = self.asked.cases, self.asked.directions
        again = not self.asked.way.is_mapped
        try:
            answers = self.run.ask(
                self.run.function,
                lambda: self.run.target.perform(self.asked.way, cases + cases[:1] * again, along + along[:1] * again),
            )
        except Violation as violation:
            if self.cell["given"] in ("list", "big-endian") and " raised " in str(violation):
                raise Unsupported(
                    f"{self.run.target.name} takes no arrays given as {self.cell['given']}"
                ) from violation
            self.deviations.append(Deviation(charges.LOSS, str(violation), cases[0]))
            return Seen(self.compared, tuple(self.deviations))
        for case, directions, answer in zip(cases, along, answers, strict=False):
            self._judge(case, directions, answer)
        if again:
            self._same_bits(cases[0], answers[0], answers[-1])
        return Seen(self.compared, tuple(self.deviations))

    def _judge(self, case: Case, directions: Directions, answer: Answer) -> None:
        outputs = answer.outputs
        if self.cell["transform"] == "split":
            outputs = self._of_all_devices(case, outputs)
        exact = exact_case(case)
        is_mean = self.run.convention.reduction == "mean"
        try:
            self.run.refuse_no_mean(exact, empty=False)
        except VoidCaseError:
            return
        is_second = self.asked.way.derivative in SECOND
        right = exact_values(exact, self.run.convention) if is_mean or not is_second else {}
        if outputs:
            self._values(case, exact, outputs, right)
        if is_mean and np.any(np.isnan(right["loss"].high)):
            return  # undefined as a whole, and so are all of its derivatives
        if self.asked.way.derivative in ("vjp", "vjp twice"):
            for cotangents, gradients in zip(directions.cotangents, answer.derivatives, strict=True):
                self._gradients(case, exact, cotangents, gradients, right["loss"])
        elif self.asked.way.derivative == "jvp":
            self._along_tangents(case, exact, directions, answer.derivatives[0])
        elif self.asked.way.derivative == "mixed":
            if not is_mean:  # GRAD-11 speaks of sums
                self._mixed(case, exact, directions, answer.derivatives[0]["product"])
        elif answer.derivatives:
            self._product(case, exact, directions, answer.derivatives[0]["product"])

    def _of_all_devices(self, case: Case, outputs: Mapping[str, Array]) -> dict[str, Array]:
        for name, values in outputs.items():
            if not all(np.array_equal(value, values[0], equal_nan=values.dtype.kind == "f") for value in values):
                self._deviates(name, f"{name} must be the same on all devices, got {values.tolist()}", case)
        return {name: values[0] for name, values in outputs.items()}

    def _values(self, case: Case, exact: Case, outputs: Mapping[str, Array], right: Mapping[str, Exact]) -> None:
        run = self.run
        for name, value in outputs.items():
            wanted = "int32" if name == "predicted_class" else case.carried
            if value.dtype.name != wanted:
                self._deviates(charges.VALUE_TYPES, f"{name} must be {wanted}, got {value.dtype.name}", case)
            self._count(charges.VALUE_TYPES)
        # ACC-7: which of some subnormal logits is the largest, a platform that flushes them cannot tell.
        untold: tuple[str, ...] = ("predicted_class",) if self.cell["special"] == "tiny" else ()
        # STATE-4: terms of both signs that may be beyond the largest float.
        sizes = np.abs(case.logits.astype(np.float64))
        is_huge = bool(np.any(np.isfinite(sizes) & (sizes > np.finfo(case.carried).max / 2**24)))
        if is_huge and self.cell["place"] == "negative":
            untold = ("loss", "target_log_probability")
        told = {name: value for name, value in outputs.items() if name not in untold}

        def bounds(grade: Grade) -> dict[str, Array]:
            further = run.of_further(exact, grade).values() if case.also else {}
            if "entropy" in case.also and case.softcap is not None:  # grade A is not proved behind a soft-cap
                further["entropy"] = run.of_further(exact, "C").values()["entropy"]
            return run.bounds(exact, grade).values() | further

        self._compare("values", case, told, right, bounds)

    def _gradients(
        self, case: Case, exact: Case, cotangents: Mapping[str, Array], gradients: Mapping[str, Array], loss: Exact
    ) -> None:
        run = self.run
        right = exact_gradients(exact, cotangents, run.convention)
        for name, value in gradients.items():
            wanted = self._type_of(case, name)
            if value.dtype.name != wanted:
                message = f"the derivative by {name} must be {wanted}, got {value.dtype.name}"
                self._deviates(charges.DERIVATIVE_TYPES, message, case)
            self._count(charges.DERIVATIVE_TYPES)
        silent = unspoken_of(loss.high, cotangents, right)
        spoken = {name: value for name, value in gradients.items() if name not in silent}

        def bounds(grade: Grade) -> dict[str, Array]:
            found = run.bounds(exact, grade).gradients(cotangents)
            further = run.of_further(exact, grade).gradients(cotangents) if case.also else {}
            found |= {name: found[name] + bound for name, bound in further.items()}
            return {
                charges.by(name): with_final_rounding(found[name], right[name].magnitude, self._type_of(case, name))
                for name in spoken
            }

        by = {charges.by(name): value for name, value in spoken.items()}
        self._compare("gradients", case, by, {charges.by(name): right[name] for name in spoken}, bounds)
        self._count(charges.cotangent_of(next(iter(cotangents))) if len(cotangents) == 1 else charges.TOGETHER)

    def _type_of(self, case: Case, name: str) -> str:
        """The type of a derivative: that of its argument, unless the framework has no 64-bit numbers just now."""
        dtype = argument_dtype(case, name)
        wide = case.dtype == "float64" or self.cell["transform"] == "x64" or self.run.target.has_wide_types
        return "float32" if dtype == "float64" and not wide else dtype

    def _along_tangents(self, case: Case, exact: Case, along: Directions, moved: Mapping[str, Array]) -> None:
        run = self.run
        for index, one, tangents in _one_by_one(exact, along.tangents):
            if set(tangents) <= UNTOLD and np.any(np.isnan(exact_values(one, run.convention)["loss"].high)):
                continue
            for output, value in moved.items():
                shape = () if exact.function == WEIGHTED else one.logits.shape[:-1]
                cotangents = {output: np.ones(shape)}
                right = exact_gradients(one, cotangents, run.convention)
                # The sum of the weights is no function of the logits, whatever these are.
                moving = {n: t for n, t in tangents.items() if output != "weight_sum" or n == "weights"}
                known = float(np.sum([dot(right[name], tangent) for name, tangent in moving.items()]))
                bounds = run.bounds(one, "C")
                allowed = bounds.gradients(cotangents)
                if one.also:
                    further = run.of_further(one, "C").gradients(cotangents)
                    allowed = allowed | {name: allowed[name] + bound for name, bound in further.items()}
                sizes = {name: gradient.magnitude for name, gradient in right.items()}
                bound = bounds.jvp(allowed, sizes, moving)
                actual, what = value if index is None else value[index], f"the derivative of {output} along tangents"
                self._compare_loosely(charges.JVP, case, np.asarray(actual), _alone(known), bound, what)

    def _product(self, case: Case, exact: Case, along: Directions, product: Array) -> None:
        run, order = self.run, self.asked.way.derivative
        assert along.vector is not None
        total = total_of(exact)
        right = exact_hvp(total, along.vector, run.convention)
        bound = with_final_rounding(run.bounds(total, "C").hvp_row(along.vector), right.magnitude, case.dtype)
        self._compare_loosely(order, case, product, right, bound)

    def _mixed(self, case: Case, exact: Case, along: Directions, product: Array) -> None:
        run = self.run
        assert along.vector is not None
        ones = exact.with_inputs(weights=np.ones(exact.logits.shape[:-1], exact.carried))
        cotangents = {"loss": np.ones(())}
        gradients = exact_gradients(ones, cotangents, run.convention)["logits"]
        bounds = run.bounds(ones, "C")
        rows = bounds.gradients(cotangents)["logits"]
        known, allowed = np.zeros(exact.logits.shape[:-1]), np.zeros(exact.logits.shape[:-1])
        losses = exact_values(Case("token_cross_entropy", _of_token(ones.inputs)), run.convention)["loss"].high
        for index in np.ndindex(exact.logits.shape[:-1]):
            row = Exact(gradients.high[index], gradients.low[index])
            if np.isfinite(losses[index]):
                known[index] = dot(row, along.vector[index])
                allowed[index] = bounds.jvp({"row": rows[index]}, {"row": row.magnitude}, {"row": along.vector[index]})
            else:
                known[index] = np.nan  # GRAD-11 speaks of finite losses alone
        dtype = self._type_of(case, "weights")
        spoken = np.isfinite(known)
        chosen = Exact(known[spoken], np.zeros(int(spoken.sum())))
        bound = with_final_rounding(allowed[spoken], np.abs(chosen.high), dtype)
        self._compare_loosely(charges.MIXED, case, np.asarray(product)[spoken], chosen, bound)

    def _compare(
        self,
        quantity: str,
        case: Case,
        arrays: Mapping[str, Array],
        right: Mapping[str, Exact],
        bounds: Callable[[Grade], Mapping[str, Array]],
    ) -> None:
        """Judges arrays by the bounds of grade A; what is beyond them, by those of grade C, which only tell whether it
        is wrong or inaccurate.
        """
        allowed = bounds("A")
        wrong = {}
        for subject, actual in arrays.items():
            judgement = self._judged(subject, case, actual, right[subject], allowed[subject])
            if judgement is not None and judgement.utilisation > 1:
                wrong[subject] = judgement
            elif judgement is not None:
                self.run.tally.add(quantity, judgement.utilisation, f"{subject}: {case.describe()}", case)
        allowed = bounds("C") if wrong else {}
        for subject, accurate in wrong.items():
            judgement = self._judged(subject, case, arrays[subject], right[subject], allowed[subject])
            is_small = judgement is not None and judgement.utilisation <= 1
            self._deviates(subject, accurate.message, case, is_small=is_small)

    def _compare_loosely(
        self, subject: str, case: Case, actual: Array, right: Exact, bound: Any, what: str = ""
    ) -> None:
        """Judges an array that has one bound, that of grade C."""
        judgement = self._judged(subject, case, actual, right, bound, what)
        if judgement is not None and judgement.utilisation > 1:
            self._deviates(subject, judgement.message, case)

    def _judged(
        self, subject: str, case: Case, actual: Array, right: Exact, bound: Any, what: str = ""
    ) -> Judgement | None:
        """The judgement on an array, which counts if it is right; None if its shape is wrong, which is a deviation."""
        full = np.broadcast_to(np.asarray(bound, np.float64), right.high.shape)
        try:
            judgement = judge(what or subject, actual, right, full)
        except Violation as violation:
            self._deviates(subject, str(violation), case)
            return None
        if judgement.utilisation <= 1:
            self._count(subject)
        return judgement

    def _same_bits(self, case: Case, first: Answer, again: Answer) -> None:
        for one, other in zip((first.outputs, *first.derivatives), (again.outputs, *again.derivatives), strict=True):
            for name, value in one.items():
                self._count(charges.BITS)
                if value.tobytes() != other[name].tobytes():
                    message = f"{name} differs between the first call and the same call after another one"
                    self._deviates(charges.BITS, message, case)

    def _count(self, subject: str) -> None:
        self.compared[subject] = self.compared.get(subject, 0) + 1

    def _deviates(self, subject: str, message: str, case: Case, *, is_small: bool = False) -> None:
        self.deviations.append(Deviation(subject, message, case, is_small))


def _alone(number: float) -> Exact:
    return Exact(np.asarray(number), np.asarray(0.0))


def _of_token(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name not in ("weights", "loss_normalizing_factor")}


def _one_by_one(case: Case, tangents: Mapping[str, Array]) -> Iterator[tuple[Any, Case, Mapping[str, Array]]]:
    """Tokens of their own, each with its place and tangents; a total is one."""
    if case.function == WEIGHTED:
        yield None, case, tangents
        return
    places = list(np.ndindex(case.logits.shape[:-1]))
    few = FEW_TOKENS if case.logits.shape[-1] < 4000 else 1
    for place in places if len(places) <= 2 * few else [*places[:few], *places[-few:]]:
        arrays = {name: value[place][None] for name, value in case.inputs.items() if isinstance(value, np.ndarray)}
        own = {name: tangent[place][None] if name in arrays else tangent for name, tangent in tangents.items()}
        yield place, case.with_inputs(**arrays), own
