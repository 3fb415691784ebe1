"""How accurate a target is: its grades, and how its error depends on confidence, common offset and vocabulary.

A measurement and no verdict: nothing here passes or fails, and the same tokens are shown to every target.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.judging.draw import make, unit_cotangents
from lossproof.conformance.judging.exact import Exact, exact_gradients, exact_values
from lossproof.conformance.judging.judge import Violation, utilisation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.survey._cases import Batch, batches
from lossproof.conformance.targets import Unsupported
from lossproof.reference import oracle
from lossproof.reference.bounds import (
    Grade,
    before_final_rounding,
    smallest_normal,
    unit_in_last_place,
    unit_roundoff,
    with_final_rounding,
)
from lossproof.spec import DENSE, FORMATS, WEIGHTED, Convention

Quantity = Literal["values", "gradients"]
GRADES: tuple[Grade, ...] = ("A", "B", "C")


@dataclass(frozen=True)
class Survey:
    """What was found for one function, dtype and quantity.

    Attributes:
      grade: the best grade, the utilisation under each, the number of tokens, the effective unit roundoff.
      rows: the largest error and utilisation of grade A, by what varied.
    """

    grade: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data; what is not finite is None."""
        return {"grade": dict(self.grade), "rows": [dict(row) for row in self.rows]}


@dataclass(frozen=True)
class Measured:
    """Numbers a token, each the largest over its entries; inf for a wrong special state."""

    batch: Batch
    ulp: Array
    shares: Mapping[Grade, Array]
    roundoff: Array


def survey(run: Run, quantity: Quantity) -> Survey:
    """Measures the target's loss, or its derivative by the logits, without smoothing and z-loss.

    Raises:
      Unsupported: the target has no such thing.
      Violation: it raised, or returned another shape.
    """
    run.require(outputs=["loss"])
    measured = []
    every = list(batches(run.dtype, run.level))
    for batch in [each for each in every if run.fits(each.tokens)] or every:
        measured.append(_values(run, batch) if quantity == "values" else _gradients(run, batch))
        run.tally.cases += len(batch.leads)
    named = {"function": run.function, "dtype": run.dtype, "quantity": quantity}
    return Survey(named | _grade(measured), tuple(named | row for row in _rows(measured)))


# Asking the target.


def _values(run: Run, batch: Batch) -> Measured:
    # A total of many tokens would hide each of them: one at a time.
    apart = run.function == WEIGHTED
    cases = _tokens_apart(run, batch) if apart else [_as_called(run, batch.tokens)]
    losses = [_floats("loss", run.values(case)["loss"], () if apart else batch.leads.shape) for case in cases]
    bounds = {grade: np.ravel([run.bounds(case, grade).values()["loss"] for case in cases]) for grade in GRADES}
    exact = _exact_losses(batch, run.convention)
    return _measure(batch, np.stack(losses).reshape(-1), exact, bounds, rounded_to=None)


def _gradients(run: Run, batch: Batch) -> Measured:
    case = _as_called(run, batch.tokens)
    # The tokens' own gradients are measured: of a mean, so many times its gradient.
    mean = len(batch.leads) if run.convention.reduction != "sum" else 1
    cotangents = {name: mean * value for name, value in unit_cotangents(case).items()}
    _, gradients = run.differentiate(case, cotangents)
    if "logits" not in gradients:
        raise Unsupported(f"{run.target.name} has no derivative by logits")
    actual = _floats("the derivative by logits", gradients["logits"], case.logits.shape)
    bounds = {grade: run.bounds(case, grade).gradients(cotangents)["logits"] for grade in GRADES}
    return _measure(batch, actual, _exact_gradients(batch, run.convention), bounds, rounded_to=run.dtype)


