"""NORM: normalising factors."""

from collections.abc import Mapping
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lossproof import reference
from lossproof.conformance.coverage.batches import AXES as BATCH_AXES, batch_of
from lossproof.conformance.coverage.model import ABSENT, Cell
from lossproof.conformance.coverage.stored import stored_batches
from lossproof.conformance.judging.charges import FACTOR as THE_FACTOR, REFUSAL, WEIGHTS, broken
from lossproof.conformance.judging.draw import generator
from lossproof.conformance.judging.exact import Exact, as_pairs
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Comparison, Run, expects
from lossproof.conformance.suite.registry import check
from lossproof.conformance.targets import Unsupported
from lossproof.reference.bounds import sum_bound, with_final_rounding
from lossproof.spec import FACTOR

NAMES = ("NUM_REAL_TARGET_TOKENS", "NUM_TOTAL_TARGET_TOKENS", "AVERAGE_PER_SEQUENCE")
ONE = ["float32"]
ANSWERS = (THE_FACTOR, WEIGHTS)
KEYS = ("decoder_target_tokens", "decoder_loss_weights", "decoder_segment_ids", "decoder_positions")
Batch = dict[str, Any]


def _answer(run: Run, factor: Any, batch: Batch) -> tuple[Any, Any]:
    arguments = {"loss_normalizing_factor": factor, "batch": batch}
    result = run.ask(FACTOR, lambda: run.call(FACTOR, arguments), subjects=ANSWERS)
    expects(
        isinstance(result, tuple) and len(result) == 2,
        f"{FACTOR} must return (factor, weights), got {type(result).__name__}",
        *ANSWERS,
    )
    return result[0], result[1]


def agrees(run: Run, factor: Any, batch: Batch, exact: Mapping[str, Exact]) -> None:
    """Judges factor and weights, each within the error of sums over its own sequence.

    Args:
      run: the unit.
      factor: a special factor's name, a number, or None.
      batch: arrays by key.
      exact: the right "factor" and "weights"; what is missing must be None.
    """
    found, weights = _answer(run, factor, batch)
    tokens = batch.get("decoder_target_tokens", np.ones(0))
    given = np.asarray(batch.get("decoder_loss_weights", tokens > 0), np.float64)
    described = (
        f"{factor}, weights {given.tolist()}, segments {np.asarray(batch.get('decoder_segment_ids', [])).tolist()}"
    )
    averaged = isinstance(factor, str) and factor.upper() == "AVERAGE_PER_SEQUENCE"
    length = given.shape[-1]
    if "weights" in exact:
        bound = sum_bound(exact["weights"].magnitude, length) if averaged else np.zeros_like(given)
        of = Comparison((WEIGHTS,))
        run.judge_array("values", "weights", np.asarray(weights), exact["weights"], bound, described, of=of)
    else:
        expects(weights is None, f"without weights, {factor} must give None for them, got {weights}", WEIGHTS)
    if "factor" in exact:
        size = np.sum(exact["weights"].magnitude) if averaged else np.sum(np.abs(given))
        summed = isinstance(factor, str) and factor.upper() != "NUM_TOTAL_TARGET_TOKENS"
        bound = sum_bound(size, given.size + (length if averaged else 0)) if summed else np.zeros(())
        of = Comparison((THE_FACTOR,))
        run.judge_array("values", "the factor", np.asarray(found), exact["factor"], bound, described, of=of)
    else:
        expects(found is None, f"the factor None must pass through, got {found}", THE_FACTOR)
    run.tally.cases += 1


def _agrees(run: Run, factor: str, batch: Batch) -> None:
    """`agrees`, with the reference."""
    exact = reference.get_loss_normalizing_factor_and_weights(factor, batch)
    answers = {"factor": exact.factor, "weights": exact.weights}
    agrees(run, factor, batch, {name: as_pairs(answer) for name, answer in answers.items() if answer is not None})


def _batches(*, packed: bool) -> st.SearchStrategy[Batch]:
    return st.builds(_batch, st.integers(0, 2**32 - 1), st.booleans(), st.just(packed))


def _batch(seed: int, with_weights: bool, packed: bool) -> Batch:
    """[3, 12]; weights of very different sizes side by side, zeros, and padding at both ends."""
    rng = generator(seed)
    shape = (3, 12)
    batch: Batch = {"decoder_target_tokens": rng.integers(0, 5, shape, np.int32)}
    if with_weights:
        sizes = 10.0 ** rng.choice([0, 0, 0, 8, -6], shape)
        batch["decoder_loss_weights"] = (rng.uniform(0.5, 2, shape) * sizes * (rng.uniform(size=shape) > 0.2)).astype(
            np.float32
        )
    if packed:
        rows = [_packed_row(rng, shape[1]) for _ in range(shape[0])]
        batch["decoder_segment_ids"] = np.array([ids for ids, _ in rows], np.int32)
        batch["decoder_positions"] = np.array([positions for _, positions in rows], np.int32)
    return batch


