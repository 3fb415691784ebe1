"""The losses at the shapes of production: the vocabularies of language models, against the fast oracle.

Level smoke has short rows instead, which are compiled for anyway, and exhaustive 512 tokens. Level standard has values
of bfloat16 logits and gradients by float32 logits: both come out in float32, where most can be told.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.judging.charges import BY_LOGITS
from lossproof.conformance.judging.draw import generator
from lossproof.conformance.judging.judge import Violation, VoidCaseError
from lossproof.conformance.judging.language import (
    Batch,
    as_exact,
    dense_batch,
    hard_batch,
    language_inputs,
    scalars,
)
from lossproof.conformance.suite.asking.run import Comparison, Run
from lossproof.conformance.suite.registry import HARD, check
from lossproof.conformance.targets import Arrays, NotApplicable, Unsupported
from lossproof.reference.bounds import Grade, with_final_rounding
from lossproof.spec import DENSE, OUTPUTS, TOKEN, WEIGHTED

TWO = ("bfloat16", "float32")

# Tokens and classes. The classes are those of Llama 3, T5, GPT-2 (a prime number) and Qwen 2.5.
LARGEST = {
    "smoke": ((4, 16),),
    "standard": ((8, 128256),),
    "exhaustive": ((512, 128256), (512, 32128), (512, 50257), (512, 151936)),
}
SHAPES = LARGEST | {"smoke": ((2, 257),), "standard": ((16, 32128), (8, 128256))}
# Of masks and padding: most tokens are confident or left out, whose bounds tell little, so there must be several.
MASKED = {level: shapes[0] for level, shapes in SHAPES.items()} | {"smoke": (16, 48)}
PADDING = 28  # classes of a vocabulary that are no words: T5's has 32100


def _require_telling(run: Run, dtype: str) -> None:
    """Raises NotApplicable for what level standard leaves out."""
    if run.level == "standard" and run.dtype != dtype:
        raise NotApplicable(f"level standard has this in {dtype}, exhaustive in {run.dtype} too")


def _cases(run: Run, shapes: Sequence[tuple[int, int]]) -> Iterator[Batch]:
    """Each shape with smoothing, z-loss, weights and a factor; the first one plain, too."""
    for number, (tokens, classes) in enumerate(shapes):
        for used in (False, True) if number == 0 else (True,):
            yield _batch(run, tokens, classes, 2 * number + used, used=used)


def _batch(run: Run, tokens: int, classes: int, number: int, *, used: bool, masked: int = 0) -> Batch:
    seed = 1000 * run.seed + number
    tokens, *others, classes = run.nearest((tokens, classes))
    if others:
        run.target.limits.require_shape((tokens, classes))
    inputs = language_inputs(seed, tokens, classes, run.dtype, masked=masked)
    names = run.target.offer(run.function).arguments
    weights = np.ones(tokens)
    if "weights" in names:
        weights = generator(seed).uniform(0.5, 1.5, tokens) if used else weights
        inputs["weights"] = weights.astype(np.float32)
    smoothed = used and not masked  # a -inf logit with mass would make the loss infinite
    given = scalars(run.dtype, names, used=used, factor=float(np.sum(weights)))
    if not smoothed and "label_smoothing" in given:
        given["label_smoothing"] = 0.0
    case = Case(WEIGHTED if run.function == WEIGHTED else TOKEN, {**inputs, **given})
    convention = run.convention
    return dense_batch(case, convention, smoothed=smoothed) if run.function == DENSE else hard_batch(case, convention)


def _judge_values(run: Run, batch: Batch, actual: Arrays, grade: Grade) -> None:
    """Every output; bounds of totals add up over the blocks of tokens."""
    allowed = [run.bounds(part, grade, batch.case).values() for part in batch.parts()]
    offered = run.target.offer(run.function).outputs
    exact = batch.exact_values()
    for name in OUTPUTS[run.function]:
        if name in offered:
            bounds = [bound[name] for bound in allowed]
            bound = np.sum(bounds) if run.function == WEIGHTED else np.concatenate(bounds)
            bracket = exact[name]
            of = Comparison((name,), grade)
            run.judge("values", batch.case, name, actual[name], as_exact(bracket), bound + bracket.radius, of)
    run.tally.cases += 1


def _judge_gradient(run: Run, batch: Batch, gradient: Array, grade: Grade) -> None:
    for rows, bracket in batch.exact_rows():
        part, exact = batch.part(rows), as_exact(bracket)
        bound = run.bounds(part, grade, batch.case).gradients({"loss": np.ones(())})["logits"]
        bound = with_final_rounding(bound, exact.magnitude, run.dtype) + bracket.radius
        name = f"the derivative by logits, tokens {rows.start} to {rows.stop - 1},"
        run.judge("gradients", part, name, gradient[rows], exact, bound, Comparison((BY_LOGITS,), grade))
    run.tally.cases += 1


def _gradient(run: Run, batch: Batch) -> tuple[Arrays, Array]:
    cotangent = np.ones(() if run.function == WEIGHTED else len(batch.case.logits))
    values, gradients = run.differentiate(batch.case, {"loss": cotangent})
    if "logits" not in gradients:
        raise Unsupported(f"{run.target.name} has no derivative by logits")
    return values, gradients["logits"]


def _graded(judge: Callable[[Grade], None]) -> None:
    """Judges by grade A; what breaks it but keeps to grade C is of accuracy alone."""
    try:
        judge("A")
    except Violation as violation:
        with contextlib.suppress(VoidCaseError):
            judge("C")
        raise Violation(str(violation), violation.subjects, is_small=True, case=violation.case) from violation


@check("production.tokens", "VALUE-1", "ACC-5", functions=[TOKEN], dtypes=TWO, is_quick=False)
def tokens(run: Run) -> None:
    """Each token's loss, z_loss and log_z."""
    _values(run)


