"""What the suite asks of an implementation under test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lossproof.conformance.coverage.way import (
    PLAIN_DERIVATIVES,
    PLAIN_TRANSFORMS,
    Answer,
    Buffers,
    Directions,
    Way,
    given_as,
    refuse_changed,
)
from lossproof.conformance.judging.case import DTYPES, Array, Case
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets._limits import Limits, OutsideLimits as OutsideLimits, Unsupported as Unsupported
from lossproof.spec import FACTOR, LOSSPROOF, Convention

Arrays = dict[str, Array]


class TargetError(Exception):
    """The target cannot be had; the message says what to do."""


class TargetRaised(Exception):
    """What a target raised when it was asked: the cause of this."""


class NotApplicable(Exception):
    """The check is about targets of another kind; the reason is the message."""


@dataclass(frozen=True)
class Offer:
    """One of the four functions, as far as a target has it.

    Attributes:
      outputs: the outputs it returns, in the order it returns them.
      arguments: the arguments it takes.
      required: those of them that have no default, besides logits and targets.
    """

    outputs: tuple[str, ...]
    arguments: tuple[str, ...]
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Classes over devices (SPLIT).

    Attributes:
      sizes: of the mesh axes, in the order in which the target is given their names.
      is_inside: whether derivatives are taken by each device, of its own call; else of the function of whole arrays.
      tokens: the size of a mesh axis over which the tokens are split, and of which the target is not told.
    """

    sizes: tuple[int, ...]
    is_inside: bool = True
    tokens: int = 1

    @property
    def devices(self) -> int:
        """Their number."""
        return math.prod(self.sizes) * self.tokens


def pair(found: Any) -> tuple[Any, Any]:
    """What the function of the factors returns, refused if it is no pair."""
    if not (isinstance(found, tuple) and len(found) == 2):
        raise Violation(f"{FACTOR} must return (factor, weights), got {type(found).__name__}")
    return found[0], found[1]


class Target:
    """An implementation under test. Subclasses override what they can do; the rest is unsupported.

    Attributes:
      name: as given on the command line.
      convention: what it computes.
      offers: the functions it has, by name.
      dtypes: the types of logits that it takes.
      limits: which calls it takes otherwise.
      scalars_differentiable: whether label_smoothing, z_loss and the factor may be traced and differentiated.
      transforms, derivatives: the ways in which it may be called, as in `Way`.
      chooses_arguments: whether derivatives may be taken by some of its arguments alone.
      has_wide_types: whether it has 64-bit numbers also where the logits are narrower.
      sources: the files that it is written in, unless they are those of an installed package.
      packages: the import names of the packages that it is from and runs on; or names and versions, if it says them.
    """

    name: str
    convention: Convention = LOSSPROOF
    offers: Mapping[str, Offer]
    dtypes: Sequence[str] = tuple(DTYPES)
    limits: Limits = Limits()
    scalars_differentiable: bool = False
    transforms: Sequence[str] = PLAIN_TRANSFORMS
    derivatives: Sequence[str] = PLAIN_DERIVATIVES
    chooses_arguments: bool = False
    has_wide_types: bool = True
    sources: Sequence[Path] = ()
    packages: Sequence[str] | Mapping[str, str] = ()

    def offer(self, function: str) -> Offer:
        """The target's version of `function`.

        Raises:
          Unsupported: it has none.
        """
        if function not in self.offers:
            raise Unsupported(f"{self.name} has no {function}")
        return self.offers[function]

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Calls the function plainly, with the arguments as they are, and returns what it returns."""
        raise Unsupported(f"{self.name} cannot be called plainly")

    def factor(self, cell: Mapping[str, str], factor: Any, batch: Mapping[str, Array]) -> tuple[Any, Any]:
        """The normalising factor and the weights of a batch, called as a cell of the model of batches says."""
        if cell["transform"] != "eager" or cell["said"] == "member" or cell["given"] in ("jax", "sharded"):
            raise Unsupported(f"{self.name} is not called so: {cell['transform']}, {cell['said']}, {cell['given']}")
        given = {name: given_as(value, cell["given"]) for name, value in batch.items()}
        found = self.call(FACTOR, {"loss_normalizing_factor": factor, "batch": given})
        refuse_changed(batch, given)
        return pair(found)

    def values(self, case: Case) -> Arrays:
        """The outputs by name, the way the target is normally run (compiled, if it can be)."""
        raise Unsupported(f"{self.name} returns no values")

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        """The outputs computed under differentiation, and the derivative of sum(cotangents * outputs) by each
        floating-point argument.
        """
        raise Unsupported(f"{self.name} has no derivatives")

    def jvp(self, case: Case, tangents: Mapping[str, Any]) -> Arrays:
        """The directional derivative of each output."""
        raise Unsupported(f"{self.name} has no forward mode")

    def hvp(self, case: Case, vector: Array, order: str) -> Array:
        """The Hessian of loss by the logits times `vector`; order is "forward-over-reverse" or
        "reverse-over-forward".
        """
        raise Unsupported(f"{self.name} has no second derivatives")

    def transformed(self, case: Case, cotangents: Mapping[str, Any], transform: str) -> tuple[Arrays, Arrays]:
        """Like `differentiate`, through "vmap", "scan" or "checkpoint" over the first axis of the batch (per token, not
        totals), or "devices": the first axis spread over the devices there are, totals too.
        """
        raise Unsupported(f"{self.name} has no transforms")

    def split(self, case: Case, cotangents: Mapping[str, Any], split: Split) -> tuple[Arrays, Arrays]:
        """Like `differentiate`, with the classes split over devices; each output with an axis of devices in front."""
        raise Unsupported(f"{self.name} splits no classes over devices")

    def mixed(self, case: Case, direction: Array) -> Array:
        """The derivative by the weights of sum(direction * dloss/dlogits)."""
        raise Unsupported(f"{self.name} has no second derivatives")

    def perform(self, way: Way, cases: Sequence[Case], directions: Sequence[Directions]) -> list[Answer]:
        """What the target makes of calls that differ in numbers alone, made in one way.

        Args:
          way: how.
          cases: the calls; one after the other, or at once where the way is mapped.
          directions: of their derivatives.

        Raises:
          Unsupported: the target cannot be called in that way.
          Violation: it has changed its arguments.
        """
        if way.transform not in self.transforms:
            raise Unsupported(f"{self.name} has no {way.transform}")
        if way.derivative not in self.derivatives:
            raise Unsupported(f"{self.name} has no derivatives of this kind: {way.derivative}")
        if way.given in ("jax", "list", "sharded"):
            raise Unsupported(f"{self.name} takes no arrays of that kind: {way.given}")
        buffers = Buffers(partial(given_as, given=way.given))
        return [self._called(way, buffers, case, along) for case, along in zip(cases, directions, strict=True)]

    def _called(self, way: Way, buffers: Buffers, case: Case, along: Directions) -> Answer:
        before = {name: value for name, value in case.inputs.items() if isinstance(value, np.ndarray)}
        given = buffers.filled(before)
        called = case.with_inputs(**given)
        if way.derivative == "values":
            answer = Answer(self.values(called))
        else:
            found = [self.differentiate(called, cotangents) for cotangents in along.cotangents]
            answer = Answer(found[0][0], tuple(gradients for _, gradients in found))
        refuse_changed(before, given)
        return answer.copied()
