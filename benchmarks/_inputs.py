"""The logits and targets that every contestant gets, and how each library holds them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SPREAD = 3.0  # standard deviation of the logits


@dataclass(frozen=True)
class Inputs:
    """One batch.

    Attributes:
      logits: [N, V], float32, bfloat16 or float16.
      targets: [N], int32, in range.
    """

    logits: Any
    targets: Any

    @classmethod
    def drawn(cls, tokens: int, classes: int, dtype: str) -> "Inputs":
        """Returns normal logits and uniform targets; the logits of a 16-bit type are those of float32, rounded."""
        rng = np.random.default_rng(0)
        logits = rng.standard_normal((tokens, classes), np.float32)
        logits *= SPREAD
        targets = rng.integers(0, classes, tokens, np.int32)
        return cls(logits.astype(jnp.dtype(dtype), copy=False), targets)

    @cached_property
    def jax(self) -> tuple[jax.Array, jax.Array]:
        """Logits and targets as JAX arrays."""
        return jnp.asarray(self.logits), jnp.asarray(self.targets)

    @cached_property
    def torch(self) -> tuple[Any, Any]:
        """Logits and targets as torch tensors."""
        import torch

        if self.logits.dtype == jnp.bfloat16:  # which numpy has from ml_dtypes, and torch does not take
            logits = torch.from_numpy(self.logits.view(np.int16)).view(torch.bfloat16)
        else:
            logits = torch.from_numpy(self.logits)
        return logits, torch.from_numpy(self.targets.astype(np.int64))
