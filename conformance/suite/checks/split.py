"""SPLIT: classes over devices. A target without an axis_name supports none of it.

The case is the call with whole rows; its answer is what all devices together must give.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.judging.draw import Options, cases, generator, random_cotangents, unit_cotangents
from lossproof.conformance.suite.asking.run import Run, expects
from lossproof.conformance.suite.checks.invariances import compare
from lossproof.conformance.suite.checks.keywords import CAPS
from lossproof.conformance.suite.registry import HARD, check
from lossproof.conformance.targets import Arrays, Split, Unsupported
from lossproof.spec import DENSE, FURTHER, TOKEN, WEIGHTED

ONE, TWO = ("float32",), ("bfloat16", "float32")
SHAPE, SINGLES = ((4, 16),), ((4, 8),)  # the second: one class for each of 8 devices
CLASSES = ((4, 24),)  # for 8 devices or for 3
SEEDS = st.integers(0, 2**16)

# Each is one more program to compile: smoke makes do with the first, bfloat16 with the second; other types are the
# business of the model's cells, which have the first. The order of two axes, and numbers that are no power of 2, are
# SPLIT-5's alone.
SPLITS = (Split((4,)), Split((8,)))
EVERY = (Split((2, 4)), Split((3,)), Split((1,)))
TOKENS = Split((4,), tokens=2)


def _splits(run: Run, splits: Sequence[Split] = SPLITS) -> Sequence[Split]:
    run.require(outputs=["loss"], arguments=["axis_name"])
    if run.level == "smoke":
        return splits[:1]
    return splits if run.dtype == "float32" else splits[1:]


def _answer(run: Run, case: Case, split: Split, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
    """The outputs, which must be the same on all devices, and the gradients."""
    everywhere, gradients = run.split(case, cotangents, split)
    for name, values in everywhere.items():
        other = next((i for i, value in enumerate(values) if not np.array_equal(value, values[0], equal_nan=True)), 0)
        expects(
            other == 0,
            f"{name} must be the same on all devices, but is {values[0].tolist()} on the first and "
            f"{values[other].tolist()} on number {other} of {split.devices}; {case.describe()}",
            name,
        )
    return {name: values[0] for name, values in everywhere.items()}, gradients


def _judged(run: Run, split: Split, case: Case, arguments: Sequence[str] = ("logits",)) -> None:
    """Values and gradients of one program."""
    cotangents = unit_cotangents(case)
    values, gradients = _answer(run, case, split, cotangents)
    run.judge_values(case, values, None, "A")
    run.judge_gradients(case, gradients, arguments, cotangents, "A")


@check("split.values", "SPLIT-1", dtypes=ONE, is_quick=False)
def values(run: Run) -> None:
    """Every output, with everything in play, and of confident tokens."""
    for split in _splits(run):

        def examine(case: Case, split: Split = split) -> None:
            run.judge_values(case, _answer(run, case, split, unit_cotangents(case))[0], None, "A")

        run.explore(run.cases(run.everything, shapes=SHAPE), examine, 0.5)
        run.explore(run.cases(shapes=SHAPE, kinds=["confident"], magnitudes=(10.0, 40.0)), examine, 0.3)


@check("split.further_results", "SPLIT-1", functions=[TOKEN], dtypes=TWO)
def further(run: Run) -> None:
    """With every further result, the largest logit on two devices; with a soft-cap and smoothing over all V classes but
    for float32.
    """
    splits = _splits(run)
    run.require(arguments=["also", "label_smoothing", "z_loss"])
    keywords: dict[str, Any] = {"also": FURTHER}
    if run.dtype != "float32":
        others = {"logit_softcap": CAPS[run.dtype], "smoothing": "uniform"}
        keywords |= {name: value for name, value in others.items() if run.has(name)}

    def build(case: Case, seed: int) -> Case:
        logits, classes = case.logits.copy(), case.logits.shape[-1]
        columns = generator(seed).permutation(classes)[:2]
        logits[seed % 4, columns] = 2 * np.max(np.abs(logits[seed % 4]))
        return case.with_inputs(logits=logits, **keywords)

    drawn = run.cases(Options(smoothing=True, z_loss=True), shapes=SHAPE, kinds=["normal", "ties", "confident"])
    for split in splits:
        run.explore(st.builds(build, drawn, SEEDS), partial(_judged, run, split))


@check("split.dense_targets", "SPLIT-1", "SPLIT-3", functions=HARD, dtypes=ONE, is_quick=False)
def dense_targets(run: Run) -> None:
    """Dense targets by keyword, each device with its own."""
    splits = _splits(run)
    if not run.takes_dense_targets:
        raise Unsupported(f"{run.target.name}'s {run.function} takes no dense targets")
    traced = run.target.scalars_differentiable
    drawn = cases(DENSE, run.dtype, Options(z_loss=run.has("z_loss")), traced=traced, shapes=SHAPE)
    strategy = drawn.map(lambda case: Case(run.function, dict(case.inputs), case.traced))
    for split in splits:
        run.explore(strategy, partial(_judged, run, split, arguments=["logits", "targets"]), 0.5)


def _on_edges(case: Case, seed: int, split: Split) -> Case:
    """Targets that are the first and last class of devices, and classes of none."""
    rng, classes = generator(seed), case.logits.shape[-1]
    own = classes // split.devices
    edges = [*range(0, classes, own), *range(own - 1, classes, own)]
    outside = [-1, -own, -classes, classes, classes + 1, classes + own, 2 * classes, 2**31 - 1, -(2**31)]
    targets = np.where(rng.uniform(size=4) < 0.7, rng.choice(edges, 4), rng.choice(outside, 4))
    return case.with_inputs(targets=targets.astype(np.int32))


@check("split.targets", "SPLIT-2", functions=HARD, dtypes=ONE, is_quick=False)
def targets(run: Run) -> None:
    """The first and the last class of each device; numbers that are no class, or not one of a device's own."""
    for split in _splits(run):
        for options in (Options(), run.everything):
            drawn = run.cases(options, shapes=SHAPE, kinds=["normal", "confident"], magnitudes=(10.0,))
            strategy = st.builds(_on_edges, drawn, SEEDS, st.just(split))
            run.explore(strategy, partial(_judged, run, split), 0.5)


