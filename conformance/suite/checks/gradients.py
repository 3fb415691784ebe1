"""GRAD: the derivatives, whole arrays against the closed form."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.coverage.way import Directions, Way
from lossproof.conformance.judging.case import DTYPES, Array, Case, first_token
from lossproof.conformance.judging.charges import JVP, MIXED
from lossproof.conformance.judging.draw import Options, generator, random_cotangents, unit_cotangents
from lossproof.conformance.judging.exact import Exact, dot, exact_gradients, exact_hvp
from lossproof.conformance.suite.asking.run import Comparison, Run
from lossproof.conformance.suite.registry import check
from lossproof.conformance.targets import Arrays, Unsupported
from lossproof.reference.bounds import with_final_rounding
from lossproof.spec import DENSE, FORMATS, SCALARS, TOKEN, WEIGHTED

# For what is costly to compile.
SMALL = ((4, 16),)


@check("gradients.logits", "GRAD-1", dtypes=tuple(DTYPES))
def by_logits(run: Run) -> None:
    """(Q + 2 k lse) p - q, plain and with everything in play."""
    run.require(outputs=["loss"])
    run.explore(run.cases(bare=True), run.check_gradients, 0.5)
    run.explore(run.cases(run.everything), run.check_gradients, 0.5)
    if run.has_two_axes:
        run.explore(run.cases(shapes=[(2, 4, 16)]), run.check_gradients, 0.3)


@check("gradients.weights", "GRAD-2", functions=[WEIGHTED])
def by_weights(run: Run) -> None:
    """loss_i / L, at weight 0 too."""
    run.require(outputs=["loss"], arguments=["weights"])
    run.explore(run.cases(run.everything), lambda case: run.check_gradients(case, ["weights"]))


@check("gradients.z_loss", "GRAD-3")
def by_z_loss(run: Run) -> None:
    """The squares of log_z."""
    run.require(outputs=["loss"], arguments=["z_loss"])
    run.require_scalar_derivatives()
    run.explore(run.cases(Options(z_loss=True)), lambda case: run.check_gradients(case, ["z_loss"]), 0.5)
    run.explore(run.cases(Options(z_loss=0.0)), lambda case: run.check_gradients(case, ["z_loss"]), 0.5)


@check("gradients.label_smoothing", "GRAD-4", "DIFF-14", functions=[TOKEN, WEIGHTED])
def by_label_smoothing(run: Run) -> None:
    """Inside (0, 1), also where e / (V - 1) is tiny, and infinite at its ends; there and inside with masked classes."""
    run.require(outputs=["loss"], arguments=["label_smoothing"])
    run.require_scalar_derivatives()

    def examine(case: Case) -> None:
        run.check_gradients(case, ["label_smoothing"])

    for smoothing, share in ((True, 0.6), (2.0**-100, 0.2), (0.0, 0.2), (1.0, 0.2)):
        run.explore(run.cases(Options(smoothing=smoothing)), examine, share)
    for smoothing, masked in ((True, _other_masked), (0.0, _other_masked), (1.0, _other_masked), (1.0, _target_masked)):
        run.explore(run.cases(Options(smoothing=smoothing), shapes=SMALL).map(masked), examine, 0.1)


def _other_masked(case: Case) -> Case:
    """A class besides the target of each token is -inf: the slope is infinite, whatever it outweighs."""
    targets = case.inputs["targets"]
    return _with_minus_inf(case, (targets + 1) % case.logits.shape[-1])


def _target_masked(case: Case) -> Case:
    return _with_minus_inf(case, case.inputs["targets"])


def _with_minus_inf(case: Case, column: Array) -> Case:
    if case.logits.shape[-1] == 1:
        return case
    is_masked = np.arange(case.logits.shape[-1]) == np.asarray(column)[..., None]
    return case.with_inputs(logits=np.where(is_masked, -np.inf, case.logits).astype(case.logits.dtype))


@check("gradients.factor", "GRAD-5", functions=[WEIGHTED])
def by_factor(run: Run) -> None:
    """-loss / L."""
    run.require(outputs=["loss"], arguments=["loss_normalizing_factor"])
    run.require_scalar_derivatives()
    run.explore(run.cases(run.everything), lambda case: run.check_gradients(case, ["loss_normalizing_factor"]))


@check("gradients.dense_targets", "GRAD-6", functions=[DENSE])
def by_dense_targets(run: Run) -> None:
    """lse - x_j."""
    run.require(outputs=["loss"])
    run.explore(run.cases(), lambda case: run.check_gradients(case, ["targets"]))


@check("gradients.cotangents", "GRAD-7", "DIFF-10")
def every_cotangent(run: Run) -> None:
    """Each output's cotangent alone, then all together, by every argument."""
    run.require(outputs=["loss", "z_loss"], arguments=["z_loss"])
    outputs = run.target.offer(run.function).outputs
    strategy = st.tuples(run.cases(run.everything), st.integers(0, 2**32 - 1))

    def examine(names: Sequence[str], drawn: tuple[Case, int]) -> None:
        case, seed = drawn
        arguments = [name for name in ("logits", "weights") if name in case.inputs and case.inputs[name].dtype != bool]
        arguments += [name for name in SCALARS if name in case.inputs and run.target.scalars_differentiable]
        run.check_gradients(case, arguments, random_cotangents(case, names, seed))

    subsets = [*([name] for name in outputs), list(outputs)]
    for names in subsets:
        run.explore(strategy, partial(examine, names), 1.2 / len(subsets))