def _packed_row(rng: np.random.Generator, length: int) -> tuple[list[int], list[int]]:
    """Segments of 1 to 4 tokens; sometimes padding in front, sometimes one id for two sequences, whose positions
    then restart.
    """
    ids: list[int] = []
    positions: list[int] = []
    segment = 0 if rng.uniform() < 0.3 else 1
    while len(ids) < length:
        run_length = int(rng.integers(1, 5))
        ids += [segment] * run_length
        positions += range(run_length)
        segment = segment if segment and rng.uniform() < 0.2 else int(rng.integers(0, 4)) if segment else 1
    return ids[:length], positions[:length]


@check("factors.names", "NORM-1", functions=[FACTOR], dtypes=ONE)
def names(run: Run) -> None:
    """In any case; another is refused with the list."""
    run.target.offer(FACTOR)
    batch = _batch(0, with_weights=True, packed=False)
    for name in NAMES:
        for spelled in (name, name.lower(), name.title()):
            _agrees(run, spelled, batch)
    try:
        run.target.call(FACTOR, {"loss_normalizing_factor": "NUM_TOKENS", "batch": batch})
    except ValueError as error:
        missing = [name for name in NAMES if name not in str(error)]
        said = f"the message about an unknown factor must list {', '.join(missing)}, but is: {error}"
        expects(not missing, said, REFUSAL)
        run.charge(REFUSAL)
    else:
        raise Violation("an unknown factor name must be a ValueError, but was accepted", (REFUSAL,))


@check("factors.plain", "NORM-2", functions=[FACTOR], dtypes=ONE)
def plain(run: Run) -> None:
    """None, int and float pass through."""
    run.target.offer(FACTOR)
    weighted, unweighted = (_batch(1, with_weights=flag, packed=False) for flag in (True, False))
    for factor in (None, 3, 2.5):
        found, weights = _answer(run, factor, weighted)
        expects(found == factor, f"the factor {factor} must pass through, got {found}", THE_FACTOR)
        same = np.array_equal(np.asarray(weights), weighted["decoder_loss_weights"])
        expects(same, f"the weights must pass through with factor {factor}", WEIGHTS)
        found, weights = _answer(run, factor, unweighted)
        expects(
            found == factor and weights is None,
            f"without weights, factor {factor} must give ({factor}, None), got {weights}",
            *ANSWERS,
        )
        run.charge(*ANSWERS)
        run.tally.cases += 1


@check("factors.weights", "NORM-3", functions=[FACTOR], dtypes=ONE)
def weights(run: Run) -> None:
    """1 where the target is above 0, unless weights are given; every set of keys, with the missing one named."""
    run.target.offer(FACTOR)
    run.explore(_batches(packed=False), lambda batch: _agrees(run, "NUM_REAL_TARGET_TOKENS", batch), 0.5)
    whole = _batch(2, with_weights=True, packed=True)
    for factor, count in product(NAMES, range(len(whole) + 1)):
        for keys in combinations(whole, count):
            batch = {key: whole[key] for key in keys}
            missing = _missing(factor, batch)
            if missing is None:
                _agrees(run, factor, batch)
            else:
                _names_missing(run, factor, batch, missing)


def _missing(factor: str, batch: Batch) -> str | None:
    """The key that the factor needs and the batch lacks, if one is."""
    try:
        reference.get_loss_normalizing_factor_and_weights(factor, batch)
    except ValueError as error:
        return next(key for key in KEYS if f"{key!r}, got" in str(error))
    return None


def _names_missing(run: Run, factor: str, batch: Batch, key: str) -> None:
    try:
        run.target.call(FACTOR, {"loss_normalizing_factor": factor, "batch": batch})
    except ValueError as error:
        expects(key in str(error), f"the message about a missing key must name {key}, but is: {error}", REFUSAL)
        run.charge(REFUSAL)
    except Violation:
        raise
    except Exception as error:
        said = f"a batch without {key} must be a ValueError, got {type(error).__name__}: {error}"
        raise Violation(said, (REFUSAL,)) from error
    else:
        raise Violation(f"a batch without {key} must be a ValueError, but was accepted", (REFUSAL,))


@check("factors.real_tokens", "NORM-4", functions=[FACTOR], dtypes=ONE)
def real_tokens(run: Run) -> None:
    """The sum of the weights."""
    run.target.offer(FACTOR)
    run.explore(_batches(packed=False), lambda batch: _agrees(run, "NUM_REAL_TARGET_TOKENS", batch))