@check("split.derivatives", "SPLIT-3", dtypes=ONE, is_quick=False)
def derivatives(run: Run) -> None:
    """By every argument, for random cotangents; of each device's own call, and of the function of whole arrays."""
    run.require(outputs=["loss"], arguments=["axis_name"])
    scalars = ["label_smoothing", "z_loss", "loss_normalizing_factor"] if run.target.scalars_differentiable else []
    arguments = ["logits", *(["targets"] if run.function == DENSE else [])]
    arguments += [name for name in ("weights", *scalars) if run.has(name)]
    outputs = run.target.offer(run.function).outputs
    inside = _splits(run)
    for split in (*inside, Split(inside[0].sizes, is_inside=False)):

        def examine(drawn: tuple[Case, int], split: Split = split) -> None:
            case, seed = drawn
            cotangents = random_cotangents(case, outputs, seed)
            gradients = _answer(run, case, split, cotangents)[1]
            run.judge_gradients(case, gradients, arguments, cotangents, "A")

        run.explore(st.tuples(run.cases(run.everything, shapes=SHAPE), SEEDS), examine, 0.4)


@check("split.special_values", "SPLIT-4", dtypes=ONE, is_quick=False)
def special_values(run: Run) -> None:
    """Devices without a class that is not masked, the first one too; NaN and inf on one device; excluded tokens."""
    options = Options(z_loss=run.has("z_loss"), weights=run.has("weights"))
    for split in _splits(run):
        for change in (_masked, _undefined):
            drawn = run.cases(options, shapes=SHAPE, kinds=["normal", "ties"])
            strategy = st.builds(change, drawn, SEEDS, st.just(split))
            run.explore(strategy, partial(_judged, run, split), 0.5)


def _masked(case: Case, seed: int, split: Split) -> Case:
    """One device of -inf alone, or all but one; no mass is left there but a target's in every second draw."""
    rng, classes = generator(seed), case.logits.shape[-1]
    owner = np.arange(classes) // (classes // split.devices)
    device = int(rng.choice([0, 0, int(rng.integers(split.devices))]))
    hidden = (owner == device) if rng.uniform() < 0.7 or split.devices == 2 else (owner != device)
    logits = np.where(hidden, -np.inf, case.logits.astype(np.float64)).astype(case.logits.dtype)
    if case.function == DENSE:
        return case.with_inputs(logits=logits, targets=np.where(hidden, 0, case.inputs["targets"]))
    seen: Array = np.flatnonzero(~hidden)
    targets = case.inputs["targets"].copy()
    targets[seed % 2 :] = rng.choice(seen, len(targets) - seed % 2)
    return case.with_inputs(logits=logits, targets=targets)


def _undefined(case: Case, seed: int, _split: Split) -> Case:
    """A NaN or +inf, in a token that counts, has weight 0, or has a target that is no class."""
    logits, row = case.logits.copy(), seed % 4
    logits[row, generator(seed).integers(logits.shape[-1])] = (np.nan, np.inf)[seed // 4 % 2]
    changed = case.with_inputs(logits=logits)
    if seed % 3 == 0 and "weights" in case.inputs:
        weights = case.inputs["weights"].copy()
        weights[row] = 0
        return changed.with_inputs(weights=weights)
    if seed % 3 == 1 and case.function != DENSE:
        targets = case.inputs["targets"].copy()
        targets[row] = (-1, logits.shape[-1])[seed % 2]
        return changed.with_inputs(targets=targets)
    return changed


@check("split.devices", "SPLIT-5", dtypes=ONE, is_quick=False)
def devices(run: Run) -> None:
    """1, 3 and 8 devices along one axis or two, down to one class for each, against the call without; tokens, of which
    there is no total, over an axis of their own.
    """
    every = (*EVERY, Split((4, 2)) if run.function == WEIGHTED else TOKENS)
    splits = [(split, CLASSES) for split in _splits(run, every)] + [(split, SINGLES) for split in SPLITS[1:]]
    for split, shapes in splits if run.level != "smoke" else splits[:1]:

        def examine(case: Case, split: Split = split) -> None:
            answer = _answer(run, case, split, unit_cotangents(case))
            compare(run, [case], case, lambda arrays: arrays[0], grade="A", answer=answer)

        run.explore(run.cases(run.everything, shapes=shapes), examine, 0.2)