@check("gradients.jvp", "GRAD-8", "DIFF-11", is_quick=False)
def forward_mode(run: Run) -> None:
    """The directional derivative is the gradient times the direction."""
    run.require(outputs=["loss"])

    def examine(drawn: tuple[Case, int]) -> None:
        case, seed = drawn
        one = first_token(case)
        _check_jvp(run, one, _tangents(run, one, seed))

    run.explore(st.tuples(run.cases(run.everything, shapes=SMALL), st.integers(0, 2**32 - 1)), examine, 0.5)

    def at_an_end(drawn: tuple[Case, int]) -> None:  # of its range, where the slope by label_smoothing is infinite
        case, seed = drawn
        _check_jvp(run, case, _tangents(run, case, seed) | {"label_smoothing": np.ones(())})

    if run.function != DENSE and run.has("label_smoothing") and run.target.scalars_differentiable:
        for end in (0.0, 1.0):
            cases = run.cases(Options(smoothing=end), shapes=SMALL).map(first_token)
            run.explore(st.tuples(cases, st.integers(0, 2**32 - 1)), at_an_end, 0.1)

    def eagerly(drawn: tuple[Case, int]) -> None:  # along all arguments at once, which JAX has no trace of then
        case, seed = drawn
        one = first_token(case)
        tangents = _tangents(run, one, seed)
        way = Way("eager", "jvp", forms={name: "traced" for name in SCALARS if name in tangents})
        _check_jvp(run, one, tangents, lambda: _along(run, way, one, tangents))

    if run.dtype == "float32" and "eager" in run.target.transforms and "jvp" in run.target.derivatives:
        run.explore(st.tuples(run.cases(run.everything, shapes=SMALL), st.integers(0, 2**32 - 1)), eagerly, 0.1)


def _along(run: Run, way: Way, case: Case, tangents: Mapping[str, Array]) -> Arrays:
    return run.target.perform(way, [case], [Directions(tangents=tangents)])[0].derivatives[0]


