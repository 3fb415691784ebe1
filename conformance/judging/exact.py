"""What the reference says about a case, as arrays of float pairs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossproof import reference
from lossproof.conformance.judging.case import Array, Case, exact_inputs
from lossproof.reference import Enclosure, EnclosureArray
from lossproof.spec import DENSE, OUTPUTS, Convention


@dataclass(frozen=True)
class Exact:
    """Numbers known to about 107 bits: `high` + `low`, two float64 arrays; nan and infinities are in `high`."""

    high: Array
    low: Array

    @property
    def magnitude(self) -> Array:
        """|high|"""
        return np.abs(self.high)


def exact_values(case: Case, convention: Convention) -> dict[str, Exact]:
    """The outputs of the call."""
    function: Callable[..., Any] = getattr(reference, case.function)
    results = function(**exact_inputs(case), **_keywords(case, convention))
    found = {name: as_pairs(getattr(results, name)) for name in OUTPUTS[case.function]}
    if case.also:
        predicted = reference.prediction(**_of_prediction(case, convention))
        found |= {name: as_pairs(getattr(predicted, name)) for name in case.also}
    return found


def exact_gradients(case: Case, cotangents: Mapping[str, Any], convention: Convention) -> dict[str, Exact]:
    """The derivative of sum(cotangents * outputs) by each argument."""
    function: Callable[..., Any] = getattr(reference, f"{case.function}_gradients")
    results = function(**exact_inputs(case), cotangents=cotangents, **_keywords(case, convention))
    found = _arrays(results)
    if case.also:
        further = reference.prediction_gradients(**_of_prediction(case, convention), cotangents=cotangents)
        found |= {name: _sum(found[name], gradient) for name, gradient in _arrays(further).items()}
    return found


def exact_hvp(case: Case, vector: Array, convention: Convention) -> Exact:
    """The Hessian of the batch's loss by the logits, times `vector`."""
    return as_pairs(
        reference.weighted_hessian_vector_product(**exact_inputs(case), vector=vector, **_keywords(case, convention))
    )


def as_pairs(answer: Enclosure | EnclosureArray) -> Exact:
    """Converts an answer of the reference."""
    shape = answer.shape if isinstance(answer, EnclosureArray) else ()
    elements: Sequence[Enclosure] = answer.values if isinstance(answer, EnclosureArray) else (answer,)
    # Entries that are alike are one object.
    keys = list(map(id, elements))
    distinct = dict(zip(keys, elements, strict=True))
    number = dict(zip(distinct, range(len(distinct)), strict=True))
    kinds = np.fromiter(map(number.__getitem__, keys), np.intp, len(keys)).reshape(shape)
    high, low = np.array([element.float_pair() for element in distinct.values()], np.float64).reshape(-1, 2).T
    return Exact(high[kinds], low[kinds])


def dot(gradient: Exact, vector: Array) -> float:
    """The sum of gradient * vector, 0 * inf = 0, to about one float64 rounding per product."""
    wide = np.asarray(vector, np.float64)
    products = np.ravel(np.where(wide == 0, 0, gradient.high) * wide)
    corrections = np.ravel(np.where(wide == 0, 0, gradient.low) * wide)
    if not np.all(np.isfinite(products)):
        return float(np.sum(products))
    return math.fsum([*products.tolist(), *corrections.tolist()])


def _keywords(case: Case, convention: Convention) -> dict[str, Any]:
    return {} if case.function == DENSE else {"convention": case.convention(convention)}


def _of_prediction(case: Case, convention: Convention) -> dict[str, Any]:
    taken = ("logits", "targets", "logit_softcap")
    inputs = {name: value for name, value in exact_inputs(case).items() if name in taken}
    return inputs | {"ignore_index": convention.ignore_index}


def _arrays(gradients: Any) -> dict[str, Exact]:
    return {name: as_pairs(value) for name, value in gradients._asdict().items() if value is not None}


def _sum(a: Exact, b: Exact) -> Exact:
    with np.errstate(invalid="ignore"):
        high = a.high + b.high
        rounded_off = high - a.high
        low = (a.high - (high - rounded_off)) + (b.high - rounded_off) + (a.low + b.low)
    return Exact(high, np.where(np.isfinite(high), low, 0.0))
