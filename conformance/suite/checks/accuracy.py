"""ACC: accuracy, against the bound of a good algorithm."""

import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.judging.case import DTYPES, Case
from lossproof.conformance.judging.draw import Options, generator, make, random_cotangents
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.registry import HARD, check
from lossproof.reference.bounds import smallest_normal
from lossproof.spec import DENSE, TOKEN, WEIGHTED

LEADS = (3.0, 10.0, 20.0, 40.0, 80.0)


@check("accuracy.confident_tokens", "ACC-1", functions=HARD, dtypes=tuple(DTYPES))
def confident(run: Run) -> None:
    """The loss of a token whose target leads by 3 to 80 has its leading digits right."""
    run.require(outputs=["loss"])
    run.explore(
        run.cases(kinds=["confident"], shapes=run.wide, magnitudes=LEADS, bare=True),
        lambda case: run.check_values(case, ["loss"], "A"),
    )


@check("accuracy.common_offset", "ACC-2", dtypes=["float32", "float64"], is_quick=False)
def common_offset(run: Run) -> None:
    """Logits around 1e3, 1e4, 1e5 are as good as logits around 0; those of 16 bits have few digits left there."""
    run.require(outputs=["loss"])
    strategy = run.cases(kinds=["offset"], magnitudes=(1e3, -1e4, 1e5))
    run.explore(strategy, lambda case: run.check_values(case, ["loss"], "A"), 0.5)
    run.explore(strategy, lambda case: run.check_gradients(case, grade="A"), 0.5)


@check("accuracy.gradient", "ACC-3", dtypes=tuple(DTYPES))
def gradient(run: Run) -> None:
    """Every entry, the target's relative to 1 - p_t; and with everything in play."""
    run.require(outputs=["loss"])
    run.explore(run.cases(shapes=run.wide, bare=True), lambda case: run.check_gradients(case, grade="A"), 0.6)
    strategy = run.cases(kinds=["confident"], magnitudes=LEADS)
    run.explore(strategy, lambda case: run.check_gradients(case, grade="A"), 0.4)
    run.explore(run.cases(run.everything), lambda case: run.check_gradients(case, grade="A"), 0.4)


@check("accuracy.values", "ACC-5", dtypes=tuple(DTYPES))
def values(run: Run) -> None:
    """Every output and the gradient, with everything in play: carried in float32 or float64, never in the logits' own
    16 bits.
    """
    run.require(outputs=["loss"])
    run.explore(run.cases(run.everything), lambda case: run.check_values(case, grade="A"), 0.6)
    run.explore(run.cases(bare=True), lambda case: run.check_values(case, ["loss"], "A"), 0.4)
    run.explore(run.cases(run.everything), lambda case: run.check_gradients(case, grade="A"), 0.2)


@check("accuracy.one_rounding", "ACC-5", functions=[TOKEN, DENSE], dtypes=["bfloat16", "float16"])
def one_rounding(run: Run) -> None:
    """Parts of a gradient that nearly cancel are added before the rounding to 16 bits."""
    run.require(outputs=["loss", "z_loss"], arguments=["z_loss"])

    def examine(drawn: tuple[Case, int]) -> None:
        case, seed = drawn
        run.check_gradients(case, ["logits"], random_cotangents(case, ["loss", "z_loss"], seed), "A")

    run.explore(st.tuples(run.cases(Options(z_loss=True)), st.integers(0, 2**16)), examine)


@check("accuracy.totals", "ACC-4", functions=[WEIGHTED], dtypes=["float32"], is_quick=False)
def totals(run: Run) -> None:
    """One large loss and thousands of small ones: none of the small is lost."""
    run.require(outputs=["loss"])
    tokens = 2048

    def build(seed: int) -> Case:
        rng = generator(seed)
        leads = rng.uniform(9.0, 11.0, tokens)
        leads[rng.integers(tokens, size=4)] = -rng.uniform(200.0, 400.0)
        logits = np.stack([leads, np.zeros(tokens)], axis=-1)
        return make(WEIGHTED, "float32", logits, np.zeros(tokens, np.int32))

    run.explore(st.builds(build, st.integers(0, 2**16)), lambda case: run.check_values(case, ["loss"], "A"), 0.15)


@check("accuracy.subnormals", "ACC-7", dtypes=["bfloat16", "float32"])
def subnormals(run: Run) -> None:
    """Subnormal logits, and losses and gradients that are subnormal: flushed or not, nothing else happens."""
    run.require(outputs=["loss"])
    tiny = smallest_normal("float32")

    def build(case: Case, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        logits = case.logits.astype(np.float64)
        logits[0] = rng.uniform(-1, 1, logits.shape[-1]) * tiny
        if case.function != DENSE:
            one_hot = np.arange(logits.shape[-1]) == case.inputs["targets"][1]
            logits[1] = np.where(one_hot, 88.0 + rng.uniform(0, 15), 0.0)
        return case.with_inputs(logits=logits.astype(case.logits.dtype))

    strategy = st.builds(build, run.cases(shapes=[(4, 16)], kinds=["normal"]), st.integers(0, 2**16))
    run.explore(strategy, lambda case: run.check_values(case, ["loss"], "A"), 0.4)
    run.explore(strategy, lambda case: run.check_gradients(case, grade="A"), 0.4)
