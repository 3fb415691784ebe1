"""The keywords: conventions of smoothing, the soft-cap, further results, and their error messages."""

import itertools
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, reference, token_cross_entropy
from lossproof.reference.bounds import Bounds, Call, PredictionBounds, with_final_rounding
from lossproof.spec import Convention

from ._enclosures import assert_within_bound
from ._ulps import assert_within, row_roundings

INF, NAN = np.inf, np.nan
ALSO = ("target_log_probability", "predicted_class", "entropy")
RNG = np.random.default_rng(22)
X = RNG.normal(0, 4, (6, 134)).astype(np.float32)
TARGETS = np.array([0, 133, 67, 5, -1, 77])
X[0, 0] += 40  # confident
X[1, 7:100] = -INF
X[2, [3, 67]] = 30  # tied, and far beyond a cap of 3
X[5] += 1000


def raises(kind, message, call):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("classes", [1, 134])
@pytest.mark.parametrize("subtract_entropy", [True, False])
@pytest.mark.parametrize("smoothing", ["others", "uniform"])
def test_conventions_of_smoothing(smoothing, subtract_entropy, classes):
    """Fails when e is spread over the wrong classes, or H or its slope is there or missing (CONV-2, GRAD-4)."""
    x = RNG.normal(0, 4, (3, classes)).astype(np.float32)
    targets = np.array([0, classes - 1, classes // 2])
    keywords = {"smoothing": smoothing, "subtract_entropy": subtract_entropy}
    convention = Convention(**keywords)
    ones = np.ones(3)

    def loss(x, e):
        return token_cross_entropy(x, targets, label_smoothing=e, **keywords).loss

    traced = jax.jit(jax.value_and_grad(lambda x, e: loss(x, e).sum(), (0, 1)))
    for e in (0.0, 0.125, 1.0):
        bounds = Bounds(
            Call("token_cross_entropy", {"logits": x, "targets": targets, "label_smoothing": e}), convention
        )
        exact = reference.token_cross_entropy(x, targets, label_smoothing=e, convention=convention).loss
        allowed = bounds.values()["loss"]
        assert_within_bound(loss(x, e), exact, allowed)
        assert_within_bound(jax.jit(loss)(x, np.float32(e)), exact, allowed)
        exact = reference.token_cross_entropy_gradients(
            x, targets, label_smoothing=e, convention=convention, cotangents={"loss": ones}
        )
        allowed = bounds.gradients({"loss": ones})
        by_x, by_e = traced(x, np.float32(e))[1]
        assert_within_bound(by_x, exact.logits, allowed["logits"])
        assert_within_bound(by_e, exact.label_smoothing, allowed["label_smoothing"])


def test_a_batch_passes_its_keywords_on():
    """Fails when the batch ignores a keyword of its tokens (VALUE-5, VALUE-11, CONV-2)."""
    keywords = {"smoothing": "uniform", "subtract_entropy": False, "logit_softcap": 3.0}
    tokens = token_cross_entropy(X, TARGETS, label_smoothing=0.0, z_loss=0.125, **keywords)
    for i in range(len(X)):
        loss, z, _ = compute_weighted_cross_entropy(X[i], TARGETS[i], None, 0.0, 0.125, **keywords)
        assert (loss, z) == (tokens.loss[i], tokens.z_loss[i])
    smoothed = token_cross_entropy(X[0], 0, label_smoothing=0.25, **keywords).loss
    assert compute_weighted_cross_entropy(X[0], 0, None, 0.25, **keywords)[0] == smoothed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("cap", "scalars"),
    [(30.0, {}), (3.0, {"label_smoothing": 0.125, "z_loss": 0.125})],
    ids=["confident", "smoothed"],
)
def test_a_soft_cap_is_within_the_bound(cap, scalars, dtype):
    """Fails when the cap comes after the mask, the gradient lacks 1 - tanh^2, or a confident token loses its digits
    because the peak and the target are capped by two programs (VALUE-11, GRAD-12).
    """
    x = jnp.asarray(X if not scalars else np.maximum(X, -200), dtype)  # mass on a -inf has no bound
    logits, ones = np.asarray(x), np.ones(len(X))

    def results(x):
        return token_cross_entropy(x, TARGETS, logit_softcap=cap, **scalars)[:3]

    values, pull = jax.jit(partial(jax.vjp, results))(x)
    (gradient,) = jax.jit(pull)((*[jnp.ones(len(X))] * 2, jnp.zeros(len(X))))
    bounds = Bounds(
        Call("token_cross_entropy", {"logits": logits, "targets": TARGETS, "logit_softcap": cap, **scalars})
    )
    exact = reference.token_cross_entropy(logits, TARGETS, logit_softcap=cap, **scalars)
    for value, name in zip(values, ("loss", "z_loss", "log_z"), strict=True):
        assert_within_bound(value, getattr(exact, name), bounds.values()[name])
    cotangents = {"loss": ones, "z_loss": ones}
    exact = reference.token_cross_entropy_gradients(
        logits, TARGETS, logit_softcap=cap, **scalars, cotangents=cotangents
    ).logits
    size = np.abs([e.float_pair()[0] for e in exact]).reshape(logits.shape)
    allowed = bounds.gradients(cotangents)["logits"]
    assert_within_bound(gradient, exact, allowed if dtype == "float32" else with_final_rounding(allowed, size, dtype))


@pytest.mark.parametrize("e", [0.0, 0.125])
@pytest.mark.parametrize("order", ["forward over reverse", "reverse over forward"])
def test_the_hessian_goes_through_the_cap_twice(order, e):
    """Fails when the curvature of tanh is missing (GRAD-9, GRAD-12)."""
    x, v = X[:1] / 4, RNG.normal(0, 1, (1, 134)).astype(np.float32)

    def loss(x):
        return token_cross_entropy(x, TARGETS[:1], label_smoothing=e, z_loss=0.125, logit_softcap=3.0).loss.sum()

    def product(x, v):
        if order == "forward over reverse":
            return jax.jvp(jax.grad(loss), (x,), (v,))[1]
        return jax.grad(lambda x: jax.jvp(loss, (x,), (v,))[1])(x)

    scalars = {"label_smoothing": e, "z_loss": 0.125, "logit_softcap": 3.0}
    exact = reference.token_hessian_vector_product(x, TARGETS[:1], **scalars, vector=v, cotangents={"loss": np.ones(1)})
    bound = Bounds(Call("compute_weighted_cross_entropy", {"logits": x, "targets": TARGETS[:1], **scalars})).hvp_row(v)
    assert_within_bound(jax.jit(product)(x, v), exact, bound)


@pytest.mark.parametrize("bad", [INF, NAN, "all masked"])
def test_an_undefined_token_stays_undefined_under_a_cap(bad):
    """Fails when tanh makes a number of +inf, or of a row of masks (STATE-3, VALUE-11)."""
    x = np.ones((2, 134), np.float32)
    x[0] = -INF if bad == "all masked" else x[0]
    x[0, 9] = -INF if bad == "all masked" else bad
    for value in token_cross_entropy(x, [0, 0], logit_softcap=3.0, label_smoothing=0.1)[:3]:
        np.testing.assert_array_equal(np.isnan(value), [True, False])
    gradient = jax.grad(lambda x: token_cross_entropy(x, [0, 0], logit_softcap=3.0).loss.sum())(x)
    np.testing.assert_array_equal(np.isnan(gradient).all(-1), [True, False])
    weights = np.array([0.0, 1.0], np.float32)
    gradient = jax.grad(lambda x: compute_weighted_cross_entropy(x, [0, 0], weights, logit_softcap=3.0)[0])(x)
    np.testing.assert_array_equal(gradient[0], np.zeros(134))  # [EXCL-1]


@pytest.mark.parametrize("cap", [None, 3.0])
def test_further_results_are_within_the_bound(cap):
    """Fails when x_t - lse is formed, 0 log 0 is not 0, or a derivative is wrong (VALUE-13, VALUE-15, GRAD-13)."""
    coefficients = {"target_log_probability": -0.5, "entropy": 2.0}

    def results(x):
        return token_cross_entropy(x, TARGETS, label_smoothing=0.125, logit_softcap=cap, also=ALSO)

    def further(x):
        return sum(c * getattr(results(x), name).sum() for name, c in coefficients.items())

    actual, gradient = jax.jit(lambda x: (results(x), jax.grad(further)(x)))(X)
    bounds = PredictionBounds(Call("token_cross_entropy", {"logits": X, "targets": TARGETS, "logit_softcap": cap}))
    exact = reference.prediction(X, TARGETS, logit_softcap=cap)
    for name, bound in bounds.values().items():
        assert_within_bound(getattr(actual, name), getattr(exact, name), bound)
    cotangents = {name: c * np.ones(len(X)) for name, c in coefficients.items()}
    exact = reference.prediction_gradients(X, TARGETS, logit_softcap=cap, cotangents=cotangents).logits
    assert_within_bound(gradient, exact, bounds.gradients(cotangents)["logits"])


def test_further_results_have_second_derivatives():
    """Fails when the sums that the entropy is made of are constants to a second derivative (GRAD-13)."""
    x, v = X[3], RNG.normal(0, 1, 134).astype(np.float32)

    def product(name, forward):
        def result(x):
            return getattr(token_cross_entropy(x, 5, also=ALSO), name)

        if forward:
            return jax.jit(lambda x, v: jax.jvp(jax.grad(result), (x,), (v,))[1])(x, v)
        return jax.jit(lambda x, v: jax.grad(lambda x: jax.jvp(result, (x,), (v,))[1])(x))(x, v)

    gaps = (x.max() - x).astype(np.longdouble)
    p = np.exp(-gaps) / np.exp(-gaps).sum()
    distance, along = gaps - p @ gaps, v - p @ v
    of_entropy = p * (along * (distance - 1) - (p * v) @ distance)
    size = p * ((np.abs(v) + p @ np.abs(v)) * (gaps + p @ gaps + 1) + (p * np.abs(v)) @ (gaps + p @ gaps))
    for forward in (True, False):
        assert_within(product("entropy", forward), of_entropy, 3 * row_roundings(x), size.astype(float))
        actual = product("target_log_probability", forward)
        assert_within(actual, -p * along, 3 * row_roundings(x), (p * (np.abs(v) + p @ np.abs(v)) + p).astype(float))


def test_further_results_of_excluded_and_undefined_tokens():
    """Fails when a padding token predicts a class, or an undefined one looks defined (VALUE-13 to VALUE-15)."""
    x = np.zeros((5, 3), np.float32)
    x[1, 1], x[2, 2], x[3] = NAN, INF, -INF
    one = token_cross_entropy(x, [3, 0, 0, 0, 2], also=ALSO)
    np.testing.assert_array_equal(one.predicted_class, [-1, -1, -1, -1, 0])
    assert one.predicted_class.dtype == np.int32
    for value in (one.target_log_probability, one.entropy):
        assert value[0] == 0
        np.testing.assert_array_equal(np.isnan(value), [False, True, True, True, False])
    gradient = jax.grad(lambda x: token_cross_entropy(x, [3, 0, 0, 0, 2], also=ALSO).entropy.sum())(x)
    np.testing.assert_array_equal(np.isnan(gradient).all(-1), [False, True, True, True, False])
    assert token_cross_entropy(np.array([0.0, -INF], np.float32), 1, also=ALSO).target_log_probability == -INF


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("classes", [1, 5, 134, 167, 4096])
def test_the_predicted_class_is_the_first_of_the_largest(classes, dtype):
    """Fails when a later one of equal logits is taken, or a block is mistaken for another (VALUE-14)."""
    x = RNG.integers(-3, 3, (5, classes)).astype(np.float32)
    x[1] = -INF
    x[1, classes - 1] = 2.0
    for cap in (None, 0.5):
        one = token_cross_entropy(jnp.asarray(x, dtype), np.zeros(5, int), logit_softcap=cap, also=("predicted_class",))
        np.testing.assert_array_equal(one.predicted_class, x.argmax(-1))


def test_the_predicted_class_does_not_depend_on_the_cap():
    """Fails when logits that the cap makes equal in float32 are taken for equal (VALUE-14)."""
    x = np.array([100.0, 300.0, 200.0], np.float32)
    assert token_cross_entropy(x, 0, logit_softcap=3.0, also=("predicted_class",)).predicted_class == 1


def passes(also):
    """The number of reductions of whole rows in the program."""
    x, targets = np.zeros((8, 4096), np.float32), np.zeros(8, int)

    def count(jaxpr):
        inner = [value for eqn in jaxpr.eqns for value in jax.tree.leaves(eqn.params) if hasattr(value, "eqns")]
        return sum(map(count, inner)) + sum(
            eqn.primitive.name.startswith(("reduce_", "argm")) and eqn.invars[0].aval.size == x.size
            for eqn in jaxpr.eqns
        )

    return count(jax.make_jaxpr(partial(token_cross_entropy, targets=targets, also=also, implementation="xla"))(x))


def test_only_what_is_asked_for_is_computed():
    """Fails when a pass over the logits is spent on a result that nobody wants (SHAPE-7)."""
    plain = token_cross_entropy(X, TARGETS)
    assert [getattr(plain, name) for name in ALSO] == [None] * 3
    assert passes(()) == passes(("target_log_probability",)) > 0
    assert passes(("entropy",)) == passes(()) + 1
    assert passes(("predicted_class",)) == passes(()) + 2  # one of them a maximum, which the compiler shares


def test_keywords_that_mean_nothing_are_named():
    """Fails when a misspelt keyword is taken for its default (SHAPE-7)."""
    for function in (token_cross_entropy, compute_weighted_cross_entropy):
        call = partial(function, X, TARGETS)
        raises(
            ValueError,
            "smoothing must be 'others' or 'uniform', got smoothing='all': 'others' spreads label_smoothing over the "
            "V - 1 other classes, 'uniform' over all V.",
            partial(call, smoothing="all"),
        )
        raises(
            TypeError,
            "subtract_entropy must be True or False, got subtract_entropy=1 of type int: it decides what is compiled, "
            "so pass a bool that is known then.",
            partial(call, subtract_entropy=1),
        )
        raises(
            ValueError,
            "implementation must be None (the best for the platform) or one of 'xla', got implementation='cuda'.",
            partial(call, implementation="cuda"),
        )
        call(implementation="xla")
    raises(
        ValueError,
        "also must name further results, got 'accuracy': choose from 'target_log_probability', 'predicted_class', "
        "'entropy'.",
        lambda: token_cross_entropy(X, TARGETS, also=("entropy", "accuracy")),
    )
    raises(
        TypeError,
        "also must be a sequence of names, got also='entropy': pass ('entropy',).",
        lambda: token_cross_entropy(X, TARGETS, also="entropy"),
    )


def test_a_cap_is_a_known_positive_number():
    """Fails when a cap that caps nothing, or changes the sign, is compiled (SHAPE-7)."""
    for cap in (0.0, -1.0, INF, NAN, 1e39):
        raises(
            ValueError,
            f"logit_softcap must be positive and finite in float32, got logit_softcap={cap!r}: pass the largest size a "
            "logit is to have, 30.0 for instance, or None for no cap.",
            lambda cap=cap: token_cross_entropy(X, TARGETS, logit_softcap=cap),
        )
    for cap in ("30", True, 1j):
        with pytest.raises(
            TypeError, match=r"^logit_softcap must be a real number or None, got logit_softcap=.* of type "
        ):
            token_cross_entropy(X, TARGETS, logit_softcap=cap)
    with pytest.raises(TypeError, match=r"^logit_softcap must be a known number, got a traced one, .*: it is compiled"):
        jax.jit(lambda cap: token_cross_entropy(X, TARGETS, logit_softcap=cap))(3.0)
    assert (
        token_cross_entropy(X, TARGETS, logit_softcap=np.float32(3)).loss[0]
        == token_cross_entropy(X, TARGETS, logit_softcap=3).loss[0]
    )


@pytest.mark.parametrize("dense", [False, True])
def test_a_tpu_is_asked_for_its_best(dense):
    """Fails when an exp, log or tanh that a result depends on is computed with a TPU's default accuracy (ACC-1)."""
    targets = np.full((4, 134), 0.25, np.float32) if dense else np.zeros(4, int)

    def loss(x, e):
        one = token_cross_entropy(x, targets, label_smoothing=0.0 if dense else e, logit_softcap=3.0, also=ALSO)
        return one.loss.sum() + one.entropy.sum()

    program = jax.jit(jax.value_and_grad(loss, (0, 1))).trace(jnp.zeros((4, 134)), jnp.float32(0.1))
    text = program.lower(lowering_platforms=("tpu",)).as_text()
    asked = 0
    for function in text.split("func.func")[1:]:
        lines = function.splitlines()
        for i, line in enumerate(lines):
            if found := re.search(r"(%\w+) = stablehlo\.(exponential|log|log_plus_one|tanh|logistic) ", line):
                # jax leaves a copy with the default, for nobody. Each branch has names of its own.
                rest = itertools.takewhile(lambda each, name=found[1]: f"{name} = " not in each, lines[i + 1 :])
                used = any(re.search(rf"{found[1]}\b", each) for each in rest)
                asked += used
                assert not used or "HIGHEST" in line, line
    assert asked >= 6


@pytest.mark.parametrize("differentiated", [False, True], ids=["forward", "value_and_grad"])
@pytest.mark.parametrize("keywords", [{"logit_softcap": 30.0}, {"also": ALSO}], ids=["cap", "also"])
def test_no_copy_of_the_logits_is_made(keywords, differentiated):
    """Fails when a capped copy of the logits, or what two passes share, is written."""
    logits, targets = jax.ShapeDtypeStruct((512, 32128), "float32"), jax.ShapeDtypeStruct((512,), "int32")

    def loss(x, t):
        one = token_cross_entropy(x, t, z_loss=1e-4, **keywords)
        return sum(
            value.sum() for name, value in one._asdict().items() if value is not None and name != "predicted_class"
        )

    program = jax.jit(jax.value_and_grad(loss) if differentiated else loss).lower(logits, targets).compile()
    assert program.memory_analysis().temp_size_in_bytes < 0.04 * 4 * logits.size
