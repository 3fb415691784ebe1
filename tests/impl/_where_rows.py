"""The public functions as rows of a table: inputs, a call, and the gradient by the logits, in any place that JAX has.

Logits, weights, scalars and cotangents are numbers that every floating type holds, and so are the inverses of the
lengths of sequences: what differs between two places is the order of sums alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

import lossproof

TOKEN, WEIGHTED, DENSE = "token_cross_entropy", "compute_weighted_cross_entropy", "cross_entropy_with_logits"
DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float64}
FURTHER = ("target_log_probability", "predicted_class", "entropy")
# What each result is multiplied by in the sum whose gradient is taken.
SHARES = {"loss": 1.0, "z_loss": -0.5, "log_z": 0.25, "target_log_probability": 0.5, "entropy": -1.0}
Arrays = dict[str, Any]


class Row(NamedTuple):
    """One public function, called in one way.

    Attributes:
        function: its name.
        scalars: its scalars and keywords.
        dense: whether targets are weights of all classes.
        special: the special factor that gives factor and weights; None for given ones.
        packed: whether rows hold several sequences each.
    """

    function: str
    scalars: dict[str, Any]
    dense: bool = False
    special: str | None = None
    packed: bool = False


SMOOTHED = {"label_smoothing": 0.125, "z_loss": 0.25}
ROWS = {
    "weighted": Row(WEIGHTED, SMOOTHED | {"loss_normalizing_factor": 4.0}),
    "weighted_dense": Row(WEIGHTED, {"z_loss": 0.25}, dense=True),
    "token": Row(TOKEN, {"z_loss": 0.25, "also": FURTHER}),
    "token_softcap": Row(TOKEN, SMOOTHED | {"logit_softcap": 4.0}),
    "token_dense": Row(TOKEN, {"z_loss": 0.25}, dense=True),
    "dense": Row(DENSE, {"z_loss": 0.25}, dense=True),
    "real": Row(WEIGHTED, SMOOTHED, special="NUM_REAL_TARGET_TOKENS"),
    "total": Row(WEIGHTED, SMOOTHED, special="NUM_TOTAL_TARGET_TOKENS"),
    "average": Row(WEIGHTED, SMOOTHED, special="AVERAGE_PER_SEQUENCE"),
    "packed": Row(WEIGHTED, SMOOTHED, special="AVERAGE_PER_SEQUENCE", packed=True),
}


def batch_of(row: Row, shape: tuple[int, int, int], dtype: str) -> Arrays:
    """Arrays of NumPy, [B, T, V] or [B, T], by name; cotangents are those of results that each token has."""
    rng = np.random.default_rng(shape)
    tokens, classes = shape[:-1], shape[-1]

    def eighths(of: tuple[int, ...], low: int, high: int) -> np.ndarray:
        return rng.integers(8 * low, 8 * high, of, endpoint=True) / 8.0

    logits = eighths(shape, -6, 6)
    targets = rng.integers(1, classes, tokens).astype(np.int32)
    arrays: Arrays = {"cotangents": eighths(tokens, -2, 2).astype(np.float32)}
    if "label_smoothing" not in row.scalars:
        logits[0, 0, 0] = -np.inf  # a class that is masked, and never a target
    if row.special is not None:
        ids, positions = _sequences(tokens, packed=row.packed)
        arrays["decoder_target_tokens"] = np.where(ids > 0, targets, 0)
        if row.packed:
            arrays |= {"decoder_segment_ids": ids, "decoder_positions": positions}
    elif row.dense:
        sparse = eighths(shape, -1, 2) * (rng.random(shape) < 8 / classes)
        sparse[0, 0, 0] = 0.0
        arrays["targets"] = sparse.astype(np.float32)
    else:
        targets[-1, -1] = -1
        arrays["targets"] = targets
    if row.function == WEIGHTED and row.special is None:
        arrays["weights"] = eighths(tokens, 0, 2).astype(np.float32)
        arrays["weights"][0, 1] = 0.0
    return {"logits": logits.astype(DTYPES[dtype])} | arrays


def _sequences(tokens: tuple[int, int], *, packed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ids and positions of sequences with lengths that are powers of 2; id 0 is padding, of one position at least."""
    ids, positions = np.zeros((2, *tokens), np.int32)
    for i in range(tokens[0]):
        at, number = 0, 1
        length = 2 ** int(np.log2(tokens[1] - 1)) // (1 + i % 2) or 1
        while at + length < tokens[1]:
            ids[i, at : at + length], positions[i, at : at + length] = number, np.arange(length)
            at, number, length = at + length, number + 1, max(length // 2, 1)
            if not packed:
                break
    return ids, positions


def outputs_of(row: Row, batch: Arrays, **options: Any) -> Arrays:
    """The results by name, those that depend on the batch alone among them."""
    options = row.scalars | options
    if row.function == DENSE:
        z_loss = options.pop("z_loss")
        results = lossproof.cross_entropy_with_logits(batch["logits"], batch["targets"], z_loss, **options)
        return dict(zip(("loss", "z_loss"), results, strict=True))
    if row.function == TOKEN:
        results = lossproof.token_cross_entropy(batch["logits"], batch["targets"], **options)
        return {name: value for name, value in results._asdict().items() if value is not None}
    known, targets, weights = {}, batch.get("targets"), batch.get("weights")
    if row.special is not None:
        targets = batch["decoder_target_tokens"]
        factor, weights = lossproof.get_loss_normalizing_factor_and_weights(row.special, batch)
        options["loss_normalizing_factor"] = factor
        known = {"factor": jnp.asarray(factor, jnp.float32), "weights": weights}
    totals = lossproof.compute_weighted_cross_entropy(batch["logits"], targets, weights, **options)
    return dict(zip(("loss", "z_loss", "weight_sum"), totals, strict=True)) | known


def objective(row: Row, outputs: Arrays, batch: Arrays) -> jax.Array:
    """The results times their cotangents: a scalar."""
    total = jnp.zeros((), outputs["loss"].dtype)
    for name, share in SHARES.items():
        if name in outputs:
            result = outputs[name]
            cotangents = share * batch["cotangents"] if row.function != WEIGHTED else share
            total += jnp.sum(result * jnp.asarray(cotangents, result.dtype))
    return total


def value_and_gradient(
    row: Row, batch: Arrays, wrap: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda f: f, **options: Any
) -> Arrays:
    """The results and the `gradient`, with the function of (logits, the other arrays) wrapped."""

    def total(logits: jax.Array, others: Arrays) -> tuple[jax.Array, Arrays]:
        outputs = outputs_of(row, others | {"logits": logits}, **options)
        return objective(row, outputs, others), outputs

    others = {name: value for name, value in batch.items() if name != "logits"}
    (_, outputs), gradient = jax.value_and_grad(wrap(total), has_aux=True)(batch["logits"], others)
    return outputs | {"gradient": gradient}