@check("factors.total_tokens", "NORM-5", functions=[FACTOR], dtypes=ONE)
def total_tokens(run: Run) -> None:
    """The number of tokens, padding included."""
    run.target.offer(FACTOR)
    run.explore(_batches(packed=False), lambda batch: _agrees(run, "NUM_TOTAL_TARGET_TOKENS", batch), 0.5)


@check("factors.per_sequence", "NORM-6", functions=[FACTOR], dtypes=ONE)
def per_sequence(run: Run) -> None:
    """Each row's weights sum to 1, or 0."""
    run.target.offer(FACTOR)
    run.explore(_batches(packed=False), lambda batch: _agrees(run, "AVERAGE_PER_SEQUENCE", batch))
    empty = _batch(3, with_weights=True, packed=False)
    empty["decoder_loss_weights"][1] = 0
    _agrees(run, "AVERAGE_PER_SEQUENCE", empty)


@check("factors.packed", "NORM-7", "DIFF-13", functions=[FACTOR], dtypes=ONE)
def packed(run: Run) -> None:
    """Each packed sequence's weights sum to 1, whatever lies beside it in the row."""
    run.target.offer(FACTOR)
    run.explore(_batches(packed=True), lambda batch: _agrees(run, "AVERAGE_PER_SEQUENCE", batch), 2)


@check(
    "factors.pairs",
    "NORM-1",
    "NORM-2",
    "NORM-3",
    "NORM-4",
    "NORM-5",
    "NORM-6",
    "NORM-7",
    functions=[FACTOR],
    dtypes=ONE,
    is_quick=False,
)
def pairs(run: Run) -> None:
    """Whatever two features of a batch meet: the cells of a covering array."""
    run.target.offer(FACTOR)
    for cell in stored_batches():
        run.calls.begin_draw()
        factor, batch = batch_of(cell, run.seed)
        entry: dict[str, Any] = {"cell": dict(cell), "verdict": "pass"}
        run.tally.batches.append(entry)
        try:
            found, weights = run.ask(FACTOR, partial(run.target.factor, cell, factor, batch), subjects=ANSWERS)
            _agree(run, cell, factor, batch, found, weights)
        except Unsupported as reason:
            entry |= {"verdict": "unsupported", "reason": str(reason)}
        except Violation as violation:
            violation.clauses = violation.clauses or broken(_clauses_about(cell), violation.subjects, FACTOR)
            raise
        run.tally.cases += entry["verdict"] == "pass"


def _clauses_about(cell: Cell) -> tuple[str, ...]:
    """The clauses that a cell is about, the plainest last."""
    of_factor = {
        "NUM_REAL_TARGET_TOKENS": ("NORM-4", "NORM-3"),
        "NUM_TOTAL_TARGET_TOKENS": ("NORM-5", "NORM-3"),
        "AVERAGE_PER_SEQUENCE": ("NORM-6", "NORM-3") if cell["segments"] == ABSENT else ("NORM-7", "NORM-6", "NORM-3"),
    }
    return ("NORM-1",) * (cell["said"] != "name") + of_factor.get(cell["factor"], ("NORM-2",))


def _agree(run: Run, cell: Cell, factor: Any, batch: Batch, found: Any, weights: Any) -> None:
    """As `agrees`, but that results may have been rounded to the type of the weights at last."""
    exact = reference.get_loss_normalizing_factor_and_weights(factor, batch)
    words = [value for axis, value in cell.items() if value != BATCH_AXES[axis][0]]
    described = f"{factor} where {', '.join(words) or 'all is plain'}"
    given = np.asarray(batch.get("decoder_loss_weights", batch["decoder_target_tokens"] > 0), np.float64)
    averaged = cell["factor"] == "AVERAGE_PER_SEQUENCE"
    averages = given if exact.weights is None or not averaged else as_pairs(exact.weights).high
    answers = ((WEIGHTS, "weights", weights, exact.weights), (THE_FACTOR, "the factor", found, exact.factor))
    for subject, name, answer, right in answers:
        of = Comparison((subject,), clauses=_clauses_about(cell))
        if right is None:
            expects(answer is None, f"{name} must be None, got {answer}; {described}", subject)
            run.charge(subject, clauses=of.clauses)
            continue
        expects(answer is not None, f"{name} must not be None; {described}", subject)
        array, known = np.asarray(answer), as_pairs(right)
        summed = subject == THE_FACTOR and cell["factor"] != "NUM_TOTAL_TARGET_TOKENS"
        size = known.magnitude if subject == WEIGHTS else np.sum(np.abs(averages))
        bound = sum_bound(size, given.size if summed else given.shape[-1]) if summed or averaged else np.zeros(())
        if array.dtype.name in ("bfloat16", "float16"):
            bound = with_final_rounding(np.broadcast_to(bound, known.high.shape), known.magnitude, array.dtype.name)
        run.judge_array("values", name, array, known, bound, described, of=of)
