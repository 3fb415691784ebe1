"""Dense targets in every function: against the reference and the bound, and without copies."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, reference, token_cross_entropy
from lossproof.reference.bounds import Bounds, Call, PredictionBounds

from ._enclosures import assert_within_bound

INF, NAN = np.inf, np.nan
RNG = np.random.default_rng(21)
SHAPES = [(4, 5), (3, 134), (3, 167)]  # one block, blocks, and a prime number of classes
CAPS = [None, 3.0]


def problem(count, classes):
    """Logits of many kinds, and targets of any sign and sum; a masked class has the target 0."""
    x = RNG.normal(0, 3, (count, classes)).astype(np.float32)
    q = RNG.normal(0, 1, x.shape).astype(np.float32)
    x[0, 1] += 20
    q[0] = np.eye(classes)[1]
    x[1, ::2], q[1, ::2] = -INF, 0
    x[2] += 100
    q[2] = np.abs(q[2]) / np.abs(q[2]).sum()
    return x, q


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_within_the_bound(shape, cap):
    """Fails when a block, a class or the peak is lost, Q is taken for 1, or 1 - p_j loses its digits (VALUE-7,
    VALUE-12, VALUE-13, GRAD-1, GRAD-3, GRAD-6, GRAD-12, GRAD-13).
    """
    x, q = problem(*shape)
    k = np.float32(0.125)
    also = {"target_log_probability": -0.5, "entropy": 2.0}

    def results(x, q, k):
        return token_cross_entropy(x, q, z_loss=k, logit_softcap=cap, also=(*also, "predicted_class"))

    def total(x, q, k):
        one = results(x, q, k)
        return one.loss.sum() - 0.25 * one.z_loss.sum()

    def further(x, q):
        one = results(x, q, k)
        return sum(c * getattr(one, name).sum() for name, c in also.items())

    actual = jax.jit(results)(x, q, k)
    gradients = jax.jit(jax.grad(total, (0, 1, 2)))(x, q, k)
    of_further = jax.jit(jax.grad(further, (0, 1)))(x, q)
    ones = np.ones(shape[0])
    inputs = {"logits": x, "targets": q, "logit_softcap": cap}
    bounds = Bounds(Call("token_cross_entropy", inputs | {"z_loss": k}))
    exact = reference.token_cross_entropy(x, q, z_loss=k, logit_softcap=cap)
    for name, bound in bounds.values().items():
        assert_within_bound(getattr(actual, name), getattr(exact, name), bound)
    cotangents = {"loss": ones, "z_loss": -0.25 * ones}
    exact = reference.token_cross_entropy_gradients(x, q, z_loss=k, logit_softcap=cap, cotangents=cotangents)
    allowed = bounds.gradients(cotangents)
    for gradient, name in zip(gradients, ("logits", "targets", "z_loss"), strict=True):
        assert_within_bound(gradient, getattr(exact, name), allowed[name])
    predicted = PredictionBounds(Call("token_cross_entropy", inputs))
    exact = reference.prediction(x, q, logit_softcap=cap)
    for name, bound in predicted.values().items():
        assert_within_bound(getattr(actual, name), getattr(exact, name), bound)
    cotangents = {name: c * ones for name, c in also.items()}
    exact = reference.prediction_gradients(x, q, logit_softcap=cap, cotangents=cotangents)
    allowed = predicted.gradients(cotangents)
    for gradient, name in zip(of_further, ("logits", "targets"), strict=True):
        assert_within_bound(gradient, getattr(exact, name), allowed[name])


def test_a_batch_weighs_dense_targets_like_any_others():
    """Fails when a weight of 0 does not absorb NaN, or weight_sum leaves out a token (VALUE-5, VALUE-12, EXCL-1)."""
    x, q = problem(4, 5)
    x[2, 0] = NAN
    q[3, 1] = INF
    weights = np.array([0.5, 2.0, 0.0, 0.0], np.float32)

    def loss(x, q, w):
        return compute_weighted_cross_entropy(x, q, w, 0.0, 0.125, 4.0)

    total, z, weight_sum = loss(x, q, weights)
    inputs = {"logits": x[:2], "targets": q[:2], "weights": weights[:2], "z_loss": 0.125, "loss_normalizing_factor": 4}
    exact = reference.compute_weighted_cross_entropy(x[:2], q[:2], weights[:2], z_loss=0.125, loss_normalizing_factor=4)
    bounds = Bounds(Call("compute_weighted_cross_entropy", inputs)).values()
    assert_within_bound(total, exact.loss, bounds["loss"])
    assert_within_bound(z, exact.z_loss, bounds["z_loss"])
    assert weight_sum == 2.5
    by_x, by_q, by_w = jax.grad(lambda *a: loss(*a)[0], (0, 1, 2))(x, q, weights)
    np.testing.assert_array_equal(by_x[2:], np.zeros((2, 5)))
    np.testing.assert_array_equal(by_q[2:], np.zeros((2, 5)))
    tokens = token_cross_entropy(x, q, z_loss=0.125).loss
    np.testing.assert_array_equal(by_w, np.where(np.isfinite(tokens), tokens / 4, 0))


def test_the_three_functions_have_one_value():
    """Fails when one of them treats dense targets on its own (VALUE-7, VALUE-12)."""
    x, q = problem(4, 5)
    loss, z = cross_entropy_with_logits(x, q, 0.125)
    tokens = token_cross_entropy(x, q, z_loss=0.125, subtract_entropy=False, smoothing="uniform")
    np.testing.assert_array_equal(tokens.loss, loss)
    np.testing.assert_array_equal(tokens.z_loss, z)
    # Row by row on both sides: XLA:CPU may make an FMA of a product and a sum for one row, and not for several.
    for i in range(4):
        total = compute_weighted_cross_entropy(x[i], q[i], None, 0.0, 0.125)[0]
        np.testing.assert_array_equal(total, cross_entropy_with_logits(x[i], q[i], 0.125)[0])


@pytest.mark.parametrize("classes", [5, 134, 167])
@pytest.mark.parametrize(("masses", "loss"), [((1.0, 0.5), INF), ((-1e-30, -1.0), -INF), ((1.0, -1.0), NAN)])
def test_mass_on_masked_classes(classes, masses, loss):
    """Fails when mass on a -inf logit costs a finite loss, or its sign is lost, in some order of the sum (STATE-2)."""
    x, q = np.ones(classes, np.float32), np.zeros(classes, np.float32)
    x[[1, -1]], q[[1, -1]] = -INF, masses
    np.testing.assert_array_equal(token_cross_entropy(x, q).loss, loss)
    gradient = jax.grad(lambda x: token_cross_entropy(x, q).loss)(x)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("x", [(3e38, 3e38, 3e38), (3.4e38, -3.4e38, -INF)])
def test_huge_logits_are_ordinary(x):
    """Fails when a gap overflows under a target that scales it down (STATE-4)."""
    x, q = np.array([x], np.float32), np.array([[0.25, 1e-3, 0.0]], np.float32)
    bound = Bounds(Call("cross_entropy_with_logits", {"logits": x, "targets": q, "z_loss": 0.0})).values()["loss"]
    exact = reference.cross_entropy_with_logits(x, q, 0.0).loss
    assert_within_bound(cross_entropy_with_logits(x, q, 0.0)[0], exact, bound)


@pytest.mark.parametrize("e", [0.1, jnp.float32(0.5)])
def test_label_smoothing_of_dense_targets_is_an_error(e):
    """Fails when smoothing is silently ignored (SHAPE-7)."""
    for function in (token_cross_entropy, compute_weighted_cross_entropy):
        message = (
            f"label_smoothing must be the constant 0 with dense targets, got label_smoothing={float(e)!r}: smooth the "
            "targets, targets = (1 - e) * targets + e / V for instance."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            function(*problem(4, 5), label_smoothing=e)
    with pytest.raises(
        ValueError, match=r"^label_smoothing must be the constant 0 with dense targets, got .*JitTracer"
    ):
        jax.jit(lambda e: token_cross_entropy(*problem(4, 5), label_smoothing=e))(0.0)


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("arguments", [None, 0, 1, (0, 1)], ids=["forward", "logits", "targets", "both"])
def test_no_copy_of_the_logits_is_made(arguments, cap):
    """Fails when XLA merges two passes and writes what they share: a copy would be all of the logits."""
    logits = jax.ShapeDtypeStruct((512, 32128), "float32")

    def loss(x, q):
        return token_cross_entropy(x, q, z_loss=1e-4, logit_softcap=cap).loss.sum()

    program = (
        jax.jit(loss if arguments is None else jax.value_and_grad(loss, arguments)).lower(logits, logits).compile()
    )
    assert program.memory_analysis().temp_size_in_bytes < 0.04 * 4 * logits.size


@pytest.mark.parametrize("implementation", [None, "xla"])
@pytest.mark.parametrize("classes", [1000, 1001])  # the loss showed it at the first, the entropy at the second
def test_confident_tokens_behind_a_cap_keep_their_digits(classes, implementation):
    """Fails when the peak's own logit is capped twice, in two programs that round tanh differently (ACC-1).

    The losses are 1e-4 to 1e-14 where an ulp of a capped logit is 2e-6.
    """
    cap = 50.0
    rng = np.random.default_rng(classes)
    x, targets = rng.normal(size=(6, classes)).astype(np.float32), rng.integers(classes, size=6)
    x[np.arange(6), targets] = np.max(x, axis=-1) + np.float32([10, 20, 40] * 2)
    q = np.eye(classes, dtype=np.float32)[targets]

    @jax.jit
    def results(x, q):
        found = token_cross_entropy(x, q, logit_softcap=cap, also=("entropy",), implementation=implementation)
        return found.loss, found.entropy

    loss, entropy = results(x, q)
    by_targets = jax.jit(jax.grad(lambda q: results(x, q)[0].sum()))(q)
    call, cotangents = Call("token_cross_entropy", {"logits": x, "targets": q, "logit_softcap": cap}), np.ones(6)
    bounds, predicted = Bounds(call), PredictionBounds(call)
    exact = reference.token_cross_entropy(x, q, logit_softcap=cap)
    assert_within_bound(loss, exact.loss, bounds.values()["loss"])
    exact = reference.token_cross_entropy_gradients(x, q, logit_softcap=cap, cotangents={"loss": cotangents})
    assert_within_bound(by_targets, exact.targets, bounds.gradients({"loss": cotangents})["targets"])
    assert_within_bound(entropy, reference.prediction(x, q, logit_softcap=cap).entropy, predicted.values()["entropy"])
