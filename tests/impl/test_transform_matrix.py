"""Each transform of JAX, by each argument, in each type, against the exact derivative.

`pytest -v -m "thorough or not thorough"` on this file is the table, `transform-argument-type-function`; without -m, its
float32 part.
"""

import functools
import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

import lossproof
from lossproof import reference
from lossproof.reference.bounds import Bounds, Call, unit_roundoff, with_final_rounding
from lossproof.spec import DENSE, TOKEN, WEIGHTED

ARGUMENTS = {
    WEIGHTED: ("logits", "weights", "label_smoothing", "z_loss", "loss_normalizing_factor"),
    TOKEN: ("logits", "label_smoothing", "z_loss"),
    DENSE: ("logits", "targets", "z_loss"),
}
NAMES = {WEIGHTED: "weighted", TOKEN: "token", DENSE: "dense"}
DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float64}
# Logits reach token_cross_entropy as they do the weighted loss: compiling that in every type is enough.
TYPES = {WEIGHTED: tuple(DTYPES), TOKEN: ("float32",), DENSE: tuple(DTYPES)}

# Numbers that every type holds, so that the exact answers are those of all.
SHAPE = (2, 3, 5)
TOKENS = SHAPE[:-1]
RNG = np.random.default_rng(30)


def eighths(shape, low=-2.0, high=2.0):
    return RNG.integers(int(8 * low), int(8 * high) + 1, shape) / 8.0


E, K, L = 0.25, 0.125, 2.0
CLASSES = np.array([[0, 4, -1], [3, 2, 1]])
INPUTS = {
    "logits": eighths(SHAPE, -6, 6),
    "weights": np.array([[1.0, 0.5, 2.0], [0.0, -0.25, 1.5]]),
    "label_smoothing": E,
    "z_loss": K,
    "loss_normalizing_factor": L,
}
DENSE_TARGETS = eighths(SHAPE, -1, 1)
DIRECTIONS = {
    "logits": eighths(SHAPE),
    "weights": eighths(TOKENS),
    "targets": eighths(SHAPE),
    "label_smoothing": 0.5,
    "z_loss": 1.5,
    "loss_normalizing_factor": -1.0,
}
COTANGENTS = {
    WEIGHTED: {"loss": 1.0, "z_loss": -0.5, "weight_sum": 0.25},
    TOKEN: {"loss": eighths(TOKENS), "z_loss": eighths(TOKENS), "log_z": eighths(TOKENS)},
    DENSE: {"loss": eighths(TOKENS), "z_loss": eighths(TOKENS)},
}


def inputs_of(function):
    """The arguments by name, logits and targets first."""
    wanted = {name: value for name, value in INPUTS.items() if name in ARGUMENTS[function]}
    return wanted | {"targets": DENSE_TARGETS if function == DENSE else CLASSES}


def typed(name, value, dtype):
    """In the type of the logits, or in the one that is carried."""
    if name == "targets" and np.asarray(value).dtype.kind == "i":
        return jnp.asarray(value)
    carried = np.float64 if dtype == "float64" else np.float32
    return jnp.asarray(np.asarray(value, DTYPES[dtype] if name == "logits" else carried))


def objective(function, cotangents, inputs):
    """The outputs times their cotangents: a scalar."""
    results = getattr(lossproof, function)(**inputs)
    outputs = dict(zip(("loss", "z_loss", "log_z" if function == TOKEN else "weight_sum"), results, strict=False))
    return sum(jnp.sum(outputs[name] * jnp.asarray(by, outputs[name].dtype)) for name, by in cotangents.items())


def stacked(inputs, directions, axis):
    """Two batches of every argument along an axis, the second of which is the inputs' own."""
    pairs = {name: (value + directions[name], value) for name, value in inputs.items()}
    return {name: jnp.stack(pair, axis if pair[0].ndim else 0) for name, pair in pairs.items()}


def axes(inputs, axis):
    return {name: axis if value.ndim else 0 for name, value in inputs.items()}


def mapped(f, x, v, axis):
    """The gradient inside vmap over every argument."""
    both = axes(x, axis)
    gradient = jax.vmap(jax.grad(f), in_axes=(both,), out_axes=both)(stacked(x, v, axis))
    return {name: jnp.take(value, 1, both[name]) for name, value in gradient.items()}


