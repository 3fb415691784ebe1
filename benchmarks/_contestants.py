"""The losses that are compared, each as programs of the same shape: lossproof, t5x's formula, optax, torch, Keras."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import _floor
import jax
import jax.numpy as jnp
from _inputs import Inputs
from jax import Array

import lossproof
from lossproof.spec import LOSSPROOF, Convention

# Modes: the total or each token's loss, alone or with the gradient.
FORWARD, VALUE_AND_GRAD, TOKENS, TOKENS_AND_GRAD = "forward", "value_and_grad", "tokens", "tokens and gradient"
OF_TOTAL, WITH_GRADIENT = {FORWARD, VALUE_AND_GRAD}, {VALUE_AND_GRAD, TOKENS_AND_GRAD}
FLOOR, OURS = "floor", "lossproof"


class Setting(NamedTuple):
    """Smoothing and z-loss, as far as a contestant has them."""

    label_smoothing: float
    z_loss: float


PLAIN, SMOOTHED = "plain", "smoothed"
SETTINGS = {PLAIN: Setting(0.0, 0.0), SMOOTHED: Setting(0.1, 1e-4)}


@dataclass(frozen=True)
class Program:
    """Something to run and to time.

    Attributes:
      run: computes and waits for the result.
      temporaries: bytes that the compiled program allocates besides arguments and results; None where not known.
    """

    run: Callable[[], Any]
    temporaries: int | None = None


Loss = Callable[[Any, Any, Setting], Any]


@dataclass(frozen=True)
class Contestant:
    """A loss in JAX.

    Attributes:
      name: as printed.
      total: the sum of the token losses, of (logits, targets, setting).
      tokens: the token losses, likewise; without smoothing and z-loss.
      settings: what it has of `SETTINGS`.
      convention: what it means by them.
    """

    name: str
    total: Loss
    tokens: Loss
    settings: tuple[str, ...] = (PLAIN, SMOOTHED)
    convention: Convention = LOSSPROOF

    def program(self, inputs: Inputs, setting: str, mode: str) -> Program:
        """Compiles what a mode asks for; a gradient is by the logits, of the sum."""
        loss = self.total if mode in OF_TOTAL else self.tokens

        def values(logits: Array, targets: Array) -> Any:
            return loss(logits, targets, SETTINGS[setting])

        def with_gradient(logits: Array, targets: Array) -> Any:
            result, pull_back = jax.vjp(lambda x: values(x, targets), logits)
            return result, *pull_back(jnp.ones_like(result))

        return compiled(with_gradient if mode in WITH_GRADIENT else values, *inputs.jax)


class TorchContestant(Contestant):
    """A loss in torch, eager; without a gradient nothing is kept for one."""

    def program(self, inputs: Inputs, setting: str, mode: str) -> Program:
        """As in Contestant; what torch allocates is not known."""
        import torch

        loss, (logits, targets) = self.total if mode in OF_TOTAL else self.tokens, inputs.torch

        def values() -> Any:
            with torch.no_grad():
                return loss(logits, targets, SETTINGS[setting])

        def with_gradient() -> Any:
            leaf = logits.detach().requires_grad_()
            result = loss(leaf, targets, SETTINGS[setting])
            return result.detach(), *torch.autograd.grad(result, leaf, torch.ones_like(result))

        return Program(with_gradient if mode in WITH_GRADIENT else values)


def compiled(function: Callable[..., Any], *arguments: Array) -> Program:
    """A JAX function of these arguments as a program."""
    executable = jax.jit(function).lower(*arguments).compile()
    analysis = executable.memory_analysis()
    size = None if analysis is None else int(analysis.temp_size_in_bytes)
    return Program(lambda: jax.block_until_ready(executable(*arguments)), size)


def floor_program(inputs: Inputs, mode: str) -> Program:
    """The passes that no loss can do without."""
    return compiled({FORWARD: _floor.forward, VALUE_AND_GRAD: _floor.value_and_grad}[mode], inputs.jax[0])


def contestants() -> tuple[list[Contestant], list[str]]:
    """Returns those whose library is installed, ours first, and the names of the others."""
    makers = {OURS: _lossproof, "t5x": _t5x, "optax": _optax, "torch": _torch, "keras": _keras}
    here = [name for name in makers if name == "t5x" or importlib.util.find_spec(name)]
    return [makers[name]() for name in here], [name for name in makers if name not in here]


def _lossproof() -> Contestant:
    return Contestant(
        OURS,
        total=lambda x, t, s: lossproof.compute_weighted_cross_entropy(x, t, None, *s)[0],
        tokens=lambda x, t, s: lossproof.token_cross_entropy(x, t, label_smoothing=s[0], z_loss=s[1]).loss,
    )


def _t5x() -> Contestant:
    formula = _module(Path(__file__).resolve().parents[1] / "examples" / "t5x_formula.py")

    def tokens(logits: Array, targets: Array, setting: Setting) -> Any:
        dense = jax.nn.one_hot(targets, logits.shape[-1], dtype=jnp.float32)
        return formula.cross_entropy_with_logits(logits, dense, setting.z_loss)[0]

    return Contestant("t5x", lambda x, t, s: formula.compute_weighted_cross_entropy(x, t, None, *s)[0], tokens)


def _optax() -> Contestant:
    import optax

    def tokens(logits: Array, targets: Array, _: Setting) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets)

    return Contestant(
        "optax",
        total=lambda x, t, s: tokens(x, t, s).sum(),
        tokens=tokens,
        settings=(PLAIN,),
    )


def _torch() -> Contestant:
    from torch.nn.functional import cross_entropy

    def reduced(reduction: str) -> Loss:
        return lambda x, t, s: cross_entropy(x, t, reduction=reduction, label_smoothing=s.label_smoothing)

    convention = Convention(smoothing="uniform", subtract_entropy=False, add_z_loss=False)
    return TorchContestant("torch", reduced("sum"), reduced("none"), convention=convention)


def _keras() -> Contestant:
    os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is first imported
    import keras

    def tokens(logits: Array, targets: Array, _: Setting) -> Any:
        return keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)

    return Contestant(
        "keras",
        total=lambda x, t, s: jnp.sum(tokens(x, t, s)),
        tokens=tokens,
        settings=(PLAIN,),
    )


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"expected a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
