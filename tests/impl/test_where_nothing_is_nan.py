"""Special values that are legitimate, under what looks for NaNs and infinities: it finds none that are not results."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

from lossproof import compute_weighted_cross_entropy, cross_entropy_with_logits, token_cross_entropy

INF = np.inf
X = np.array([[0.5, -1.0, 2.0, 0.25], [1.0, 3.0, -0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
T = np.array([1, 2, 3], np.int32)
W = np.array([1.0, 0.5, 2.0], np.float32)


class Case(NamedTuple):
    """Arguments of a loss; logits in float64, to be rounded to the type that is tested."""

    logits: np.ndarray = X
    targets: np.ndarray = T
    weights: np.ndarray | None = W
    scalars: Mapping[str, Any] = MappingProxyType({"z_loss": 0.25})


def with_row(row, at=1):
    return np.where(np.arange(3)[:, None] == at, row, X)


def with_entry(value, at):
    x = X.copy()
    x[at] = value
    return x


SMOOTHED = {"label_smoothing": 0.125, "z_loss": 0.25}
CASES = {
    "masked_class": Case(with_entry(-INF, (1, 0))),
    "masked_classes_but_the_target": Case(with_row([-INF, -INF, 1.0, -INF])),
    "all_masked_weight_0": Case(with_row(-INF), weights=np.array([1, 0, 2], np.float32)),
    "all_masked_weight_0_smoothed": Case(with_row(-INF), weights=np.array([1, 0, 2], np.float32), scalars=SMOOTHED),
    "all_masked_target_excluded": Case(with_row(-INF), targets=np.array([1, -1, 3], np.int32)),
    "all_masked_target_excluded_smoothed": Case(
        with_row(-INF), targets=np.array([1, -1, 3], np.int32), scalars=SMOOTHED
    ),
    "target_masked_weight_0": Case(with_entry(-INF, (1, 2)), weights=np.array([1, 0, 2], np.float32)),
    "padding_weights": Case(weights=np.zeros(3, np.float32), scalars=SMOOTHED | {"loss_normalizing_factor": 0.0}),
    "padding_targets": Case(targets=np.full(3, -1, np.int32), scalars=SMOOTHED | {"loss_normalizing_factor": 0.0}),
    "padding_masked": Case(
        np.full((3, 4), -INF), weights=np.zeros(3, np.float32), scalars={"loss_normalizing_factor": 0.0}
    ),
    "e_0": Case(scalars={"label_smoothing": 0.0, "z_loss": 0.25}),
    "e_1": Case(scalars={"label_smoothing": 1.0, "z_loss": 0.25}),
    "e_1_uniform": Case(scalars={"label_smoothing": 1.0, "z_loss": 0.25, "smoothing": "uniform"}),
    "k_0": Case(scalars={"label_smoothing": 0.125, "z_loss": 0.0}),
    "huge": Case(with_row(3e38), scalars={}),
    "huge_smoothed": Case(with_row(3e38), scalars={"label_smoothing": 0.125}),
    "huge_and_small": Case(with_row([3e38, 0.0, 3e38, -1.0]), scalars={}),
    "huge_capped": Case(with_row([3e38, -3e38, 0.0, 1.0]), scalars=SMOOTHED | {"logit_softcap": 4.0}),
    "masked_class_capped": Case(with_entry(-INF, (1, 0)), scalars={"z_loss": 0.25, "logit_softcap": 4.0}),
    "one_class": Case(X[:, :1], targets=np.zeros(3, np.int32), scalars=SMOOTHED),
    "no_tokens": Case(X[:0], T[:0], W[:0], SMOOTHED),
}
TRACED = {"label_smoothing", "z_loss", "loss_normalizing_factor"}


def weighted(case, traced):
    """The loss of the batch and its gradient, as a function of the logits and of scalars that are traced."""

    def loss(logits, scalars):
        return compute_weighted_cross_entropy(logits, case.targets, case.weights, **{**case.scalars, **scalars})[0]

    return partial(jax.value_and_grad(loss), scalars={name: jnp.float32(case.scalars[name]) for name in traced})


def token(case, also):
    def loss(logits):
        scalars = {name: value for name, value in case.scalars.items() if name != "loss_normalizing_factor"}
        terms = token_cross_entropy(logits, case.targets, also=also, **scalars)
        return sum(jnp.sum(each) for each in terms if each is not None and each.dtype != jnp.int32), terms

    return jax.value_and_grad(loss, has_aux=True)


def dense(case, function):
    """The same targets, as weights of all classes."""
    q = np.asarray(case.targets[:, None] == np.arange(case.logits.shape[1]), np.float32)
    k = case.scalars.get("z_loss", 0.0)

    def loss(logits):
        if function == "weighted":
            factor = case.scalars.get("loss_normalizing_factor")
            return compute_weighted_cross_entropy(logits, q, case.weights, 0.0, k, factor)[0]
        return jnp.sum(cross_entropy_with_logits(logits, q, k)[0])

    return jax.value_and_grad(loss)


# Without weights, a row without any class is undefined unless its target is out of range; dense targets have no range.
BY_WEIGHT = {name for name in CASES if name.endswith(("weight_0", "weight_0_smoothed")) or name == "padding_masked"}
BY_TARGET = {"all_masked_target_excluded", "all_masked_target_excluded_smoothed"}
ROWS = {
    "weighted": (lambda case: weighted(case, ()), set()),
    "weighted_traced": (lambda case: weighted(case, TRACED.intersection(case.scalars)), set()),
    "token": (lambda case: token(case, ()), BY_WEIGHT),
    "token_also": (lambda case: token(case, ("target_log_probability", "predicted_class", "entropy")), BY_WEIGHT),
    "weighted_dense": (lambda case: dense(case, "weighted"), BY_TARGET),
    "dense": (lambda case: dense(case, "dense"), BY_WEIGHT | BY_TARGET),
}
# One of each kind.
OFTEN = {
    "masked_class",
    "all_masked_weight_0",
    "all_masked_target_excluded_smoothed",
    "target_masked_weight_0",
    "padding_weights",
    "padding_targets",
    "e_1",
    "k_0",
    "huge",
}
TYPES = ("float32", "bfloat16", "float16")


def cells(often):
    """Every case for every function in every type; some of one function in float32 are not thorough."""
    return [
        pytest.param(
            make,
            case,
            dtype,
            id=f"{name}-{dtype}-{row}",
            marks=[] if dtype == "float32" and row == often and name in OFTEN else [pytest.mark.thorough],
        )
        for row, (make, without) in ROWS.items()
        for name, case in CASES.items()
        if name not in without
        for dtype in TYPES
        if dtype != "float16" or "huge" not in name
    ]


def logits_of(case, dtype):
    return jnp.asarray(case.logits.astype(np.float32)).astype(dtype)


@pytest.mark.parametrize(("make", "case", "dtype"), cells("weighted"))
def test_checkify_reports_nothing(make, case, dtype):
    """Fails when a NaN is formed on the way to a result that has none, or a division by 0 is (EXCL-1, EXCL-3)."""
    program = checkify.checkify(make(case), errors=checkify.float_checks)
    error, results = jax.jit(program)(logits_of(case, dtype))
    assert error.get() is None
    assert not any(np.isnan(np.asarray(each, np.float64)).any() for each in jax.tree.leaves(results))


@pytest.mark.parametrize(("make", "case", "dtype"), cells("token"))
def test_debug_nans_stops_nowhere(make, case, dtype):
    """Fails when a compiled part of the loss gives a NaN, and a user who looks for one is sent there (EXCL-1)."""
    logits = logits_of(case, dtype)
    with jax.debug_nans(True):
        actual = make(case)(logits)
        jitted = jax.jit(make(case))(logits)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_array_equal(np.isfinite(one), np.isfinite(other))


def test_checkify_on_a_finite_row_but_for_one_class_that_is_masked():
    """Fails when -inf off the target, with mass 0, is met by that 0 as a number (STATE-1)."""
    x = jnp.array([[1.0, 2.0, -jnp.inf]])

    def loss(x):
        return jnp.sum(token_cross_entropy(x, np.array([0])).loss)

    error, _ = checkify.checkify(jax.value_and_grad(loss), errors=checkify.float_checks)(x)
    assert error.get() is None