def through_mapped(f, x, _, name):
    """The gradient of a sum over a vmap over one argument alone, which the others' derivatives go through."""

    def total(x):
        over = {other: 0 if other == name else None for other in x}
        return jnp.sum(jax.vmap(f, in_axes=(over,))(x | {name: x[name][None]}))

    return jax.grad(total)(x)


def in_scan(f, x, v):
    """The gradient of a loop whose second step is f, and whose first is f of something else without weight."""

    def total(x):
        steps = jax.tree.map(lambda value, way: jnp.stack([value + way, value]), x, v)
        counts = jnp.arange(2.0, dtype=f(x).dtype)
        return lax.scan(lambda sum_, step: (sum_ + step[0] * f(step[1]), None), 0 * f(x), (counts, steps))[0]

    return jax.grad(total)(x)


def in_cond(f, x, v):
    """The gradient of a branch that is chosen when the program runs."""
    chosen = jnp.sum(v["z_loss"]) > 0
    return jax.grad(lambda x: lax.cond(chosen, f, lambda x: 0 * x["z_loss"], x))(x)


def by_columns(f, x, _):
    """The gradient in forward mode; jax.jacfwd has no basis of two types."""
    return {name: jax.jacfwd(lambda value, name=name: f(x | {name: value}))(x[name]) for name in x}


# Of f, a function of all arguments by name, at x: the gradient by all. v has a direction for each.
FIRST = {
    "grad": lambda f, x, _: jax.grad(f)(x),  # which is jax.vjp of a scalar
    "jacfwd": by_columns,
    "jacrev": lambda f, x, _: jax.jacrev(f)(x),
    "jit": lambda f, x, _: jax.grad(jax.jit(f))(x),
    "checkpoint": lambda f, x, _: jax.grad(jax.checkpoint(f))(x),
    "cond": in_cond,
    "scan": in_scan,
    "vmap_first_axis": lambda f, x, v: mapped(f, x, v, 0),
    "vmap_last_axis": lambda f, x, v: mapped(f, x, v, -1),
    "linear_transpose": lambda f, x, _: jax.linear_transpose(jax.linearize(f, x)[1], x)(jnp.ones_like(f(x)))[0],
}
# Of f, a function of one argument: the derivative along v.
ALONG = {
    "jvp": lambda f, x, v: jax.jvp(f, (x,), (v,))[1],
    "linearize": lambda f, x, v: jax.linearize(f, x)[1](v),
    "jvp_of_vmap": lambda f, x, v: jax.jvp(jax.vmap(f), (x[None],), (v[None],))[1][0],
}
# The same: the Hessian times v.
SECOND = {
    "hvp_forward_over_reverse": lambda f, x, v: jax.jvp(jax.grad(f), (x,), (v,))[1],
    "hvp_reverse_over_forward": lambda f, x, v: jax.grad(lambda x: jax.jvp(f, (x,), (v,))[1])(x),
    "hvp_reverse_over_reverse": lambda f, x, v: jax.grad(lambda x: jnp.sum(jax.grad(f)(x) * v))(x),
}
LOSS = {WEIGHTED: {"loss": 1.0}, TOKEN: {"loss": np.ones(TOKENS)}, DENSE: {"loss": np.ones(TOKENS)}}


def over(function):
    """The gradients through a vmap over each argument alone."""
    return {f"vmap_over_{name}": partial(through_mapped, name=name) for name in ARGUMENTS[function]}


@functools.cache
def answers(function, dtype, kind):
    """The results of the transforms of a kind by (transform, argument), from one program."""
    with jax.enable_x64(dtype == "float64"):
        x = {name: typed(name, value, dtype) for name, value in inputs_of(function).items()}
        constants = {name: x.pop(name) for name in x.keys() - set(ARGUMENTS[function])}
        v = {name: typed(name, DIRECTIONS[name], dtype) for name in x}

        def of_all(x):
            cotangents = LOSS if kind == "second" else COTANGENTS
            return objective(function, cotangents[function], constants | x)

        def program(x, v):
            found = {}
            for transform, of in TABLES[kind](function).items():
                if kind in {"first", "over"}:
                    gradient = of(of_all, x, v)
                    found |= {(transform, name): gradient[name] for name in x}
                else:
                    for name in x:
                        one = partial(lambda value, name: of_all(x | {name: value}), name=name)
                        found[transform, name] = of(one, x[name], v[name])
            return found

        return {key: np.asarray(value) for key, value in jax.jit(program)(x, v).items()}


