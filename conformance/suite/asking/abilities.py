"""What a target can be asked: outputs, arguments, types and derivatives that it has, and shapes that it takes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.draw import Options
from lossproof.conformance.judging.tally import Tally
from lossproof.conformance.suite.asking.calls import Calls
from lossproof.conformance.targets import NotApplicable, Target, Unsupported
from lossproof.conformance.targets.programs.program import ProgramHangsError
from lossproof.reference.bounds import (
    JAX_CPU,
    Profile,
)
from lossproof.spec import DENSE, WEIGHTED, Convention


class Abilities:
    """What a target can be asked in a unit of work.

    Attributes:
      target: the implementation under test.
      function: the function to call.
      dtype: of the logits.
      level: a key of `EXAMPLES`.
      seed: of the search.
      profile: of the platform that the target runs on.
      calls: that were made for what is being judged.
      clauses: that the check is about; comparisons count for those that speak of what was compared.
      tally: what has been seen.
    """

    def __init__(
        self,
        target: Target,
        function: str,
        dtype: str,
        level: str,
        seed: int,
        profile: Profile = JAX_CPU,
        calls: Calls | None = None,
        clauses: Sequence[str] = (),
    ) -> None:
        self.clauses: tuple[str, ...] = tuple(clauses)
        self.calls: Calls = calls or Calls()
        self.target: Target = self.calls.watch(target)
        self.function: str = function
        self.dtype: str = dtype
        self.level: str = level
        self.seed: int = seed
        self.profile: Profile = profile
        self.tally: Tally = Tally()
        self._hung: ProgramHangsError | None = None
        self._climb: float = 0.0  # the largest utilisation of the present draw, for hypothesis.target

    def require(
        self, *, outputs: Sequence[str] = (), arguments: Sequence[str] = (), own_convention: bool = True
    ) -> None:
        """Raises Unsupported unless the target has the function with these outputs and arguments, computed as
        SPEC.md says.
        """
        offer = self.target.offer(self.function)
        for kind, wanted, offered in (("output", outputs, offer.outputs), ("argument", arguments, offer.arguments)):
            missing = [name for name in wanted if name not in offered]
            if missing:
                raise Unsupported(f"{self.target.name}'s {self.function} has no {kind} {', '.join(missing)}")
        if own_convention and self._departs and "label_smoothing" in arguments:
            raise Unsupported(f"{self.target.name} declares another convention of label smoothing")

    def require_dtype(self) -> None:
        """Raises Unsupported if the target does not declare logits of this type, or the profile does not know it."""
        if self.dtype not in self.target.dtypes:
            raise Unsupported(f"{self.target.name} declares no {self.dtype} logits")
        try:
            self.profile.of(self.dtype)
        except ValueError as error:
            raise Unsupported(str(error)) from error

    def require_departure(self) -> None:
        """Raises NotApplicable if the target's smoothing is SPEC.md's own."""
        if not self._departs:
            raise NotApplicable(f"{self.target.name} keeps the specification's own convention")

    @property
    def _departs(self) -> bool:
        convention = self.target.convention
        return convention.smoothing != "others" or not convention.subtract_entropy

    @property
    def convention(self) -> Convention:
        """What the function computes; only totals have a reduction."""
        declared = self.target.convention
        return declared if self.function == WEIGHTED else replace(declared, reduction="sum")

    def require_sum(self, *but: str) -> None:
        """Raises Unsupported for means, unless they are `but` such ones."""
        reduction = self.convention.reduction
        if reduction != "sum" and reduction not in but:
            raise Unsupported(f"{self.target.name} gives the mean of a batch ({reduction}), where this needs its sum")

    def nearest(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape of logits that the target takes: this one if it can be."""
        return self.target.limits.nearest(shape)

    def fits(self, case: Case) -> bool:
        """Whether the target says that it takes the call."""
        return self.target.limits.shape_fits(case.logits.shape)

    def has(self, argument: str) -> bool:
        """Whether the function takes an argument."""
        return argument in self.target.offer(self.function).arguments

    @property
    def takes_dense_targets(self) -> bool:
        """Whether floating-point targets are weights of all classes; other losses refuse them."""
        if self.function == DENSE:
            return True
        rows = np.zeros(self.nearest((1, 2)), np.float32)
        try:
            self.target.call(self.function, {"logits": rows, "targets": rows})
        except Unsupported:
            raise
        except Exception:  # noqa: BLE001  any refusal
            return False
        return True

    @property
    def everything(self) -> Options:
        """All the arguments that the function takes."""
        return Options(
            smoothing=self.has("label_smoothing"),
            z_loss=self.has("z_loss"),
            weights=self.has("weights"),
            factor=self.has("loss_normalizing_factor"),
        )

    def require_scalar_derivatives(self) -> None:
        """Raises Unsupported unless scalars may be differentiated."""
        if not self.target.scalars_differentiable:
            raise Unsupported(f"{self.target.name} does not declare that its scalars may be traced")
