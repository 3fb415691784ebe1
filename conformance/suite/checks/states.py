"""STATE: special values, and EXCL: excluded tokens. What the values and gradients of the other tokens are is
checked along.
"""

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.judging.case import DTYPES, Array, Case
from lossproof.conformance.judging.charges import BY_LOGITS, LOSS
from lossproof.conformance.judging.draw import Options, make
from lossproof.conformance.suite.asking.run import Run, expects
from lossproof.conformance.suite.registry import HARD, check
from lossproof.conformance.targets import Unsupported
from lossproof.reference.bounds import Grade
from lossproof.spec import DENSE, FORMATS, WEIGHTED

SHAPE = ((4, 16),)
NAN_SHAPE, NAN_STEP = (5, 1009), 37


def _both(run: Run, case: Case, grade: Grade = "C") -> None:
    """Values and the logits gradient."""
    run.check_values(case, grade=grade)
    run.check_gradients(case, grade=grade)


def _planted(
    run: Run, options: Options, plant: Callable[[Case, int], Case], share: float = 0.3, grade: Grade = "C"
) -> None:
    """Draws cases, changes them with `plant(case, seed)`, and judges values and gradients."""
    drawn = st.tuples(run.cases(options, shapes=SHAPE, kinds=["normal", "ties"]), st.integers(0, 2**16))
    run.explore(drawn.map(lambda pair: plant(*pair)), lambda case: _both(run, case, grade), share)


def _with_logits(case: Case, change: Callable[[Array, np.random.Generator], None], seed: int) -> Case:
    logits = case.logits.copy()
    change(logits, np.random.default_rng(seed))
    return case.with_inputs(logits=logits)


def _targets(case: Case) -> Array:
    """[...]: a class with mass, for hard and dense targets."""
    targets = np.asarray(case.inputs["targets"])
    return np.argmax(np.abs(targets), axis=-1) if case.function == DENSE else targets


