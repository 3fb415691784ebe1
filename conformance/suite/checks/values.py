"""VALUE: the values, against the reference."""

from lossproof.conformance.judging.case import DTYPES, Case
from lossproof.conformance.judging.charges import BITS
from lossproof.conformance.judging.draw import Options, unit_cotangents
from lossproof.conformance.suite.asking.run import Run, expects
from lossproof.conformance.suite.registry import HARD, check
from lossproof.conformance.targets import Unsupported
from lossproof.spec import DENSE, TOKEN, WEIGHTED


@check("values.hard_targets", "VALUE-1", functions=HARD, dtypes=tuple(DTYPES))
def hard_targets(run: Run) -> None:
    """lse - x_t, for batches of one and of two axes."""
    run.require(outputs=["loss"])
    run.explore(run.cases(bare=True), lambda case: run.check_values(case, ["loss"]))
    if run.has_two_axes:
        run.explore(run.cases(shapes=[(2, 4, 16)]), lambda case: run.check_values(case, ["loss"]), 0.3)


@check("values.label_smoothing", "VALUE-2", functions=HARD, dtypes=tuple(DTYPES))
def label_smoothing(run: Run) -> None:
    """The mass goes to the V - 1 other classes."""
    run.require(outputs=["loss"], arguments=["label_smoothing"])
    run.explore(run.cases(Options(smoothing=True)), lambda case: run.check_values(case, ["loss"]))


@check("values.entropy", "VALUE-3", functions=HARD)
def entropy(run: Run) -> None:
    """The constant H, from almost no smoothing to almost only smoothing."""
    run.require(outputs=["loss"], arguments=["label_smoothing"])
    for e in (2.0**-20, 0.5, 1 - 2.0**-20):
        options = Options(smoothing=e)
        run.explore(run.cases(options, kinds=["normal", "ties"]), lambda case: run.check_values(case, ["loss"]), 0.4)


@check("conventions.label_smoothing", "CONV-1", functions=HARD)
def declared_convention(run: Run) -> None:
    """A target with a convention of its own keeps to it."""
    run.require(outputs=["loss"], arguments=["label_smoothing"], own_convention=False)
    run.require_departure()
    run.explore(run.cases(Options(smoothing=True)), lambda case: run.check_values(case, ["loss"]))
    run.explore(run.cases(Options(smoothing=True)), run.check_gradients, 0.5)


@check("values.z_loss", "VALUE-4")
def z_loss(run: Run) -> None:
    """Part of the loss, and returned on its own."""
    run.require(outputs=["loss", "z_loss"], arguments=["z_loss"])
    run.explore(run.cases(Options(z_loss=True)), lambda case: run.check_values(case, ["loss", "z_loss"]))


@check("values.weighted_total", "VALUE-5", functions=[WEIGHTED])
def weighted_total(run: Run) -> None:
    """Weights once, the factor once, with everything else in play."""
    run.require(outputs=["loss", "z_loss"], arguments=["weights", "loss_normalizing_factor"])
    run.explore(run.cases(Options(weights=True, factor=True)), lambda case: run.check_values(case, ["loss"]), 0.5)
    run.explore(run.cases(run.everything), lambda case: run.check_values(case, ["loss", "z_loss"]), 0.5)


@check("values.weight_sum", "VALUE-6", functions=[WEIGHTED])
def weight_sum(run: Run) -> None:
    """With weights, and the count without; the factor does not enter."""
    run.require(outputs=["weight_sum"], arguments=["weights"])
    options = Options(weights=True, factor=run.has("loss_normalizing_factor"))
    run.explore(run.cases(options), lambda case: run.check_values(case, ["weight_sum"]), 0.5)
    if "weights" in run.target.offer(run.function).required:
        raise Unsupported(
            f"{run.target.name} needs weights, so that it has no count without them; with them it is right"
        )
    run.explore(run.cases(bare=True), lambda case: run.check_values(case, ["weight_sum"]), 0.3)
    # Without weights, what counts must be found out all the same.
    drawn = run.cases(bare=True).map(_first_out_of_range)
    run.explore(drawn, lambda case: run.check_values(case, ["weight_sum"]), 0.2)


def _first_out_of_range(case: Case) -> Case:
    targets = case.inputs["targets"].copy()
    targets.reshape(-1)[:1] = case.logits.shape[-1]
    return case.with_inputs(targets=targets)


@check("values.dense_targets", "VALUE-7", functions=[DENSE], dtypes=tuple(DTYPES))
def dense_targets(run: Run) -> None:
    """Any real weights: one-hot, distributions, any sum and sign, zeros."""
    run.require(outputs=["loss"])
    run.explore(run.cases(), lambda case: run.check_values(case, ["loss"]))


@check("values.log_z", "VALUE-8", functions=[TOKEN])
def log_z(run: Run) -> None:
    """log sum exp."""
    run.require(outputs=["log_z"])
    run.explore(run.cases(), lambda case: run.check_values(case, ["log_z"]))


@check("values.one_value", "VALUE-9", "DIFF-1")
def one_value(run: Run) -> None:
    """The outputs under differentiation are those without it: apart by no more than two good algorithms can be."""

    def examine(case: Case) -> None:
        plain = run.values(case)
        differentiated, _ = run.differentiate(case, unit_cotangents(case))
        run.judge_same(case, plain, differentiated)
        run.tally.cases += 1

    options = Options(smoothing=run.has("label_smoothing"), z_loss=run.has("z_loss"))
    run.explore(run.cases(kinds=["normal", "offset", "confident"]), examine, 0.5)
    run.explore(run.cases(options, kinds=["normal", "offset"]), examine, 0.5)


@check("accuracy.repeatable", "ACC-6", dtypes=["bfloat16", "float32"])
def repeatable(run: Run) -> None:
    """The same inputs give the same bits."""

    def examine(case: Case) -> None:
        first, second = run.values(case), run.values(case)
        (_, gradients), (_, again) = (run.differentiate(case, unit_cotangents(case)) for _ in range(2))
        for name in first:
            expects(
                first[name].tobytes() == second[name].tobytes(),
                f"{name} differs between two equal calls; {case.describe()}",
                BITS,
            )
            run.charge(BITS)
        for name in gradients:
            same = gradients[name].tobytes() == again[name].tobytes()
            expects(same, f"the derivative by {name} differs between two equal calls; {case.describe()}", BITS)
            run.charge(BITS)
        run.tally.cases += 1

    run.explore(run.cases(), examine, 0.5)