def _floats(name: str, actual: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(actual)
    if array.shape != shape or array.dtype.name not in FORMATS:
        raise Violation(f"{name} must be floats of the shape {shape}, got {array.dtype.name} {array.shape}")
    return array


def _as_called(run: Run, tokens: Case) -> Case:
    """The same tokens as arguments of the function surveyed."""
    if run.function != DENSE:
        return dataclasses.replace(tokens, function=run.function)
    one_hot = np.arange(tokens.logits.shape[-1]) == tokens.inputs["targets"][..., None]
    extra = {"z_loss": 0.0} if run.has("z_loss") else {}  # an argument without a default
    return make(DENSE, tokens.dtype, tokens.logits, one_hot, **extra)


def _tokens_apart(run: Run, batch: Batch) -> list[Case]:
    inputs = batch.tokens.inputs
    parts = [{name: value[i : i + 1] for name, value in inputs.items()} for i in range(len(batch.leads))]
    return [Case(run.function, part) for part in parts]


# The exact answers: by the fast oracle, for float64 by the reference.


def _exact_losses(batch: Batch, convention: Convention) -> Exact:
    tokens = batch.tokens
    if tokens.dtype == "float64":
        return exact_values(tokens, convention)["loss"]
    return _sharp(*oracle.token_cross_entropy(**tokens.inputs, convention=convention).loss)


def _exact_gradients(batch: Batch, convention: Convention) -> Exact:
    tokens = batch.tokens
    if tokens.dtype == "float64":
        return exact_gradients(tokens, unit_cotangents(tokens), convention)["logits"]
    blocks = oracle.logits_gradient_rows(**tokens.inputs, cotangents={"loss": 1}, convention=convention)
    words = zip(*(bracket for _, bracket in blocks), strict=True)
    return _sharp(*(np.concatenate(word) for word in words))


def _sharp(high: Array, low: Array, radius: Array) -> Exact:
    """The middle of a bracket, which must be as good as exact: even for a bound of one rounding of float64."""
    assert np.all(radius <= unit_roundoff("float64") * np.maximum(np.abs(high), smallest_normal("float32")))
    return Exact(high, low)


# Measuring.


def _measure(
    batch: Batch, actual: Array, exact: Exact, bounds: Mapping[Grade, Array], rounded_to: str | None
) -> Measured:
    """Args:
    rounded_to: the type that the result is rounded to once more, after what `bounds` are of.
    """
    carried, given = batch.tokens.carried, actual.dtype.name
    floats = actual.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where(np.isfinite(floats), np.abs((floats - exact.high) - exact.low), np.inf)
    # [ACC-7] what may be flushed is no error of many units.
    unit = np.maximum(unit_in_last_place(exact.magnitude, given), smallest_normal(carried))
    allowed, before = dict(bounds), error
    if rounded_to is not None:
        allowed = {grade: with_final_rounding(bound, exact.magnitude, rounded_to) for grade, bound in bounds.items()}
        before = before_final_rounding(error, exact.magnitude, rounded_to)
    with np.errstate(divide="ignore", invalid="ignore"):
        units = np.where(before == 0, 0.0, before / bounds["C"])
    return Measured(
        batch,
        _of_token(error / unit),
        {grade: _of_token(utilisation(actual, exact, bound)) for grade, bound in allowed.items()},
        unit_roundoff(carried) * _of_token(units),
    )


def _of_token(entries: Array) -> Array:
    """The largest of each token's entries."""
    return np.asarray(entries.reshape(len(entries), -1).max(axis=-1))


def _grade(measured: list[Measured]) -> dict[str, Any]:
    shares = {grade: max(float(each.shares[grade].max()) for each in measured) for grade in GRADES}
    met = [grade for grade in GRADES if shares[grade] <= 1]
    roundoff = max(float(each.roundoff.max()) for each in measured)
    return {
        "grade": met[0] if met else "none",
        "utilisation": {grade: _number(share) for grade, share in shares.items()},
        "cases": sum(len(each.batch.leads) for each in measured),
        "roundoff": None if met else _number(roundoff),
    }


def _rows(measured: list[Measured]) -> list[dict[str, Any]]:
    """The largest numbers for each value of what was varied, in ascending order."""
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for each in measured:
        classes = np.full(len(each.batch.leads), float(each.batch.classes))
        for by, values in (("confidence", each.batch.leads), ("offset", each.batch.offsets), ("classes", classes)):
            for at, ulp, share in zip(values.tolist(), each.ulp.tolist(), each.shares["A"].tolist(), strict=True):
                if not np.isnan(at):
                    found.setdefault((by, at), []).append((ulp, share))
    return [
        {
            "by": by,
            "at": at,
            "ulp": _number(max(pair[0] for pair in pairs)),
            "utilisation": _number(max(pair[1] for pair in pairs)),
        }
        for (by, at), pairs in sorted(found.items())
    ]


def _number(number: float) -> float | None:
    return number if np.isfinite(number) else None