@check("gradients.jvp_of_excluded", "GRAD-8", "EXCL-1", functions=[WEIGHTED], dtypes=["float32"], is_quick=False)
def forward_mode_of_excluded(run: Run) -> None:
    """Tokens of weight 0 move nothing, also those whose own derivatives are infinite or undefined."""
    run.require(outputs=["loss"], arguments=["weights"])
    run.require_scalar_derivatives()
    options = Options(weights=True, z_loss=run.has("z_loss"), factor=run.has("loss_normalizing_factor"))

    def examine(smoothing: float | None, drawn: tuple[Case, int]) -> None:
        case, seed = drawn
        logits, weights = case.logits.copy(), np.abs(case.inputs["weights"]) + np.float32(0.125)
        largest = 2.0 ** (FORMATS[case.dtype].max_exponent - 1)
        logits[1], logits[2] = (np.nan, largest)[seed % 2], np.resize((largest, -largest), case.logits.shape[-1])
        logits[3, case.inputs["targets"][3]] = -np.inf
        weights[1:] = 0
        if smoothing is not None:  # at its ends the slope of a token that counts is infinite
            case = case.with_inputs(label_smoothing=smoothing)
            weights[0] *= 0 < smoothing < 1
        excluding = case.with_inputs(logits=logits, weights=weights)
        tangents = _tangents(run, excluding, seed)
        if "weights" in tangents:  # of a loss beyond the largest float GRAD-2 does not say whether it is finite
            tangents["weights"][1:] = 0
        _check_jvp(run, excluding, tangents)

    strategy = st.tuples(run.cases(options, shapes=SMALL), st.integers(0, 2**32 - 1))
    for smoothing in (0.0, 0.125, 1.0) if run.has("label_smoothing") else (None,):
        run.explore(strategy, partial(examine, smoothing), 0.2)


def _check_jvp(run: Run, case: Case, tangents: Mapping[str, Array], asked: Callable[[], Arrays] | None = None) -> None:
    """Judges the derivative of each output, one number each, along tangents."""
    actual = run.ask("jvp", asked or (lambda: run.target.jvp(case, tangents)), case, (JVP,))
    bounds = run.bounds(case, "C")
    for output in actual:
        cotangents = unit_cotangents(case, output)
        gradients = exact_gradients(case, cotangents, run.convention)
        sizes = {name: gradient.magnitude for name, gradient in gradients.items()}
        exact = float(np.sum([dot(gradients[name], tangent) for name, tangent in tangents.items()]))
        shaped = np.full(actual[output].shape, exact)
        known, bound = Exact(shaped, np.zeros_like(shaped)), bounds.jvp(bounds.gradients(cotangents), sizes, tangents)
        name, of = f"the jvp of {output}", Comparison((JVP,))
        run.judge_array("gradients", name, actual[output], known, bound, case.describe(), case, of)
    run.tally.cases += 1


@check("gradients.hvp", "GRAD-9", functions=[WEIGHTED, TOKEN], dtypes=tuple(DTYPES), is_quick=False)
def second_order(run: Run) -> None:
    """Hessian-vector products, forward over reverse, and with wide logits reverse over forward."""
    run.require(outputs=["loss"])
    orders = ["forward-over-reverse", *(["reverse-over-forward"] if run.dtype in ("float32", "float64") else [])]
    explore_hvp(run, run.cases(run.everything, shapes=SMALL), orders)


def explore_hvp(run: Run, strategy: st.SearchStrategy[Case], orders: Sequence[str]) -> None:
    """Judges Hessian-vector products, along random vectors, in these orders of differentiation."""

    def examine(drawn: tuple[Case, int]) -> None:
        case, seed = drawn
        vector = _exact_eighths(case.logits.shape, seed).astype(case.logits.dtype)
        total = _as_total(case)
        exact = exact_hvp(total, vector, run.convention)
        bound = run.bounds(total, "C").hvp_row(vector)
        bound = with_final_rounding(bound, exact.magnitude, case.dtype)
        for order in orders:
            product = partial(run.target.hvp, case, vector, order)
            of = Comparison((order.replace("-", " "),))
            actual = run.ask(f"the {order} Hessian-vector product", product, case, of.subjects)
            run.judge("gradients", case, f"the {order} product", actual, exact, bound, of)
        run.tally.cases += 1

    run.explore(st.tuples(strategy, st.integers(0, 2**32 - 1)), examine, 0.4)