@check("production.totals", "VALUE-5", "ACC-4", functions=[WEIGHTED], dtypes=TWO, is_quick=False)
def totals(run: Run) -> None:
    """Totals, with weights and a factor."""
    _values(run)


@check("production.dense_targets", "VALUE-7", "ACC-5", functions=[DENSE], dtypes=TWO, is_quick=False)
def dense_targets(run: Run) -> None:
    """One-hot targets, and a distribution over all classes."""
    _values(run)


def _values(run: Run) -> None:
    run.require(outputs=["loss"])
    _require_telling(run, "bfloat16")
    for batch in _cases(run, LARGEST[run.level]):
        actual = run.values(batch.case)

        def judge(grade: Grade, batch: Batch = batch, actual: Arrays = actual) -> None:
            _judge_values(run, batch, actual, grade)

        _graded(judge)


@check("production.gradient", "GRAD-1", "ACC-3", dtypes=TWO, is_quick=False)
def gradient(run: Run) -> None:
    """Every entry of the gradient by the logits."""
    run.require(outputs=["loss"])
    _require_telling(run, "float32")
    for batch in _cases(run, SHAPES[run.level]):
        _, actual = _gradient(run, batch)

        def judge(grade: Grade, batch: Batch = batch, actual: Array = actual) -> None:
            _judge_gradient(run, batch, actual, grade)

        _graded(judge)


@check("production.masked_vocabulary", "STATE-1", "DIFF-2", dtypes=TWO, is_quick=False)
def masked_vocabulary(run: Run) -> None:
    """A vocabulary padded with classes of -inf to a round number."""
    run.require(outputs=["loss"])
    _require_telling(run, "float32")
    _both(run, _batch(run, *MASKED[run.level], 100, used=True, masked=PADDING))


@check("production.padding", "EXCL-1", "DIFF-7", functions=[WEIGHTED], dtypes=TWO, is_quick=False)
def padding(run: Run) -> None:
    """Half of the rows are padding: weight 0, and logits of NaN."""
    run.require(outputs=["loss"], arguments=["weights"])

    def pad(case: Case, padded: Array) -> Case:
        return case.with_inputs(weights=np.where(padded, np.float32(0), case.inputs["weights"]))

    _padded(run, pad)


@check("production.target_out_of_range", "EXCL-2", "DIFF-3", functions=HARD, dtypes=TWO, is_quick=False)
def target_out_of_range(run: Run) -> None:
    """Half of the targets are -1 and V, and their logits NaN."""
    run.require(outputs=["loss"])

    def pad(case: Case, padded: Array) -> Case:
        beyond = np.where(np.arange(len(padded)) % 4 < 2, -1, case.logits.shape[-1])
        return case.with_inputs(targets=np.where(padded, beyond, case.inputs["targets"]).astype(np.int32))

    _padded(run, pad)


def _padded(run: Run, pad: Callable[[Case, Array], Case]) -> None:
    _require_telling(run, "float32")
    batch = _batch(run, *MASKED[run.level], 101, used=True)
    padded = np.arange(len(batch.case.logits)) % 2 == 1
    logits = batch.case.logits.copy()
    logits[padded] = np.nan
    # Not the likely class: the few tokens that are left must have losses far above what rounding may do to them.
    unlikely = ((batch.case.inputs["targets"] + 1) % logits.shape[-1]).astype(np.int32)
    case = pad(batch.case.with_inputs(targets=unlikely), padded)
    _both(run, hard_batch(case.with_inputs(logits=logits), batch.convention))


def _both(run: Run, batch: Batch) -> None:
    """Values and gradient, for their meaning."""
    values, actual = _gradient(run, batch)
    _judge_values(run, batch, values, "C")
    _judge_gradient(run, batch, actual, "C")
