"""Which convention a target keeps to, whatever it declares."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.draw import make
from lossproof.conformance.judging.exact import exact_values
from lossproof.conformance.judging.judge import utilisation
from lossproof.conformance.judging.mean import mean_bounds
from lossproof.conformance.targets._convention import convention_words
from lossproof.conformance.targets._target import Arrays, Target
from lossproof.reference.bounds import JAX_CPU
from lossproof.spec import TOKEN, WEIGHTED, Convention

# V = 4 and smoothing far from 0 and 1: every two conventions are more apart here than rounding could bring them.
_LOGITS = [[1.0, 2.0, 3.0, 0.5], [-1.0, 0.25, 0.0, 2.0]]
_TARGETS = [0, 3]
_SMOOTHING = (0.125, 0.5)
_Z_LOSS = 0.25


def hint(target: Target) -> str:
    """One line for a target that keeps to another convention than it declares; "" if it does not, or nothing fits."""
    functions = [function for function in (TOKEN, WEIGHTED) if function in target.offers]
    fitting = [found for function in functions if (found := fitting_conventions(target, function))]
    common = [words for words in fitting[0] if all(words in others for others in fitting[1:])] if fitting else []
    declared = convention_words(target.convention)
    if not common or declared in common:
        return ""
    return (
        f"declared {', '.join(declared.split())}; behaves like {', '.join(common[0].split())}: "
        f"give --convention '{common[0]}'"
    )


def fitting_conventions(target: Target, function: str) -> list[str]:
    """The conventions, in words, by which a function's losses of a few tokens are right to grade C; [] if it has
    nothing to tell them by, or fails.
    """
    cases = list(_cases(target, function))
    try:
        values = [target.values(case) for case in cases]
    except Exception:  # noqa: BLE001  a target may raise anything; the checks say so
        return []
    if not cases:
        return []
    return [
        convention_words(convention)
        for convention in _candidates(target, function)
        if all(_fits(case, actual, convention) for case, actual in zip(cases, values, strict=True))
    ]


def _cases(target: Target, function: str) -> Iterator[Case]:
    offer = target.offer(function)
    dtype = "float32" if "float32" in target.dtypes else target.dtypes[0]
    z_loss = {"z_loss": _Z_LOSS} if "z_loss" in offer.arguments else {}
    smoothings = [{"label_smoothing": e} for e in _SMOOTHING] if "label_smoothing" in offer.arguments else [{}]
    for smoothing in smoothings:
        if smoothing or z_loss:
            case = make(function, dtype, _LOGITS, _TARGETS, **smoothing, **z_loss)
            if target.limits.shape_fits(case.logits.shape):
                yield case


def _candidates(target: Target, function: str) -> Iterator[Convention]:
    """Every convention that the function's arguments can tell apart from the declared one, which comes first."""
    arguments, declared = target.offer(function).arguments, target.convention
    smoothed, z_loss = "label_smoothing" in arguments, "z_loss" in arguments
    yield declared
    for smoothing, entropy, add in itertools.product(
        ("others", "uniform") if smoothed else (declared.smoothing,),
        (True, False) if smoothed else (declared.subtract_entropy,),
        (True, False) if z_loss else (declared.add_z_loss,),
    ):
        convention = replace(declared, smoothing=smoothing, subtract_entropy=entropy, add_z_loss=add)
        if convention != declared:
            yield convention


def _fits(case: Case, actual: Arrays, convention: Convention) -> bool:
    exact, bound = (
        exact_values(case, convention)["loss"],
        mean_bounds(case, convention, "C", JAX_CPU, case).values()["loss"],
    )
    loss = actual["loss"]
    return np.shape(loss) == exact.high.shape and bool(np.all(utilisation(loss, exact, bound) <= 1))
