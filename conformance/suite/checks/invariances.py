"""What changes nothing, or only the order: order of tokens and classes, a common offset, cuts, padding, shape, devices.

The changed case is judged against its own exact answer, and against what the target made of the case before the change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.judging.case import DTYPES, Array, Case
from lossproof.conformance.judging.charges import SAME
from lossproof.conformance.judging.draw import Options, generator, unit_cotangents
from lossproof.conformance.judging.exact import Exact
from lossproof.conformance.judging.judge import Violation, utilisation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.registry import HARD, check
from lossproof.conformance.targets import Arrays, Unsupported
from lossproof.reference.bounds import Grade, with_final_rounding
from lossproof.spec import DENSE, FORMATS, OUTPUTS, TOKEN, WEIGHTED

ONE, TWO = ("float32",), ("bfloat16", "float32")  # one where a further shape must be compiled for
SHAPE = ((4, 16),)  # this and the next are shapes that other checks have compiled for
BATCH = ((2, 4, 16),)
NARROW, BROAD = (2, 3), (2, 257)
SEEDS = st.integers(0, 2**16)
APART = 200.0  # the offsets of tokens: the exponential of a difference of two is 0 in float32

Carry = Callable[[Sequence[Array]], Array]


@dataclass(frozen=True)
class Answer:
    """What the target makes of a case: arrays by name, and how far from the exact ones they may be."""

    arrays: Arrays
    bounds: Arrays


def _answer(run: Run, case: Case, outputs: Sequence[str], found: tuple[Arrays, Arrays], grade: Grade) -> Answer:
    values, gradients = found
    bounds = run.bounds(case, grade)
    arrays = {name: values[name] for name in outputs}
    allowed = {name: bound for name, bound in bounds.values().items() if name in outputs}
    arrays["the derivative by logits"] = gradient = gradients["logits"]
    row = np.asarray(bounds.gradients(unit_cotangents(case))["logits"])
    size = np.abs(gradient.astype(np.float64)) + row  # the exact one is at most that large
    allowed["the derivative by logits"] = with_final_rounding(row, size, case.dtype)
    return Answer(arrays, allowed)


def _differentiated(run: Run, case: Case) -> tuple[Arrays, Arrays]:
    found = run.differentiate(case, unit_cotangents(case))
    if "logits" not in found[1]:
        raise Unsupported(f"{run.target.name} has no derivative by logits")
    return found


def compare(
    run: Run,
    parts: Sequence[Case],
    whole: Case,
    carry: Carry,
    *,
    outputs: Sequence[str] = (),
    grade: Grade = "C",
    answer: tuple[Arrays, Arrays] | None = None,
    subject: str = "",
) -> None:
    """Judges one case, and compares it with what others say about it.

    Args:
      run: the unit.
      parts: the cases before the change.
      whole: the case after it.
      carry: makes an array of `whole` from those of `parts`; bounds, too.
      outputs: that are compared; all of none.
      grade: of the bounds.
      answer: the target's outputs and gradients for `whole`, if they are had in another way.
      subject: what a difference is about, if not the array that differs.
    """
    offered = run.target.offer(run.function).outputs
    names = outputs or [name for name in OUTPUTS[run.function] if name in offered]
    found = answer or _differentiated(run, whole)
    asked = [_differentiated(run, part) for part in parts]

    def judge(case: Case, its: tuple[Arrays, Arrays], subject: str = "") -> None:
        run.judge_values(case, its[0], names, grade, subject)
        run.judge_gradients(case, its[1], ["logits"], unit_cotangents(case), grade, subject)

    if subject:  # what is wrong before the change is not wrong by it
        for part, its in zip(parts, asked, strict=True):
            judge(part, its)
    judge(whole, found, subject)

    def shares(name: str, grade: Grade) -> tuple[Array, Array, Array]:
        """What an array is to be, how far it may be from that, and the share of this that it uses."""
        after = _answer(run, whole, names, found, grade)
        before = [_answer(run, part, names, its, grade) for part, its in zip(parts, asked, strict=True)]
        carried = np.asarray(carry([part.arrays[name].astype(np.float64) for part in before]))
        bound = after.bounds[name] + carry([np.asarray(part.bounds[name]) for part in before])
        return carried, bound, utilisation(after.arrays[name], Exact(carried, np.zeros_like(carried)), bound)

    for name, actual in _answer(run, whole, names, found, grade).arrays.items():
        of = subject or name.replace("the derivative by", "by")
        carried, bound, used = shares(name, grade)
        if np.any(used > 1):
            where = np.unravel_index(int(np.argmax(used)), used.shape)
            place = [int(index) for index in where] if where else ""
            raise Violation(
                f"{name}{place} is {float(actual[where])!r}, but {float(carried[where])!r} follows from the same call "
                f"before the change: farther apart than both errors may be, {float(bound[where]):.2g}; "
                f"{whole.describe()}, before: {'; '.join(part.describe() for part in parts)}",
                (of,),
                is_small=grade == "A" and bool(np.all(shares(name, "C")[2] <= 1)),
                case=whole,
            )
        run.charge(of, grade=grade)


def _reordered(case: Case, order: Array, axis: int) -> Case:
    arrays = {name: value for name, value in case.inputs.items() if isinstance(value, np.ndarray)}
    if axis == -1:
        arrays = {name: value for name, value in arrays.items() if value.shape == case.logits.shape}
    return case.with_inputs(**{name: np.take(value, order, axis) for name, value in arrays.items()})


def _each(case: Case, change: Callable[[Array], Array]) -> Case:
    arrays = {name: value for name, value in case.inputs.items() if isinstance(value, np.ndarray)}
    return case.with_inputs(**{name: change(value) for name, value in arrays.items()})


def _halves(case: Case) -> list[Case]:
    """[2, 4, V] as two times [4, V]."""
    return [_each(case, itemgetter(half)) for half in (0, 1)]


def _set_apart(case: Case, seed: int) -> Case:
    """Each token with an offset of its own, so that no maximum is good for two of them."""
    offsets = APART * generator(seed).integers(-1, 2, (*case.logits.shape[:-1], 1))
    return case.with_inputs(logits=(case.logits.astype(np.float64) + offsets).astype(case.logits.dtype))


def _batches_of_two(run: Run) -> st.SearchStrategy[tuple[Case, int]]:
    """[2, 4, V], of this very rank where the target takes few, and seeds."""
    exactly = run.target.limits.ranks != ()
    return st.tuples(run.cases(run.everything, shapes=BATCH, exactly=exactly, kinds=["normal", "wide"]), SEEDS)


def _first(arrays: Sequence[Array]) -> Array:
    return arrays[0]


@check("invariances.token_order", "VALUE-1", "GRAD-1", functions=HARD, dtypes=tuple(DTYPES))
def token_order(run: Run) -> None:
    """Results of tokens, and rows of the gradient, move with their tokens; totals stay."""
    run.require(outputs=["loss"])

    def examine(drawn: tuple[Case, int]) -> None:
        case, seed = _set_apart(*drawn), drawn[1]
        order = generator(seed).permutation(len(case.logits))
        compare(run, [case], _reordered(case, order, 0), lambda a: a[0][order] if a[0].ndim else a[0])

    run.explore(st.tuples(run.cases(run.everything, shapes=SHAPE, kinds=["normal", "wide"]), SEEDS), examine, 0.4)


@check("invariances.class_order", "VALUE-1", "GRAD-1", functions=HARD, dtypes=["float32", "float64"], is_quick=False)
def class_order(run: Run) -> None:
    """Classes and targets renumbered: entries of the gradient move along, values stay."""
    run.require(outputs=["loss"])

    def examine(drawn: tuple[Case, int]) -> None:
        case, seed = drawn
        classes = case.logits.shape[-1]
        order = generator(seed).permutation(classes)
        moved = np.argsort(order)[case.inputs["targets"]].astype(case.inputs["targets"].dtype)
        other = _reordered(case, order, -1).with_inputs(targets=moved)
        compare(run, [case], other, lambda a: a[0][..., order] if a[0].shape == case.logits.shape else a[0])

    shapes = (*SHAPE, BROAD) if run.is_broad else SHAPE
    run.explore(st.tuples(run.cases(run.everything, shapes=shapes), SEEDS), examine, 0.4)


@check("invariances.common_offset", "ACC-2", dtypes=tuple(DTYPES))
def common_offset(run: Run) -> None:
    """One number added to all logits, which the type holds exactly: loss and gradient stay, up to their own bounds."""
    run.require(outputs=["loss"])
    precision = FORMATS[run.dtype].precision

    def examine(drawn: tuple[Case, int, int]) -> None:
        case, seed, exponent = drawn
        # Multiples of `step` below 2^exponent / 2 in size; 1.5 * 2^exponent more or less, they are as exact.
        step = 2.0 ** (exponent - precision + 1)
        largest = 2.0 ** (exponent - 1) - step
        logits = np.clip(np.round(case.logits.astype(np.float64) / step) * step, -largest, largest)
        offset = 1.5 * 2.0**exponent * (-1) ** seed
        near, far = (case.with_inputs(logits=x.astype(case.logits.dtype)) for x in (logits, logits + offset))
        compare(run, [near], far, _first, outputs=["loss"], grade="A")

    smoothing = Options(smoothing=run.has("label_smoothing"))
    exponents = st.sampled_from([4, precision - 1])
    strategy = st.tuples(run.cases(smoothing, shapes=SHAPE, kinds=["normal", "ties"]), SEEDS, exponents)
    run.explore(strategy, examine, 0.4)


@check("invariances.batch_cut", "VALUE-5", "VALUE-6", "ACC-4", functions=[WEIGHTED], dtypes=ONE)
def batch_cut(run: Run) -> None:
    """[2, 4, V] as two batches of [4, V]: the totals add up, and no row of the gradient knows of the cut."""
    run.require(outputs=["loss"])
    run.require_sum()

    def examine(drawn: tuple[Case, int]) -> None:
        case = _set_apart(*drawn)
        compare(run, _halves(case), case, lambda a: np.stack(a) if a[0].ndim else np.asarray(sum(a)))

    run.explore(_batches_of_two(run), examine, 0.4)


@check("invariances.shape", "SHAPE-1", functions=[TOKEN, DENSE], dtypes=ONE, is_quick=False)
def shape(run: Run) -> None:
    """[2, 4, V] is two batches of [4, V], and one of [8, V]: axes of tokens are nothing but their order."""
    run.require(outputs=["loss"])

    def examine(drawn: tuple[Case, int]) -> None:
        case = _set_apart(*drawn)
        compare(run, _halves(case), case, np.stack)
        if run.level != "smoke":  # which has no time to compile for one more shape
            flat = _each(case, lambda array: array.reshape(8, *array.shape[2:]))
            compare(run, [case], flat, lambda a: a[0].reshape(8, *a[0].shape[2:]))

    run.explore(_batches_of_two(run), examine, 0.4)


@check("invariances.padding_rows", "EXCL-1", "DIFF-7", functions=[WEIGHTED], dtypes=ONE)
def padding_rows(run: Run) -> None:
    """Rows of weight 0 behind the batch, of NaN and inf: the totals stay, and their own rows of the gradient are 0."""
    run.require(outputs=["loss"], arguments=["weights"])
    _padded_rows(run, lambda case, _: case.with_inputs(weights=_behind(case.inputs["weights"], 0)))


@check("invariances.ignored_rows", "EXCL-2", "DIFF-3", functions=HARD, dtypes=ONE)
def ignored_rows(run: Run) -> None:
    """The same with targets out of range."""
    run.require(outputs=["loss"])

    def ignored(case: Case, seed: int) -> Case:
        kept = {"weights": _behind(case.inputs["weights"], 1)} if "weights" in case.inputs else {}
        return case.with_inputs(targets=_behind(case.inputs["targets"], (-1, case.logits.shape[-1])[seed % 2]), **kept)

    _padded_rows(run, ignored)


def _padded_rows(run: Run, exclude: Callable[[Case, int], Case]) -> None:
    """[4, V] as the first half of [2, 4, V], whose second half `exclude` takes out, and has no finite logits."""
    run.require_sum("mean")

    def examine(drawn: tuple[Case, int]) -> None:
        whole, seed = drawn
        logits = whole.logits.copy()
        logits[1] = (np.nan, np.inf, -np.inf)[seed % 3]

        def carry(arrays: Sequence[Array]) -> Array:
            return np.stack([arrays[0], np.zeros_like(arrays[0])]) if arrays[0].ndim else arrays[0]

        compare(run, _halves(whole)[:1], exclude(whole.with_inputs(logits=logits), seed), carry)

    run.explore(
        st.tuples(run.cases(run.everything, shapes=BATCH, exactly=run.target.limits.ranks != ()), SEEDS), examine, 0.4
    )


def _behind(array: Array, value: float) -> Array:
    """The second half replaced."""
    return np.stack([array[0], np.full_like(array[1], value)])


@check("invariances.padding_classes", "STATE-1", "DIFF-2", dtypes=TWO, is_quick=False)
def padding_classes(run: Run) -> None:
    """Columns of -inf behind the vocabulary: values stay, and the gradient there is 0. At any offset: no finite number
    stands in for -inf.
    """
    run.require(outputs=["loss"])

    def examine(case: Case) -> None:
        extra = ((0, 0), (0, BROAD[-1] - NARROW[-1]))
        padded = case.with_inputs(logits=np.pad(case.logits, extra, constant_values=-np.inf))
        if case.function == DENSE:
            padded = padded.with_inputs(targets=np.pad(case.inputs["targets"], extra))
        compare(run, [case], padded, lambda a: np.pad(a[0], extra) if a[0].shape == case.logits.shape else a[0])

    options = Options(z_loss=run.has("z_loss"), weights=run.has("weights"))
    run.explore(run.cases(options, shapes=[NARROW], kinds=["normal", "ties"]), examine, 0.3)
    run.explore(run.cases(options, shapes=[NARROW], kinds=["offset"], magnitudes=(-1e4, -2e4)), examine, 0.2)


@check("invariances.devices", "VALUE-9", functions=[WEIGHTED], dtypes=ONE, is_quick=False)
def devices(run: Run) -> None:
    """Tokens spread over the devices there are, and added up over them."""
    run.require(outputs=["loss"])

    def examine(case: Case) -> None:
        through = partial(run.target.transformed, case, unit_cotangents(case), "devices")
        answer = run.ask(f"{run.function} on several devices", through, case, (SAME,))
        compare(run, [case], case, _first, answer=answer, subject=SAME)

    run.explore(run.cases(run.everything, shapes=[(8, 16)]), examine, 0.3)
