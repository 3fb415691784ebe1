"""Calls of a JAX function in every way: transforms, derivatives, containers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lossproof.conformance.coverage.way import Answer, Buffers, Directions, Way, given_as, refuse_changed
from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.targets._target import Split
from lossproof.conformance.targets.frameworks._devices import axis_names, on_split_classes, sharded, spread
from lossproof.conformance.targets.frameworks.python import PythonTarget, target_code
from lossproof.spec import KEYWORDS, SCALARS

SPLIT = Split((4,))

Tree = Any
Body = Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


def perform(target: PythonTarget, way: Way, cases: Sequence[Case], directions: Sequence[Directions]) -> list[Answer]:
    """What the target makes of calls that differ in numbers alone, by one compiled program; see `Target.perform`."""
    with jax.enable_x64(way.transform == "x64" or cases[0].dtype == "float64"):
        body = _body(target, way, cases[0])
        if way.is_mapped:
            return _mapped(way, body, cases, directions)
        program, buffers = _transformed(way, body), Buffers(partial(given_as, given=way.given))
        return [_called(program, way, buffers, case, along) for case, along in zip(cases, directions, strict=True)]


def _called(program: Body, way: Way, buffers: Buffers, case: Case, along: Directions) -> Answer:
    before = {name: value for name, value in case.inputs.items() if isinstance(value, np.ndarray)}
    given = buffers.filled(before)
    containers = {name: jnp.asarray(value) for name, value in given.items()} if way.given == "jax" else given
    containers = sharded(containers) if way.given == "sharded" else containers
    arguments = (*_arguments(way, case, containers), _typed(case, along))
    with target_code():
        found = program(*arguments)
    answer = _answer(found).copied()
    refuse_changed(before, given)
    return answer


def _arguments(way: Way, case: Case, containers: Mapping[str, Any]) -> tuple[Tree, Tree]:
    """The differentiable arguments, and the others."""
    floats = {name: jnp.asarray(case.inputs[name], case.carried) for name in way.traced(case.inputs)}
    others: dict[str, Any] = {}
    for name, value in containers.items():
        is_float = jnp.issubdtype(case.inputs[name].dtype, jnp.floating) and not isinstance(value, list)
        (floats if is_float else others)[name] = value
    return floats, others


def _typed(case: Case, along: Directions) -> Tree:
    cotangents = [
        {name: np.asarray(value, case.carried) for name, value in pulled.items()} for pulled in along.cotangents
    ]
    tangents = {
        name: np.asarray(value, case.inputs[name].dtype if isinstance(case.inputs[name], np.ndarray) else case.carried)
        for name, value in along.tangents.items()
    }
    vector = None if along.vector is None else along.vector.astype(case.logits.dtype)
    return {"cotangents": cotangents, "tangents": tangents, "vector": vector}


def _constants(way: Way, case: Case) -> dict[str, Any]:
    """Scalars that are no arguments of the program, in the form that the way has for them, and keywords."""
    made: dict[str, Callable[[Any], Any]] = {
        "int": int,
        "numpy": np.dtype(case.carried).type,
        "array": lambda value: jnp.asarray(value, case.carried),
    }
    found = {name: case.inputs[name] for name in KEYWORDS[case.function] if name in case.inputs}
    for name in SCALARS:
        form = way.forms.get(name, "float")
        if case.inputs.get(name) is not None and form != "traced":
            found[name] = made.get(form, float)(case.inputs[name])
    return found


def _body(target: PythonTarget, way: Way, case: Case) -> Body:
    constants = _constants(way, case)
    if way.transform == "split":
        constants["axis_name"] = axis_names(SPLIT)

    def outputs(floats: Tree, others: Tree) -> dict[str, Any]:
        return target.named_results(case, target.functions[case.function](**floats, **others, **constants))

    def by_derivative(others: Tree) -> Callable[[Tree], tuple[Tree, Tree]]:
        def of(floats: Tree) -> tuple[Tree, Tree]:
            found = outputs(floats, others)
            integers = {name: found.pop(name) for name in ("predicted_class",) if name in found}
            return found, integers

        return jax.checkpoint(of) if way.transform == "checkpoint" else of

    def body(floats: Tree, others: Tree, along: Tree) -> tuple[Tree, Tree]:
        others = others | {name: value for name, value in floats.items() if not way.is_by(name)}
        floats = {name: value for name, value in floats.items() if way.is_by(name)}
        if way.derivative == "values":
            return outputs(floats, others), []
        if way.derivative in ("vjp", "vjp twice"):
            found, pullback, integers = jax.vjp(by_derivative(others), floats, has_aux=True)
            pulled = [pullback(_seeds(cotangents, found))[0] for cotangents in along["cotangents"]]
            return found | integers, pulled
        if way.derivative == "jvp":
            zeros = {name: jnp.zeros(np.shape(value), _type_of(value)) for name, value in floats.items()}
            found, moved, integers = jax.jvp(
                by_derivative(others), (floats,), (zeros | along["tangents"],), has_aux=True
            )
            return found | integers, [moved]

        def loss(changed: Tree) -> Any:
            return jnp.sum(by_derivative(others)({**floats, **changed})[0]["loss"])

        logits = {"logits": floats["logits"]}
        vector = {"logits": along["vector"]}
        if way.derivative == "forward over reverse":
            product = jax.jvp(jax.grad(loss), (logits,), (vector,))[1]["logits"]
        elif way.derivative == "reverse over forward":
            product = jax.grad(lambda x: jax.jvp(loss, (x,), (vector,))[1])(logits)["logits"]
        else:
            both = {"logits": floats["logits"], "weights": floats["weights"]}

            def directional(weights: Any) -> Any:
                gradient = jax.grad(lambda x: loss({**both, "logits": x, "weights": weights}))(both["logits"])
                return jnp.sum(gradient.astype(case.carried) * along["vector"].astype(case.carried))

            product = jax.grad(directional)(both["weights"])
        return {}, [{"product": product}]

    return body


def _seeds(cotangents: Tree, found: Tree) -> Tree:
    def seed(name: str, value: Any) -> Any:
        typed = jnp.broadcast_to(jnp.asarray(cotangents.get(name, 0.0), value.dtype), value.shape)
        # inside shard_map the type says whether it may differ between devices, as that of the output does
        return jnp.where(jnp.isnan(value), typed, typed)

    return {name: seed(name, value) for name, value in found.items()}


def _type_of(value: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(value.dtype)


def _transformed(way: Way, body: Body) -> Body:
    if way.transform == "eager":
        return body
    if way.transform == "donated":
        return jax.jit(body, donate_argnums=(0,))
    if way.transform == "devices":
        return jax.jit(lambda floats, others, along: body(*spread(floats, others, along)))
    if way.transform == "split":
        return jax.jit(lambda floats, others, along: _split(way, body, floats, others, along))
    return jax.jit(body)


def _split(way: Way, body: Body, floats: Tree, others: Tree, along: Tree) -> tuple[Tree, Tree]:
    if way.derivative == "values":
        values = on_split_classes(SPLIT, lambda own, others: (body(own, others, along)[0], {}), floats, others)
        return values[0], []

    def answer(floats: Tree, others: Tree, cotangents: Tree) -> tuple[Tree, Tree]:
        found, (pulled,) = body(floats, others, {"cotangents": [cotangents]})
        return found, pulled

    found, pulled = on_split_classes(SPLIT, answer, floats, others, along["cotangents"][0])
    return found, [pulled]


def _mapped(way: Way, body: Body, cases: Sequence[Case], directions: Sequence[Directions]) -> list[Answer]:
    """The calls at once, along a new axis in front of what differs between them."""
    names = way.mapped(cases[0].inputs)
    made = [
        (*_arguments(way, case, _arrays(case)), _typed(case, along))
        for case, along in zip(cases, directions, strict=True)
    ]
    # By NumPy: JAX would compile each stack and slice.
    stacked = jax.tree.map(lambda *each: np.stack([np.asarray(one) for one in each]), *made)
    (floats, others, along) = stacked
    alone = made[0]

    def chosen(group: int) -> Tree:
        return {name: stacked[group][name] if name in names else alone[group][name] for name in alone[group]}

    floats, others = chosen(0), chosen(1)
    if way.transform == "scan":
        fixed = {name: value for name, value in floats.items() if name not in names}
        moving = {name: value for name, value in floats.items() if name in names}

        def scanned(moving: Tree, others: Tree, along: Tree, fixed: Tree) -> Tree:
            def step(_: None, each: Tree) -> tuple[None, Tree]:
                return None, body({**fixed, **each[0]}, each[1], each[2])

            return jax.lax.scan(step, None, (moving, others, along))[1]

        with target_code():
            found = jax.jit(scanned)(moving, others, along, fixed)
    else:
        axes = tuple({name: 0 if name in names else None for name in group} for group in (floats, others))
        with target_code():
            found = jax.jit(jax.vmap(body, in_axes=(*axes, 0)))(floats, others, along)
    arrays = jax.tree.map(as_numbers, found)
    return [_answer(jax.tree.map(lambda array, n=n: array[n], arrays)) for n in range(len(cases))]


def _arrays(case: Case) -> dict[str, Any]:
    return {name: value for name, value in case.inputs.items() if isinstance(value, np.ndarray)}


def as_numbers(array: Any) -> Array:
    """An array as NumPy's; the tangents of integers, which JAX writes without numbers, are 0."""
    found = np.asarray(array)
    return np.zeros(found.shape, np.float32) if found.dtype == jax.dtypes.float0 else found


def _answer(found: tuple[Tree, Tree]) -> Answer:
    outputs, derivatives = jax.tree.map(as_numbers, found)
    return Answer(dict(outputs), tuple(dict(each) for each in derivatives))
