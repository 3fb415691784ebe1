"""Random cases: Hypothesis draws a few parameters and a seed, a counter-based generator fills the arrays.

Shapes are few, because a JAX target is compiled once per shape; the tiny ones are drawn element by element, where
shrinking helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.judging.case import DTYPES, Array, Case
from lossproof.spec import DENSE, WEIGHTED

SHAPES: tuple[tuple[int, ...], ...] = ((2, 3), (4, 16))
TINY: tuple[int, ...] = (2, 3)

# How the logits look: a spread of normal deviates; a target that leads; a common offset; few distinct values; far
# apart.
KINDS = ("normal", "confident", "offset", "ties", "wide")


@dataclass(frozen=True)
class Options:
    """Which arguments a draw fills in besides logits and targets.

    Attributes:
      smoothing: label_smoothing; a number fixes it.
      z_loss: the z-loss coefficient; a number fixes it.
      weights: token weights.
      factor: loss_normalizing_factor.
    """

    smoothing: bool | float = False
    z_loss: bool | float = False
    weights: bool = False
    factor: bool = False


def cases(
    function: str,
    dtype: str,
    options: Options = Options(),
    *,
    traced: bool = True,
    kinds: Sequence[str] = KINDS,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
    magnitudes: Sequence[float] = (3.0, 10.0, 20.0, 40.0, 80.0, 1e3, -1e4),
) -> st.SearchStrategy[Case]:
    """Cases of one function and dtype.

    Args:
      function: a key of `ARGUMENTS`.
      dtype: of the logits.
      options: which other arguments are drawn.
      traced: whether scalars are drawn from a continuum (and traced) or from a few values (and baked in).
      kinds: of logits, from `KINDS`.
      shapes: of logits.
      magnitudes: leads of "confident" targets, and offsets.

    Returns:
      A strategy; with all kinds and shapes, also of tiny cases drawn element by element.
    """
    spread = st.sampled_from([0.1, 1.0, 5.0, 20.0])
    filled = st.builds(
        _filled,
        st.just((function, dtype, options, traced)),
        st.sampled_from(list(shapes)),
        st.sampled_from(list(kinds)),
        spread,
        st.sampled_from(list(magnitudes)),
        st.integers(0, 2**32 - 1),
        _scalars(options, traced),
    )
    if not set(SHAPES) <= set(shapes) or kinds is not KINDS:
        return filled
    return st.one_of(filled, _tiny(function, dtype, options, traced))


def generator(seed: int) -> np.random.Generator:
    """Counter-based, so that equal seeds give equal arrays everywhere."""
    return np.random.Generator(np.random.Philox(seed))


def carried_float(number: float, dtype: str) -> float:
    """The number rounded to the type that arithmetic is carried in, so that passing it loses nothing."""
    return float(number) if dtype == "float64" else float(np.float32(number))


def make(function: str, dtype: str, logits: Any, targets: Any, **inputs: Any) -> Case:
    """A case from plain numbers, rounded to the dtype; dense targets keep the carried type."""
    array = np.asarray(logits, np.float64).astype(DTYPES[dtype])
    carried = np.float64 if dtype == "float64" else np.float32
    typed = np.asarray(targets, carried) if function == DENSE else np.asarray(targets, np.int32)
    if "weights" in inputs and inputs["weights"] is not None:
        inputs["weights"] = np.asarray(inputs["weights"], carried)
    return Case(function, {"logits": array, "targets": typed, **inputs})


def _scalars(options: Options, traced: bool) -> st.SearchStrategy[dict[str, float]]:
    ranges: dict[str, tuple[bool | float, st.SearchStrategy[float]]] = {
        "label_smoothing": (
            options.smoothing,
            st.one_of(st.sampled_from([0.1, 0.5]), st.floats(2**-10, 1 - 2**-10, width=32)) if traced else st.just(0.1),
        ),
        "z_loss": (
            options.z_loss,
            st.one_of(st.sampled_from([1e-4, 0.1]), st.floats(2**-20, 1.0, width=32)) if traced else st.just(1e-4),
        ),
        "loss_normalizing_factor": (options.factor, st.floats(0.125, 1024.0, width=32) if traced else st.just(37.0)),
    }
    drawn = {
        name: st.just(float(wanted)) if not isinstance(wanted, bool) else strategy
        for name, (wanted, strategy) in ranges.items()
        if wanted is not False
    }
    return st.fixed_dictionaries(drawn)


def _filled(
    fixed: tuple[str, str, Options, bool],
    shape: tuple[int, ...],
    kind: str,
    spread: float,
    magnitude: float,
    seed: int,
    scalars: dict[str, float],
) -> Case:
    function, dtype, options, traced = fixed
    rng = generator(seed)
    tokens, classes = shape[:-1], shape[-1]
    targets = rng.integers(0, classes, tokens)
    logits = _logits(rng, kind, shape, targets, spread, magnitude)
    inputs: dict[str, Any] = {name: carried_float(value, dtype) for name, value in scalars.items()}
    if options.weights:
        weights = rng.uniform(0.125, 2.0, tokens) * (rng.uniform(size=tokens) > 0.2)
        inputs["weights"] = np.where(rng.uniform(size=tokens) > 0.9, -weights, weights)
    chosen = _dense(rng, targets, classes) if function == DENSE else targets
    case = make(function, dtype, logits, chosen, **inputs)
    return Case(case.function, case.inputs, traced)


def _logits(
    rng: np.random.Generator, kind: str, shape: tuple[int, ...], targets: Array, spread: float, magnitude: float
) -> Array:
    normal: Array = rng.normal(size=shape)
    if kind == "confident":
        one_hot = np.arange(shape[-1]) == targets[..., None]
        return normal * 0.5 + one_hot * abs(magnitude)
    if kind == "offset":
        return normal * spread + magnitude
    if kind == "ties":
        return np.round(normal * 2)
    if kind == "wide":
        return rng.uniform(-100.0, 100.0, shape)
    return normal * spread


def _dense(rng: np.random.Generator, targets: Array, classes: int) -> Array:
    """Any real weights: one-hot, a distribution, or of any sum and sign, with zeros."""
    one_hot = (np.arange(classes) == targets[..., None]).astype(np.float64)
    choice = rng.integers(3)
    if choice == 0:
        return one_hot
    soft = rng.uniform(size=one_hot.shape) * (rng.uniform(size=one_hot.shape) > 0.3)
    if choice == 1:
        return 0.8 * one_hot + 0.2 * soft / np.maximum(soft.sum(-1, keepdims=True), 1e-3)
    return soft * 2 - 0.5 * (rng.uniform(size=one_hot.shape) > 0.5) * (soft > 0)


def _tiny(function: str, dtype: str, options: Options, traced: bool) -> st.SearchStrategy[Case]:
    number = st.floats(-60.0, 60.0, width=16, allow_subnormal=False)
    tokens, classes = TINY

    def build(elements: list[float], targets: list[int], weights: list[float], scalars: dict[str, float]) -> Case:
        logits = np.array(elements).reshape(TINY)
        inputs: dict[str, Any] = {name: carried_float(value, dtype) for name, value in scalars.items()}
        if options.weights:
            inputs["weights"] = weights
        chosen: Any = np.eye(classes)[targets] if function == DENSE else targets
        case = make(function, dtype, logits, chosen, **inputs)
        return Case(case.function, case.inputs, traced)

    return st.builds(
        build,
        st.lists(number, min_size=tokens * classes, max_size=tokens * classes),
        st.lists(st.integers(0, classes - 1), min_size=tokens, max_size=tokens),
        st.lists(st.sampled_from([0.0, 0.5, 1.0, -2.0]), min_size=tokens, max_size=tokens),
        _scalars(options, traced),
    )


def unit_cotangents(case: Case, name: str = "loss") -> dict[str, Any]:
    """1 for one output of every token."""
    shape = () if case.function == WEIGHTED else case.logits.shape[:-1]
    return {name: np.ones(shape)}


def random_cotangents(case: Case, outputs: Sequence[str], seed: int) -> dict[str, Any]:
    """Exact small multiples of 1/8, of either sign, for each output."""
    rng = generator(seed)
    shape = () if case.function == WEIGHTED else case.logits.shape[:-1]
    return {name: rng.integers(-16, 17, shape) / 8.0 for name in outputs}