TABLES = {"first": lambda _: FIRST, "over": over, "along": lambda _: ALONG, "second": lambda _: SECOND}


def rows(kind, types):
    """Parameters whose ids are the rows of the table."""
    return [
        pytest.param(
            transform,
            name,
            dtype,
            function,
            id=f"{transform}-{name}-{dtype}-{NAMES[function]}",
            marks=[] if dtype == "float32" else [pytest.mark.thorough],
        )
        for function, dtypes in types.items()
        for dtype in dtypes
        for transform in TABLES[kind](function)
        for name in ARGUMENTS[function]
    ]


def exact_pair(enclosures):
    """Exact numbers, each as a sum of two float64."""
    several = isinstance(enclosures, reference.EnclosureArray)
    pairs = np.array([each.float_pair() for each in (enclosures if several else [enclosures])])
    return pairs.T.reshape(2, *(enclosures.shape if several else ()))


def assert_near(actual, exact, bound):
    """|actual - exact| <= bound, elementwise."""
    high, low = exact
    assert actual.shape == high.shape == np.shape(bound)
    error = np.abs((actual.astype(np.float64) - high) - low)
    assert (error <= bound).all(), f"expected {high}, got {actual}, error {error}, bound {bound}"


def derivatives(function, inputs, cotangents):
    """Exact ones, by argument."""
    results = getattr(reference, f"{function}_gradients")(**inputs, cotangents=cotangents)
    return {name: exact_pair(value) for name, value in results._asdict().items() if value is not None}


@functools.cache
def exact_gradients(function):
    return derivatives(function, inputs_of(function), COTANGENTS[function])


def bounds_of(function, dtype, grade="C", **changes):
    inputs = inputs_of(function) | changes
    return Bounds(Call(function, inputs | {"logits": np.asarray(inputs["logits"], DTYPES[dtype])}), grade=grade)


def rounded(bound, exact, name, dtype):
    """With the rounding of what is by the logits to their type (ACC-5)."""
    return with_final_rounding(bound, np.abs(exact[0]), dtype) if name == "logits" else bound


def assert_gradient(actual, name, dtype, function):
    exact = exact_gradients(function)[name]
    bound = bounds_of(function, dtype, grade="A").gradients(COTANGENTS[function])[name]
    assert_near(actual, exact, rounded(bound, exact, name, dtype))


@pytest.mark.parametrize(("transform", "name", "dtype", "function"), rows("first", TYPES))
def test_gradient(transform, name, dtype, function):
    """Fails when a transform changes the gradient by an argument (GRAD-1 to GRAD-7, GRAD-10)."""
    assert_gradient(answers(function, dtype, "first")[transform, name], name, dtype, function)


@pytest.mark.parametrize(("transform", "name", "dtype", "function"), rows("over", dict.fromkeys(NAMES, ("float32",))))
def test_gradient_through_a_map_over_one_argument(transform, name, dtype, function):
    """Fails when values and derivatives are not mapped over the same arguments (GRAD-10)."""
    assert_gradient(answers(function, dtype, "over")[transform, name], name, dtype, function)


@pytest.mark.parametrize(("transform", "name", "dtype", "function"), rows("along", TYPES))
def test_derivative_along_a_direction(transform, name, dtype, function):
    """Fails when forward mode is another linear map than the gradient (GRAD-8, GRAD-10)."""
    high, low = exact_gradients(function)[name]
    along = {name: DIRECTIONS[name]}
    bounds = bounds_of(function, dtype)
    bound = bounds.jvp(bounds.gradients(COTANGENTS[function]), {name: np.abs(high)}, along)
    exact = [np.array(math.fsum(np.ravel(part * along[name]))) for part in (high, low)]
    assert_near(answers(function, dtype, "along")[transform, name], exact, bound)


@pytest.mark.parametrize(("transform", "name", "dtype", "function"), rows("second", TYPES))
def test_second_derivative_times_a_direction(transform, name, dtype, function):
    """Fails when the derivative of the gradient by the same argument is another, in any order of modes (GRAD-9)."""
    exact, bound = second_derivative(function, name, dtype)
    if name == "logits" and transform != "hvp_forward_over_reverse":
        # What reverse mode adds up for the logits comes in their own type: two parts and their sum, each rounded.
        bound = bound + 3 * unit_roundoff(dtype) * parts_of_product(bounds_of(function, dtype), DIRECTIONS[name])
    assert_near(answers(function, dtype, "second")[transform, name], exact, rounded(bound, exact, name, dtype))


