"""What a loss cannot go below on this machine: the passes over memory that it needs, and nothing else.

Forward: one pass for the maximum, one for sum(exp(x - m)). With the gradient: a third one, which writes exp(x - m) to
a fresh array. How they are written is what XLA:CPU turns into single passes without temporaries; the `temp` column of
the benchmark shows that it did.
"""

import jax.numpy as jnp
from jax import Array, lax

WIDEST_ROW = 32768  # entries; XLA:CPU sums exp of some wider rows three to eight times more slowly
NARROWEST_BLOCK = 64


def block_width(classes: int) -> int | None:
    """The widest useful divisor of a V beyond `WIDEST_ROW`; None where rows are taken as they are."""
    if classes <= WIDEST_ROW:
        return None
    return next((b for b in range(WIDEST_ROW, NARROWEST_BLOCK - 1, -1) if classes % b == 0), None)


def forward(logits: Array) -> tuple[Array, Array]:
    """Returns m and sum(exp(x - m)), [N] or a sum for each block."""
    _, peaks, sums = _two_passes(logits)
    return peaks, sums


def value_and_grad(logits: Array) -> tuple[Array, Array, Array]:
    """Returns those of `forward` and exp(x - m), [N, V], in the type of the logits."""
    blocks, peaks, sums = _two_passes(logits)
    blocks, peaks, sums = lax.optimization_barrier((blocks, peaks, sums))
    exps = jnp.exp(blocks.astype(jnp.float32) - _beside(peaks, blocks)).astype(logits.dtype)
    return peaks, sums, exps.reshape(logits.shape)


def _two_passes(logits: Array) -> tuple[Array, Array, Array]:
    width = block_width(logits.shape[-1])
    # The barrier stands between the reshape and the conversion to float32, so that each pass converts for itself.
    blocks = lax.optimization_barrier(logits if width is None else logits.reshape(logits.shape[0], -1, width))
    peaks = jnp.max(blocks, axis=tuple(range(1, blocks.ndim))).astype(jnp.float32)
    blocks, peaks = lax.optimization_barrier((blocks, peaks))
    return blocks, peaks, _exp_sums(blocks, peaks)


def _exp_sums(blocks: Array, peaks: Array) -> Array:
    if blocks.dtype != jnp.float16:
        return jnp.sum(jnp.exp(blocks.astype(jnp.float32) - _beside(peaks, blocks)), axis=-1)

    # XLA:CPU writes a float32 copy of all that is summed of float16: one token at a time it stays in the cache.
    def of_token(row: tuple[Array, Array]) -> Array:
        return jnp.sum(jnp.exp(row[0].astype(jnp.float32) - row[1]), axis=-1)

    sums: Array = lax.map(of_token, (blocks, peaks))
    return sums


def _beside(peaks: Array, blocks: Array) -> Array:
    return peaks.reshape((-1,) + (1,) * (blocks.ndim - 1))
