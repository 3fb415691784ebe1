"""What the results of a function are, told by the reference's answers for a small batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import Array, Case
from lossproof.conformance.judging.draw import generator, make
from lossproof.conformance.judging.exact import Exact, exact_values
from lossproof.conformance.judging.judge import utilisation
from lossproof.conformance.judging.mean import mean_bounds
from lossproof.conformance.targets._limits import Limits
from lossproof.conformance.targets.probing._bound import Bound
from lossproof.conformance.targets.probing._probe import Probed, adapter
from lossproof.conformance.targets.probing._results import OTHER, Item, items_of, place_of
from lossproof.conformance.targets.probing.declaration import REDUCTIONS
from lossproof.reference.bounds import JAX_CPU
from lossproof.spec import DENSE, OUTPUTS, Convention

_WEIGHTS, _MASK = (1.0, 0.25, 0.5), (1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Asker:
    """Asks a function for the values of a small batch.

    Attributes:
      function: it.
      probed: what is known of it.
      limits: which shapes it takes.
      convention: what it computes, but for the reduction.
      device: for torch.
    """

    function: Callable[..., Any]
    probed: Probed
    limits: Limits
    convention: Convention
    device: str

    def case(self, weights: Sequence[float] = _WEIGHTS, *, z_loss: float = 0.0, out_of_range: bool = False) -> Case:
        """The batch; with a z-loss, or a first target that is no class, if that is asked for."""
        shape = self.limits.nearest((3, 4))
        tokens, classes = shape[:-1], shape[-1]
        count = int(np.prod(tokens))
        targets = (np.arange(count) * 5 + 1) % classes
        if out_of_range:
            targets[0] = -1
        options = self.probed.signature.options
        inputs: dict[str, Any] = {"weights": np.resize(weights, tokens)} if "weights" in options else {}
        inputs |= {"z_loss": z_loss} if z_loss and "z_loss" in options else {}
        inputs |= {"z_loss": z_loss} if self.probed.kind == DENSE and "z_loss" in options else {}
        hard = targets.reshape(tokens)
        chosen = np.eye(classes)[hard] if self.probed.kind == DENSE else hard
        return make(self.probed.kind, "float32", generator(0).normal(size=shape), chosen, **inputs)

    def items(self, case: Case) -> list[Item]:
        """What the function returns, as NumPy arrays; it may raise anything."""
        of_framework = adapter(self.probed.framework)
        inputs = self.limits.cast(case).inputs
        arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
        others = {name: value for name, value in inputs.items() if name not in arrays}
        bound = Bound(self.function, self.probed.signature, self.limits.masks)
        result = of_framework.evaluate(
            lambda *given: bound(**dict(zip(arrays, given, strict=True)), **others), [*arrays.values()], self.device
        )
        return [Item(item.label, of_framework.to_numpy(item.value)) for item in items_of(result)]

    def loss(self, case: Case) -> float:
        """The total; nan if the function raises or returns something else."""
        try:
            items = self.items(case)
            return float(items[place_of("loss", items) or 0].value)
        except Exception:  # noqa: BLE001  a target may raise anything; the checks say so
            return float("nan")

    def exact(self, case: Case, reduction: str) -> tuple[Mapping[str, Exact], Mapping[str, Array]]:
        """The reference's answers, and the bounds of grade C on them."""
        convention = replace(self.convention, reduction=reduction)  # type: ignore[arg-type]  # one of REDUCTIONS
        return exact_values(case, convention), mean_bounds(case, convention, "C", JAX_CPU, case).values()


@dataclass(frozen=True)
class _Fit:
    """How a loss compares with a reduction's: that one, whether it is right, and how far off it is."""

    exact: float
    is_right: bool
    distance: float


def found_reduction(asker: Asker) -> tuple[str, bool]:
    """How a function makes a batch one number, and whether its weights are a mask: what comes nearest."""
    fits, masks = _fits(asker, asker.case()), False
    weights = asker.probed.signature.parameters.get("weights", "")
    if "mask" in weights and not any(fit.is_right for fit in fits.values()):
        masked = replace(asker, limits=replace(asker.limits, masks=True))
        of_masks = _fits(masked, masked.case(_MASK))
        if any(fit.is_right for fit in of_masks.values()):
            asker, fits, masks = masked, of_masks, True
    nearest = min(fits.values(), key=lambda fit: fit.distance)
    same = [name for name, fit in fits.items() if fit.exact == nearest.exact]
    if len(same) == 1:
        return same[0], masks
    # Without weights two means differ in what they make of a target that is no class.
    excluding = _fits(asker, asker.case(_MASK if masks else _WEIGHTS, out_of_range=True))
    right = [name for name in same if excluding[name].is_right]
    return (right or [name for name in same if name != "mean"])[0], masks


def _fits(asker: Asker, case: Case) -> dict[str, _Fit]:
    """The loss of a batch beside each reduction's."""
    loss = asker.loss(case)
    found = {}
    for name in REDUCTIONS:
        exact, bounds = asker.exact(case, name)
        number = float(exact["loss"].high)
        is_right = bool(np.all(utilisation(np.asarray(loss), exact["loss"], bounds["loss"]) <= 1))
        found[name] = _Fit(number, is_right, abs(loss - number) if np.isfinite(loss) else np.inf)
    return found


def found_outputs(asker: Asker, reduction: str) -> tuple[str, ...]:
    """What each of several results without names is: the specification's in its order, but what is clearly another
    one, or none.
    """
    kind, count = asker.probed.kind, len(asker.probed.items)
    usual = (*OUTPUTS[kind], *[OTHER] * count)[:count]
    case = asker.case(_MASK if asker.limits.masks else _WEIGHTS, z_loss=0.25)
    try:
        values = [item.value for item in asker.items(case)]
        exact, bounds = asker.exact(case, reduction)
    except Exception:  # noqa: BLE001  a target may raise anything; the checks say so
        return usual
    named = ["loss"]
    for name, value in zip(usual[1:], values[1:], strict=False):
        left = [other for other in OUTPUTS[kind] if other not in named and np.shape(value) == exact[other].high.shape]
        matching = [other for other in left if np.all(utilisation(value, exact[other], bounds[other]) <= 1)]
        possible = name in left
        # One that takes no z_loss has nothing to say of it, unless it returns all that there is.
        is_told = "z_loss" in asker.probed.signature.options or count >= len(OUTPUTS[kind])
        possible = possible and (name != "z_loss" or is_told)
        named.append(name if name in matching else matching[0] if matching else name if possible else OTHER)
    return tuple(named)