def parts_of_product(bounds, v):
    """The sum of the absolute values that a Hessian-vector product is made of: c p (a (v - s) + 2 k s) of GRAD-9."""
    terms, size = bounds.terms, np.abs(v)
    mean = np.sum(terms.p * size, axis=-1, keepdims=True)
    mass = np.sum(np.abs(terms.q), axis=-1, keepdims=True)
    curvature = mass + 2 * bounds.k * np.abs(terms.lse)
    coefficients = terms.coefficients[..., None]
    return coefficients * terms.p * (curvature * (size + mean) + 2 * bounds.k * mean)


def second_derivative(function, name, dtype):
    """The Hessian by one argument times its direction, and the bound on it."""
    inputs, v = inputs_of(function), DIRECTIONS[name]
    if name == "logits":
        product = {WEIGHTED: "weighted", TOKEN: "token", DENSE: "dense"}[function] + "_hessian_vector_product"
        exact = exact_pair(getattr(reference, product)(**inputs, vector=v, cotangents=LOSS[function]))
        bounds = bounds_of(function, dtype)
        if function == TOKEN:
            bounds = replace(bounds, call=replace(bounds.call, function=WEIGHTED))
        return exact, bounds.hvp_row(v)
    if name == "label_smoothing":  # of -H, whose second derivative is 1 / e + 1 / (1 - e)
        terms = bounds_of(function, dtype).terms
        coefficients = inputs.get("weights", 1.0) / inputs.get("loss_normalizing_factor", 1.0) * terms.in_range
        curvatures = coefficients * v * (1 / E + 1 / (1 - E))
        exact = np.array([math.fsum(np.ravel(curvatures)), 0.0])
        # Two quotients and their sum, the coefficient, two products, the sum over the tokens.
        roundings = 6 + curvatures.size
        carried = "float64" if dtype == "float64" else "float32"
        return exact, np.asarray(roundings * unit_roundoff(carried) * np.sum(np.abs(curvatures)))
    if name == "loss_normalizing_factor":  # 2 loss / L^2, which is at L = 2 along -1 the first derivative
        exact = derivatives(function, inputs, LOSS[function])[name]
        return exact, bounds_of(function, dtype).gradients(LOSS[function])[name]
    shape = np.shape(inputs[name])
    return np.zeros((2, *shape)), np.zeros(shape)  # the loss is linear in weights, dense targets and z_loss


# What is linear in weights and z_loss, and inverse in the factor, has derivatives by them that are values of the same
# function for other arguments: the direction in their place, or -L^2 / v.
MIXED = {
    (WEIGHTED, "weights"): ({"weights": DIRECTIONS["weights"]}, {"loss": 1}),
    (WEIGHTED, "z_loss"): ({"z_loss": DIRECTIONS["z_loss"]}, {"z_loss": 1}),
    (WEIGHTED, "loss_normalizing_factor"): ({"loss_normalizing_factor": L**2}, {"loss": 1}),
    (DENSE, "targets"): ({"targets": DIRECTIONS["targets"]}, {"loss": 1, "z_loss": -1}),  # z does not depend on them
    (DENSE, "z_loss"): ({"z_loss": DIRECTIONS["z_loss"]}, {"z_loss": 1}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("function", "by"), MIXED, ids=[f"{by}-{NAMES[function]}" for function, by in MIXED])
def test_mixed_second_derivatives(function, by, dtype):
    """Fails when the gradient by another argument is a constant to this one, or the dead are not (GRAD-11)."""
    changes, outputs = MIXED[function, by]
    with jax.enable_x64(dtype == "float64"):
        x = {name: typed(name, value, dtype) for name, value in inputs_of(function).items()}
        v = typed(by, DIRECTIONS[by], dtype)
        others = {name: x[name] for name in ARGUMENTS[function] if name != by}

        def gradient(value):
            return jax.grad(lambda others: objective(function, LOSS[function], x | {by: value} | others))(others)

        actual = jax.jit(lambda value, v: jax.jvp(gradient, (value,), (v,))[1])(x[by], v)
    cotangents = {name: share * LOSS[function]["loss"] for name, share in outputs.items()}
    exact = derivatives(function, inputs_of(function) | changes, cotangents)
    bounds = bounds_of(function, dtype, **changes).gradients(cotangents)
    for name in others:
        assert_near(np.asarray(actual[name]), exact[name], bounds[name])
