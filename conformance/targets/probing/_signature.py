"""What the parameters of a function are, by their names."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lossproof.conformance.targets._target import TargetError
from lossproof.spec import KEYWORDS

# The specification's word first. What has a default is never logits or targets.
NAMES: Mapping[str, tuple[str, ...]] = {
    "logits": ("logits", "logit", "input", "inputs", "preds", "pred", "predictions", "y_pred", "scores", "output", "x"),
    "targets": ("targets", "target", "labels", "label", "y", "y_true", "true_labels", "classes"),
    "weights": ("weights", "weight", "mask", "loss_mask", "sample_weight", "sample_weights", "token_weights"),
    "label_smoothing": ("label_smoothing", "label_smoothing_factor", "smoothing"),
    "z_loss": ("z_loss", "z_loss_weight", "z_loss_coefficient", "z_loss_coeff", "z_loss_factor", "lse_square_scale"),
    "loss_normalizing_factor": ("loss_normalizing_factor", "normalizing_factor", "normalizer"),
}
ROLES = tuple(NAMES)
_KEYWORDS = tuple(dict.fromkeys(name for names in KEYWORDS.values() for name in names))
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Signature:
    """Which parameter is what.

    Attributes:
      parameters: the names of a function's parameters by the specification's words; "" for one that has none.
      positions: which of logits and targets are given by position, and in which order.
      required: the words of those without a default, besides logits and targets.
      is_order_known: whether the names say which of the first two is logits.
    """

    parameters: Mapping[str, str]
    positions: tuple[str, ...]
    required: tuple[str, ...]
    is_order_known: bool

    @property
    def options(self) -> tuple[str, ...]:
        """What is taken besides logits and targets, in the specification's words."""
        return tuple(word for word in self.parameters if word not in ("logits", "targets"))

    def swapped(self) -> "Signature":
        """The same with targets first."""
        exchanged = {"logits": self.parameters["targets"], "targets": self.parameters["logits"]}
        return Signature({**self.parameters, **exchanged}, self.positions[::-1], self.required, is_order_known=True)

    def without(self, word: str) -> "Signature":
        """The same, an optional parameter left alone."""
        kept = {name: parameter for name, parameter in self.parameters.items() if name != word}
        return Signature(kept, self.positions, self.required, self.is_order_known)

    def call(self, function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
        """Calls a function with arguments by the specification's words."""
        named = {self.parameters.get(word, word): value for word, value in given.items() if word not in self.positions}
        return function(*(given[word] for word in self.positions), **named)


def read_signature(name: str, function: Callable[..., Any], declared: Mapping[str, str]) -> Signature:
    """The signature of a loss.

    Args:
      name: of the target, for messages.
      function: it.
      declared: the specification's words by parameter, where the names do not say them.

    Raises:
      TargetError: it has no parameters that can be logits and targets, or needs one that is nothing of the
        specification's.
    """
    parameters = _parameters(name, function)
    unknown = [parameter for parameter in declared if parameter not in parameters]
    if unknown:
        raise TargetError(
            f"target {name!r}: LOSSPROOF['arguments'] names {', '.join(unknown)}, but its parameters are "
            f"{', '.join(parameters)}"
        )
    found = {word: parameter for parameter, word in declared.items()}
    for word in ROLES:
        for alias in NAMES[word]:
            is_free = word not in found and alias in parameters and alias not in found.values()
            if is_free and _can_be(word, parameters[alias]):
                found[word] = alias
    is_order_known = "logits" in found or "targets" in found
    free = [
        key
        for key, parameter in parameters.items()
        if key not in found.values() and parameter.default is parameter.empty and parameter.kind in _POSITIONAL
    ]
    several = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values())
    for word in ("logits", "targets"):
        if word not in found and free:
            found[word] = free.pop(0)
        elif word not in found and several:
            found[word] = ""
    if not {"logits", "targets"} <= set(found):
        raise TargetError(f"target {name!r} must take logits and targets, but takes {list(parameters)}")
    needed = [key for key, parameter in parameters.items() if key not in found.values() and _is_needed(parameter)]
    if needed:
        raise TargetError(
            f"target {name!r} needs {', '.join(needed)}, which no call of the specification has: give a default, or "
            f'say what it is, as in LOSSPROOF = {{"arguments": {{"{needed[0]}": "weights"}}}}; choose from '
            f"{', '.join(ROLES)}"
        )
    keywords = {key: key for key in _KEYWORDS if key in parameters and key not in found.values()}
    order = list(parameters)
    first = sorted(("logits", "targets"), key=lambda word: order.index(found[word]) if found[word] else len(order))
    by_name = all(found[word] and parameters[found[word]].kind is inspect.Parameter.KEYWORD_ONLY for word in first)
    leading = [found[word] for word in first] == order[:2] or several
    return Signature(
        {word: found[word] for word in ROLES if word in found} | keywords,
        () if by_name or not leading else tuple(first),
        tuple(word for word in ROLES[2:] if word in found and _is_needed(parameters[found[word]])),
        is_order_known,
    )


def _can_be(word: str, parameter: inspect.Parameter) -> bool:
    default = parameter.default
    if word in ("logits", "targets"):
        return default is parameter.empty
    if parameter.name == "smoothing":  # else it is the specification's keyword, a text
        return default is parameter.empty or (isinstance(default, int | float) and not isinstance(default, bool))
    return True


def _is_needed(parameter: inspect.Parameter) -> bool:
    variable = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in variable


def _parameters(name: str, function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        # A module of torch takes what its `forward` takes.
        return inspect.signature(getattr(function, "forward", function)).parameters
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"target {name!r} does not say what it takes: call it from a Python function with named parameters"
        ) from error