@check("states.masked_vocabulary", "STATE-1", "DIFF-2")
def masked(run: Run) -> None:
    """-inf logits without mass."""
    run.require(outputs=["loss"])

    def plant(case: Case, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        hidden = rng.uniform(size=case.logits.shape) < 0.4
        kept = np.arange(case.logits.shape[-1]) == _targets(case)[..., None]
        if case.function == DENSE:
            weights = np.where(hidden & ~kept, 0, case.inputs["targets"])
            case = case.with_inputs(targets=weights.astype(case.inputs["targets"].dtype))
        return _with_logits(case, lambda x, _: np.copyto(x, -np.inf, where=hidden & ~kept), seed)

    _planted(run, Options(z_loss=run.has("z_loss")), plant)


@check("states.mass_on_masked", "STATE-2")
def mass_on_masked(run: Run) -> None:
    """The target at -inf, and a masked class under smoothing: +inf loss, the finite closed-form gradient."""
    run.require(outputs=["loss"])

    def target_masked(case: Case, seed: int) -> Case:
        kept = np.arange(case.logits.shape[-1]) == _targets(case)[..., None]
        rows = np.arange(case.logits.shape[0]).reshape(-1, *[1] * (case.logits.ndim - 1)) == seed % len(case.logits)
        return _with_logits(case, lambda x, _: np.copyto(x, -np.inf, where=kept & rows), seed)

    _planted(run, Options(z_loss=run.has("z_loss")), target_masked)
    if run.function == DENSE:  # a mass below 0, or of both signs

        def signed(case: Case, seed: int) -> Case:
            targets, row = case.inputs["targets"].copy(), seed % 4
            targets[row, seed % 5] = -0.5
            targets[row, 5 + seed % 7] = 0.25
            hidden = [seed % 5, 5 + seed % 7][: 1 + seed % 2]
            masked = case.with_inputs(targets=targets)
            return _with_logits(masked, lambda x, _: np.put(x[row], hidden, -np.inf), seed)

        _planted(run, Options(z_loss=run.has("z_loss")), signed)
    if run.has("label_smoothing"):

        def other_masked(case: Case, seed: int) -> Case:
            column = (_targets(case) + 1 + seed % 3) % case.logits.shape[-1]
            return _with_logits(case, lambda x, _: np.put_along_axis(x, column[..., None], -np.inf, axis=-1), seed)

        _planted(run, Options(smoothing=True, z_loss=run.has("z_loss")), other_masked)


@check("states.undefined_tokens", "STATE-3")
def undefined(run: Run) -> None:
    """A row of -inf, a +inf, a NaN: that token is NaN, and no other row is touched."""
    run.require(outputs=["loss"])

    def plant(case: Case, seed: int) -> Case:
        row, column = seed % case.logits.shape[0], seed % case.logits.shape[-1]
        value, where = [(-np.inf, slice(None)), (np.inf, column), (np.nan, column)][seed % 3]

        def change(logits: Array, _: np.random.Generator) -> None:
            logits[row, ..., where] = value

        return _with_logits(case, change, seed)

    _planted(run, Options(), plant)
    if run.function == DENSE:

        def bad_target(case: Case, seed: int) -> Case:
            targets = case.inputs["targets"].copy()
            targets[seed % 4, ..., seed % 16] = (np.nan, np.inf)[seed % 2]
            return case.with_inputs(targets=targets)

        _planted(run, Options(), bad_target)


@check("states.nan_anywhere", "STATE-3", dtypes=["bfloat16", "float32"], is_quick=False)
def nan_anywhere(run: Run) -> None:
    """A NaN makes its token NaN wherever in a long row it is: a fast maximum may overlook it (XLA:CPU's does)."""
    run.require(outputs=["loss"])
    shape = rows, *_, classes = run.nearest(NAN_SHAPE)
    if len(shape) != len(NAN_SHAPE):
        run.target.limits.require_shape(NAN_SHAPE)
    plain = np.random.default_rng(run.seed).normal(size=shape)
    targets = np.arange(rows) * 7
    inputs = np.eye(classes)[targets] if run.function == DENSE else targets
    cotangents = {"loss": np.ones(() if run.function == WEIGHTED else rows)}
    for column in range(0, classes, NAN_STEP):
        logits = plain.copy()
        logits[column % rows, column] = np.nan
        case = make(
            run.function,
            run.dtype,
            logits,
            inputs,
            **({"z_loss": 0.0} if run.function == DENSE and run.has("z_loss") else {}),
        )
        values, gradients = run.differentiate(case, cotangents)
        undefined = np.arange(rows) == column % rows
        where = f"a NaN at [{column % rows}, {column}] of {shape} logits"
        of_loss = np.asarray(True) if run.function == WEIGHTED else undefined
        is_nan = np.isnan(np.asarray(values["loss"], np.float64))
        expects(
            np.array_equal(is_nan, of_loss), f"{where} must make that token's loss NaN, and no other's", LOSS, case=case
        )
        run.charge(LOSS)
        if "logits" in gradients:
            is_nan = np.isnan(np.asarray(gradients["logits"], np.float64))
            right = np.array_equal(is_nan, np.broadcast_to(undefined[:, None], shape))
            expects(right, f"{where} must make that row of the gradient NaN, and no other", BY_LOGITS, case=case)
            run.charge(BY_LOGITS)
        run.tally.cases += 1


@check("states.huge_logits", "STATE-4", "DIFF-6", dtypes=tuple(DTYPES))
def huge(run: Run) -> None:
    """Up to the largest float, with ties at the top, and far apart."""
    run.require(outputs=["loss"])
    # The largest power of 2; for float64 a quarter of it, because bounds are computed in float64.
    peak = 2.0 ** (FORMATS[run.dtype].max_exponent - (2 if run.dtype == "float64" else 0))

    def plant(case: Case, seed: int) -> Case:
        pair = ([peak, peak], [-peak, -peak], [peak / 4, -peak / 4], [peak, 0.0])[seed % 4]
        row = np.resize(pair, case.logits.shape[-1]).astype(case.logits.dtype)

        def change(logits: Array, _: np.random.Generator) -> None:
            logits[seed % 4] = row

        return _with_logits(case, change, seed)

    _planted(run, Options(), plant, grade="A")  # C grows with the offset


@check("states.no_z_loss", "STATE-5")
def no_z_loss(run: Run) -> None:
    """k = 0 with logits whose square overflows."""
    run.require(outputs=["z_loss"], arguments=["z_loss"])

    def plant(case: Case, seed: int) -> Case:
        size = 1e300 if run.dtype == "float64" else 1e37

        def change(logits: Array, rng: np.random.Generator) -> None:
            logits[...] = (np.where(rng.uniform(size=logits.shape) > 0.5, size, -size)).astype(logits.dtype)

        return _with_logits(case, change, seed)

    _planted(run, Options(z_loss=0.0), plant)


@check("states.one_class", "STATE-6", "DIFF-4", functions=HARD)
def one_class(run: Run) -> None:
    """V = 1: only the z-loss is left."""
    run.require(outputs=["loss"])
    options = [Options(), Options(z_loss=run.has("z_loss"))]
    if run.has("label_smoothing") and run.target.convention.subtract_entropy:
        options.append(Options(smoothing=True, z_loss=run.has("z_loss")))
    for option in options:
        run.explore(run.cases(option, shapes=[(3, 1)], exactly=True), lambda case: _both(run, case, "A"), 0.3)


@check("states.full_smoothing", "STATE-7", "DIFF-5", functions=HARD)
def full_smoothing(run: Run) -> None:
    """e = 1."""
    run.require(outputs=["loss"], arguments=["label_smoothing"])
    run.explore(run.cases(Options(smoothing=1.0)), lambda case: _both(run, case), 0.5)


@check("states.undefined_coefficients", "STATE-8", functions=HARD, dtypes=["bfloat16", "float32"])
def undefined_coefficients(run: Run) -> None:
    """Weights, k and L that are not finite, and L = 0."""
    run.require(outputs=["loss"])
    if run.function == WEIGHTED and run.has("weights"):

        def bad_weight(case: Case, seed: int) -> Case:
            weights = case.inputs["weights"].copy()
            weights[seed % 4] = (np.nan, np.inf, -np.inf)[seed % 3]
            return case.with_inputs(weights=weights)

        if run.convention.reduction == "mean":  # undefined as a whole, and so are all of its derivatives
            drawn = st.tuples(run.cases(Options(weights=True), shapes=SHAPE), st.integers(0, 2**16))
            run.explore(drawn.map(lambda pair: bad_weight(*pair)), run.check_values, 0.3)
        else:
            _planted(run, Options(weights=True), bad_weight)
    if run.target.scalars_differentiable:
        for name in ("z_loss", "loss_normalizing_factor"):
            if run.has(name):
                values = [math.nan, math.inf] + ([0.0] if name == "loss_normalizing_factor" else [])
                options = Options(weights=run.has("weights"), z_loss=name == "z_loss", factor=name != "z_loss")
                _planted(run, options, _replacing(name, values))
    if run.tally.cases == 0:
        raise Unsupported(f"{run.target.name} takes neither weights nor traced scalars")


def _replacing(name: str, values: list[float]) -> Callable[[Case, int], Case]:
    return lambda case, seed: case.with_inputs(**{name: values[seed % len(values)]})


@check("excluded.weight_zero", "EXCL-1", "DIFF-7", functions=[WEIGHTED], dtypes=tuple(DTYPES))
def weight_zero(run: Run) -> None:
    """NaN and infinite logits under weight 0 leave no trace."""
    run.require(outputs=["loss"], arguments=["weights"])

    def plant(case: Case, seed: int) -> Case:
        row = seed % 4
        weights = np.abs(case.inputs["weights"]) + case.inputs["weights"].dtype.type(0.125)
        weights[row] = 0

        def change(logits: Array, _: np.random.Generator) -> None:
            logits[row] = (np.nan, np.inf, -np.inf, 1.0)[seed % 4]

        return _with_logits(case.with_inputs(weights=weights), change, seed)

    options = Options(weights=True, z_loss=run.has("z_loss"), smoothing=run.has("label_smoothing"))
    _planted(run, options, plant)
    run.explore(
        st.builds(plant, run.cases(options, shapes=SHAPE), st.integers(0, 99)),
        lambda case: run.check_gradients(case, ["logits", "weights"]),
        0.3,
    )


@check("excluded.target_out_of_range", "EXCL-2", "DIFF-3", functions=HARD)
def out_of_range(run: Run) -> None:
    """-1, V and far away: nothing, neither clamped nor wrapped nor counted; with and without smoothing."""
    run.require(outputs=["loss"])

    def plant(case: Case, seed: int) -> Case:
        targets = case.inputs["targets"].copy()
        classes = case.logits.shape[-1]
        targets[seed % 4] = (-1, classes, classes + 1, -classes, 2**31 - 1, -(2**31))[seed % 6]
        if seed % 2:
            case = _with_logits(case, lambda x, _: np.copyto(x[seed % 4], np.nan), seed)
        return case.with_inputs(targets=targets)

    _planted(run, Options(), plant, 0.5)
    options = Options(smoothing=run.has("label_smoothing"), z_loss=run.has("z_loss"), weights=run.has("weights"))
    _planted(run, options, plant)


@check("excluded.all_padding", "EXCL-3", "DIFF-8", functions=[WEIGHTED], dtypes=["bfloat16", "float32"])
def all_padding(run: Run) -> None:
    """Every token excluded, whatever L is."""
    run.require(outputs=["loss"], arguments=["weights", "loss_normalizing_factor"])

    def plant(case: Case, seed: int) -> Case:
        factor = (0.0, math.inf, math.nan, 3.0)[seed % 4]
        weights = case.inputs["weights"] * 0
        return case.with_inputs(weights=weights, loss_normalizing_factor=factor)

    strategy = st.builds(plant, run.cases(Options(weights=True, factor=True), shapes=SHAPE), st.integers(0, 99))
    arguments = ["logits", "weights"] + (["loss_normalizing_factor"] if run.target.scalars_differentiable else [])

    def examine(case: Case) -> None:
        run.check_values(case)
        run.check_gradients(case, arguments)

    run.explore(strategy, examine, 0.5)
