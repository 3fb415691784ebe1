"""tokamax's linear_softmax_cross_entropy_loss as a target.

It is fused with the layer that makes the logits, and returns totals. Each token is a call of its own, of the input
[[1]] and a layer that is its logits: the product is then exact, NaN and infinities included, and the loss is one
token's.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import tokamax
from absl import flags

from lossproof.conformance.targets._target import Offer, Target, Unsupported
from lossproof.conformance.targets.frameworks.jax import JaxTarget
from lossproof.spec import TOKEN

_IMPLEMENTATION = {"tokamax": None, "tokamax-chunked": "chunked_xla"}  # None: tokamax chooses


def load(name: str) -> Target:
    """tokamax's loss, by the implementation that it chooses on this machine or, as "tokamax-chunked", by chunked_xla.

    Raises:
      ValueError: the installed version does not have that implementation.
    """
    if not flags.FLAGS.is_parsed():  # else tokamax reads the command line, which is not its own
        flags.FLAGS(["lossproof"])
    function = partial(_token_losses, _IMPLEMENTATION[name])
    jax.eval_shape(function, jnp.zeros((1, 3)), jnp.zeros(1, jnp.int32))
    offer = Offer(("loss",), ("logits", "targets"))
    return TokamaxTarget(name, {TOKEN: function}, {TOKEN: offer}, scalars_differentiable=False)


class TokamaxTarget(JaxTarget):
    """Token losses that are put together here, from calls of one token each."""

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Not supported: odd arguments would be met by this module, not by tokamax."""
        raise Unsupported(f"{self.name} takes no logits, so that its errors about them are not judged")


def _token_losses(implementation: str | None, logits: Any, targets: Any) -> Any:
    logits, targets = jnp.asarray(logits), jnp.asarray(targets)
    one = jnp.ones((1, 1), logits.dtype)

    def loss(token: tuple[Any, Any]) -> Any:
        row, target = token
        return tokamax.linear_softmax_cross_entropy_loss(
            one, target[None], row[None], reduction="sum", implementation=implementation
        )

    rows = logits.reshape(-1, logits.shape[-1])
    # map, not vmap: the kernels take one batch of tokens
    return jax.lax.map(loss, (rows, targets.reshape(-1))).reshape(targets.shape)
