"""Targets written in JAX."""

import contextlib
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lossproof.conformance.coverage import AXES
from lossproof.conformance.coverage.way import Answer, Directions, Way, given_as, refuse_changed
from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.targets._target import Arrays, Offer, Split, Unsupported, pair
from lossproof.conformance.targets.frameworks._devices import (
    axis_names,
    on_split_classes,
    provide_devices,
    sharded,
    spread,
)
from lossproof.conformance.targets.frameworks._jax_ways import as_numbers, perform
from lossproof.conformance.targets.frameworks.python import PythonTarget, target_code
from lossproof.spec import FACTOR, KEYWORDS, LOSSPROOF, SCALARS, WEIGHTED, Convention

provide_devices()


class JaxTarget(PythonTarget):
    """Functions that take and return JAX arrays."""

    array = "a JAX array"
    packages: Sequence[str] | Mapping[str, str] = ("jax", "jaxlib")
    transforms: Sequence[str] = AXES["transform"]
    chooses_arguments = True
    derivatives: Sequence[str] = AXES["derivative"]
    has_wide_types = False

    def __init__(
        self,
        name: str,
        functions: Mapping[str, Callable[..., Any]],
        offers: Mapping[str, Offer],
        convention: Convention = LOSSPROOF,
        *,
        scalars_differentiable: bool = True,
    ) -> None:
        super().__init__(name, functions, offers, convention, scalars_differentiable=scalars_differentiable)
        self._compiled: dict[Any, Callable[..., Any]] = {}

    @classmethod
    def probe(cls, function: Callable[..., Any], arguments: Sequence[Any], device: str) -> Any:
        del device  # jax has its own default
        return jax.eval_shape(function, *arguments)

    @classmethod
    def evaluate(cls, function: Callable[..., Any], arguments: Sequence[Any], device: str) -> Any:
        del device
        return function(*map(jnp.asarray, arguments))

    @classmethod
    def is_array(cls, value: Any) -> bool:
        return isinstance(value, jax.ShapeDtypeStruct)

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.offer(function)
        return self.functions[function](**arguments)

    def factor(self, cell: Mapping[str, str], factor: Any, batch: Mapping[str, Array]) -> tuple[Any, Any]:
        function = self.functions[FACTOR]
        given = {name: given_as(value, cell["given"]) for name, value in batch.items()}
        if cell["given"] == "jax":
            given = {name: jnp.asarray(value) for name, value in given.items()}
        if cell["given"] == "sharded":
            given = sharded(given)
        if cell["said"] == "member":
            module = sys.modules.get(getattr(function, "__module__", ""), None)
            members = getattr(module, "SpecialLossNormalizingFactor", None)
            if members is None:
                raise Unsupported(f"{self.name} has no SpecialLossNormalizingFactor beside {FACTOR}")
            factor = members[factor]
        program: Callable[[Any], Any] = partial(function, factor)
        with target_code():
            if cell["transform"] == "vmap":
                stacked = {name: np.stack([np.roll(value, 1, 0), value]) for name, value in given.items()}
                named = jax.vmap(lambda each: _named(program(each)))(stacked)
                found = tuple(named[name][1] if name in named else None for name in ("factor", "weights"))
            elif cell["transform"] == "jit":
                named = jax.jit(lambda each: _named(program(each)))(given)
                found = tuple(named.get(name) for name in ("factor", "weights"))
            else:
                found = program(given)
        refuse_changed(batch, given)
        return pair(found)

    def values(self, case: Case) -> Arrays:
        with _precision(case):
            program = self._program("values", case, self._outputs)
            return _numpy(program(*self._arguments(case)))

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        with _precision(case):
            program = self._program("vjp", case, self._vjp)
            outputs, gradients = program(*self._arguments(case), self._cotangents(case, cotangents))
            return _numpy(outputs), _numpy(gradients)

    def jvp(self, case: Case, tangents: Mapping[str, Any]) -> Arrays:
        with _precision(case):
            program = self._program("jvp", case, self._jvp)
            floats, others = self._arguments(case)
            typed = {name: jnp.asarray(tangents[name], floats[name].dtype) for name in tangents}
            zeros = {name: jnp.zeros_like(value) for name, value in floats.items() if name not in typed}
            return _numpy(program(floats, others, typed | zeros))

    def hvp(self, case: Case, vector: Array, order: str) -> Array:
        with _precision(case):
            program = self._program(order, case, partial(self._hvp, order))
            return np.asarray(program(*self._arguments(case), jnp.asarray(vector)))

    def mixed(self, case: Case, direction: Array) -> Array:
        with _precision(case):
            program = self._program("mixed", case, self._mixed)
            return np.asarray(program(*self._arguments(case), jnp.asarray(direction)))

    def transformed(self, case: Case, cotangents: Mapping[str, Any], transform: str) -> tuple[Arrays, Arrays]:
        with _precision(case):
            program = self._program(transform, case, partial(self._through, transform))
            outputs, gradients = program(*self._arguments(case), self._cotangents(case, cotangents))
            return _numpy(outputs), _numpy(gradients)

    def split(self, case: Case, cotangents: Mapping[str, Any], split: Split) -> tuple[Arrays, Arrays]:
        with _precision(case):
            program = self._program(split, case, partial(self._split_classes, split))
            outputs, gradients = program(*self._arguments(case), self._cotangents(case, cotangents))
            return _numpy(outputs), _numpy(gradients)

    def perform(self, way: Way, cases: Sequence[Case], directions: Sequence[Directions]) -> list[Answer]:
        self.offer(cases[0].function)
        return perform(self, way, cases, directions)

    # Programs: functions of (floats, others), dictionaries of differentiable and of other arguments.

    def _outputs(self, case: Case, floats: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
        known = (*SCALARS, *KEYWORDS[case.function])
        concrete = {name: case.inputs[name] for name in known if name in case.inputs and name not in floats}
        results = self.functions[case.function](**floats, **others, **concrete)
        return self.named_results(case, results)

    def _by_derivative(self, case: Case, others: Any) -> Callable[[Any], tuple[Any, Any]]:
        """The outputs that have a derivative, and those that have none, of the floats."""

        def outputs(floats: Any) -> tuple[Any, Any]:
            found = self._outputs(case, floats, others)
            integers = {name: found.pop(name) for name in ("predicted_class",) if name in found}
            return found, integers

        return outputs

    def _vjp(self, case: Case, floats: Any, others: Any, cotangents: Any) -> tuple[Any, Any]:
        outputs, pullback, integers = jax.vjp(self._by_derivative(case, others), floats, has_aux=True)
        (gradients,) = pullback({name: _cotangent(cotangents[name], value) for name, value in outputs.items()})
        return outputs | integers, gradients

    def _jvp(self, case: Case, floats: Any, others: Any, tangents: Any) -> Any:
        return jax.jvp(self._by_derivative(case, others), (floats,), (tangents,), has_aux=True)[1]

    def _loss_of_logits(self, case: Case, floats: Mapping[str, Any], others: Any) -> Callable[[Any], Any]:
        return lambda logits: jnp.sum(self._outputs(case, {**floats, "logits": logits}, others)["loss"])

    def _hvp(self, order: str, case: Case, floats: Any, others: Any, vector: Any) -> Any:
        loss = self._loss_of_logits(case, floats, others)
        if order == "forward-over-reverse":
            return jax.jvp(jax.grad(loss), (floats["logits"],), (vector,))[1]
        return jax.grad(lambda x: jax.jvp(loss, (x,), (vector,))[1])(floats["logits"])

    def _mixed(self, case: Case, floats: Any, others: Any, direction: Any) -> Any:
        def directional(weights: Any) -> Any:
            loss = self._loss_of_logits(case, {**floats, "weights": weights}, others)
            return jnp.sum(jax.grad(loss)(floats["logits"]) * direction)

        return jax.grad(directional)(floats["weights"])

    def _through(self, transform: str, case: Case, floats: Any, others: Any, cotangents: Any) -> Any:
        if transform == "checkpoint":
            plain = jax.checkpoint(lambda f: self._outputs(case, f, others))
            outputs, pullback = jax.vjp(plain, floats)
            return outputs, pullback({name: cotangents[name] for name in outputs})[0]
        if transform == "devices":
            return self._vjp(case, *spread(floats, others, cotangents))
        per_batch = {name for name in floats if name not in SCALARS}
        mapped = {name: floats[name] for name in per_batch}
        fixed = {name: value for name, value in floats.items() if name not in per_batch}

        def one(arguments: tuple[Any, Any, Any]) -> Any:
            return self._vjp(case, {**arguments[0], **fixed}, arguments[1], arguments[2])

        if transform == "vmap":
            return jax.vmap(one)((mapped, others, cotangents))
        if transform == "scan":
            return jax.lax.scan(lambda _, slices: (None, one(slices)), None, (mapped, others, cotangents))[1]
        raise Unsupported(f"no transform {transform}")

    def _split_classes(self, split: Split, case: Case, floats: Any, others: Any, cotangents: Any) -> Any:
        case = case.with_inputs(axis_name=axis_names(split))
        if split.is_inside:
            return on_split_classes(split, partial(self._vjp, case), floats, others, cotangents)

        def outputs(floats: Any) -> tuple[Any, Any]:
            found, _ = on_split_classes(split, lambda *parts: (self._outputs(case, *parts), {}), floats, others)
            return {name: value[0] for name, value in found.items() if name != "predicted_class"}, found

        first, pullback, found = jax.vjp(outputs, floats, has_aux=True)
        return found, pullback({name: cotangents[name] for name in first})[0]

    # Arguments.

    def _arguments(self, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
        floats: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in case.inputs.items():
            if name in SCALARS:
                if case.traced and self.scalars_differentiable and value is not None:
                    floats[name] = jnp.asarray(value, case.carried)
            elif value is not None and name not in KEYWORDS[case.function]:
                array = value if _is_wide(value) else jnp.asarray(value)
                (floats if jnp.issubdtype(array.dtype, jnp.floating) else others)[name] = array
        return floats, others

    def _cotangents(self, case: Case, cotangents: Mapping[str, Any]) -> dict[str, Any]:
        shape = () if case.function == WEIGHTED else case.logits.shape[:-1]
        return {
            name: jnp.asarray(cotangents.get(name, np.zeros(shape)), case.carried)
            for name in (*self.offer(case.function).outputs, *case.also)
        }

    def _program(self, kind: Hashable, case: Case, body: Callable[..., Any]) -> Callable[..., Any]:
        traced = case.traced and self.scalars_differentiable
        known = KEYWORDS[case.function] if traced else (*SCALARS, *KEYWORDS[case.function])
        concrete = tuple((name, case.inputs.get(name)) for name in known)
        if any(_is_wide(value) for value in case.inputs.values()):
            return target_code()(partial(body, case))  # compiled, the arguments would reach the target cut to 32 bits
        key = (kind, case.function, concrete, tuple(sorted(case.inputs)), case.carried)
        if key not in self._compiled:
            self._compiled[key] = target_code()(jax.jit(partial(body, case)))
        return self._compiled[key]


def _named(found: Any) -> dict[str, Any]:
    return {name: value for name, value in zip(("factor", "weights"), pair(found), strict=True) if value is not None}


def _cotangent(cotangent: Any, output: Any) -> Any:
    """In the type of the output, which in shard_map says whether it may differ between devices (it should not)."""
    typed = jnp.asarray(cotangent, output.dtype)
    return jnp.where(jnp.isnan(output), typed, typed)


def _is_wide(value: Any) -> bool:
    """Whether this is an array of 64-bit integers, which jax would cut to 32 bits."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.dtype.itemsize > 4


@contextlib.contextmanager
def _precision(case: Case) -> Iterator[None]:
    with jax.enable_x64(case.dtype == "float64"):
        yield


def _numpy(arrays: Mapping[str, Any]) -> Arrays:
    return {name: as_numbers(value) for name, value in arrays.items()}