@check("gradients.transforms", "GRAD-10", functions=[TOKEN, DENSE], dtypes=["float32"], is_quick=False)
def transforms(run: Run) -> None:
    """vmap, scan and checkpoint over the first axis change nothing."""
    run.require(outputs=["loss"])
    shapes = [(2, 3)]  # mapped over the first axis, one token without an axis

    def examine(case: Case) -> None:
        cotangents = unit_cotangents(case)
        inside = case.logits.shape[1:]
        mapped = ("vmap", "scan") if run.target.limits.shape_fits(inside) else ()
        for transform in (*mapped, "checkpoint"):
            through = partial(run.target.transformed, case, cotangents, transform)
            outputs, gradients = run.ask(f"{run.function} under {transform}", through, case, (transform,))
            run.judge_values(case, outputs, subject=transform)
            run.judge_gradients(case, gradients, ["logits"], cotangents, subject=transform)

    run.explore(run.cases(run.everything, shapes=shapes), examine, 0.3)


@check("gradients.mixed", "GRAD-11", functions=[WEIGHTED], dtypes=["float32", "float64"], is_quick=False)
def mixed(run: Run) -> None:
    """The derivative of the logits gradient by the weights, where learning of weights starts: at 0."""
    run.require(outputs=["loss"], arguments=["weights"])
    run.require_sum("batch_mean")
    if run.target.limits.masks:
        raise Unsupported(f"{run.target.name} takes masks, which have no derivative")

    def examine(drawn: tuple[Case, int]) -> None:
        case, seed = drawn
        direction = _exact_eighths(case.logits.shape, seed).astype(case.logits.dtype)
        actual = run.ask("the mixed derivative", lambda: run.target.mixed(case, direction), case, (MIXED,))
        ones = case.with_inputs(weights=np.ones_like(case.inputs["weights"]))
        gradients = exact_gradients(ones, unit_cotangents(ones), run.convention)["logits"]
        bounds = run.bounds(ones, "C")
        rows = bounds.gradients(unit_cotangents(ones))["logits"]
        pairs = np.ndindex(case.logits.shape[:-1])
        exact, bound = np.zeros(case.logits.shape[:-1]), np.zeros(case.logits.shape[:-1])
        for index in pairs:
            row = Exact(gradients.high[index], gradients.low[index])
            exact[index] = dot(row, direction[index])
            bound[index] = bounds.jvp({"row": rows[index]}, {"row": row.magnitude}, {"row": direction[index]})
        known = Exact(exact, np.zeros_like(exact))
        of = Comparison((MIXED,))
        run.judge_array("gradients", "the mixed derivative", actual, known, bound, case.describe(), case, of)
        run.tally.cases += 1

    zeros = st.booleans()
    strategy = st.tuples(run.cases(run.everything, shapes=SMALL), zeros).map(
        lambda drawn: drawn[0].with_inputs(weights=drawn[0].inputs["weights"] * 0) if drawn[1] else drawn[0]
    )
    run.explore(st.tuples(strategy, st.integers(0, 2**32 - 1)), examine, 0.4)


def _tangents(run: Run, case: Case, seed: int) -> dict[str, Array]:
    rng = generator(seed)
    names = [name for name in ("logits", "weights") if name in case.inputs and case.inputs[name].dtype != bool]
    names += ["targets"] if run.function == DENSE else []
    names += [name for name in SCALARS if name in case.inputs and run.target.scalars_differentiable]
    shapes = {name: np.shape(case.inputs[name]) for name in names}
    return {name: rng.integers(-16, 17, shape) / 8.0 for name, shape in shapes.items()}


def _as_total(case: Case) -> Case:
    """The same tokens as a batch total, which is what a Hessian is taken of."""
    return Case(WEIGHTED, case.inputs, case.traced)


def _exact_eighths(shape: tuple[int, ...], seed: int) -> Array:
    return generator(seed).integers(-16, 17, shape) / 8.0
