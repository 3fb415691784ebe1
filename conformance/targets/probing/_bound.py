"""A function as the suite calls it: arguments and results by the specification's words, what is required filled in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossproof.conformance.targets.probing._signature import Signature

_NEUTRAL = {"label_smoothing": 0.0, "z_loss": 0.0, "loss_normalizing_factor": 1.0}


@dataclass(frozen=True)
class Bound:
    """A function of `logits`, `targets` and options.

    Attributes:
      function: a target's own.
      signature: what its parameters are.
      masks: whether its weights are bool.
      read: makes what it returns a tuple of outputs, or leaves it alone.
    """

    function: Callable[..., Any]
    signature: Signature
    masks: bool = False
    read: Callable[[Any], Any] | None = None

    def __call__(self, logits: Any, targets: Any, **options: Any) -> Any:
        given = {"logits": logits, "targets": targets, **options}
        given |= {word: self._neutral(word, logits) for word in self.signature.required if word not in given}
        result = self.signature.call(self.function, given)
        return self.read(result) if self.read is not None else result

    def _neutral(self, word: str, logits: Any) -> Any:
        """What changes nothing."""
        if word != "weights":
            return _NEUTRAL[word]
        shape = tuple(logits.shape[:-1])
        if hasattr(logits, "new_ones"):  # a torch tensor
            ones = logits.new_ones(shape)
            return ones.bool() if self.masks else ones.double() if ones.itemsize == 8 else ones.float()
        wide = np.dtype(logits.dtype) == np.float64
        return np.ones(shape, bool if self.masks else np.float64 if wide else np.float32)
