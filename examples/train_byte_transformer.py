"""Trains a small byte-level transformer on English text with `lossproof.losses`, and exports logits of what it learned.

The text is `pydoc_data.topics`, the 460 KB of language reference that every CPython carries, so nothing is downloaded.
"""

import argparse
import json
import math
import os
import platform
import time
from functools import partial
from pathlib import Path
from pydoc_data import topics
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lossproof import losses

PAD = 0  # also the token before the first: the decoder's input is its target, shifted right by one
SEQUENCE = 128
BATCH = 16
WIDTH, LAYERS, HEADS = 128, 2, 4
PEAK_LEARNING_RATE = 2e-3
HELD_OUT = 10  # every tenth topic is never trained on
SPAN, CONFIDENT, SURPRISED = 6, 4, 2  # how many tokens of each kind are exported
Params = dict[str, Any]


class Windows(NamedTuple):
    """Sequences cut from the topics: `tokens` [n, SEQUENCE], padded with PAD, and where each of them begins."""

    tokens: np.ndarray
    origin: list[tuple[str, int]]  # (topic, offset in bytes)


def read_text() -> tuple[bytes, Windows, Windows]:
    """Returns the vocabulary (token i is its byte i - 1) and the windows to train on and to hold out."""
    texts = {name: topics.topics[name].encode() for name in sorted(topics.topics)}
    vocabulary = bytes(sorted(set(b"".join(texts.values()))))
    token_of = np.zeros(256, np.int32)
    token_of[list(vocabulary)] = np.arange(1, len(vocabulary) + 1)
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    origins: tuple[list[tuple[str, int]], list[tuple[str, int]]] = ([], [])
    for index, (name, text) in enumerate(texts.items()):
        side = int(index % HELD_OUT == 0)
        for offset in range(0, len(text), SEQUENCE):
            tokens = token_of[list(text[offset : offset + SEQUENCE])]
            sides[side].append(np.pad(tokens, (0, SEQUENCE - len(tokens)), constant_values=PAD))
            origins[side].append((name, offset))
    train, held_out = (Windows(np.stack(windows), origin) for windows, origin in zip(sides, origins, strict=True))
    return vocabulary, train, held_out


def init(key: jax.Array, vocabulary_size: int) -> Params:
    """Returns the parameters of a pre-norm decoder with learned positions."""

    def normal(scale: float, *shape: int) -> jax.Array:
        nonlocal key
        key, subkey = jax.random.split(key)
        return scale * jax.random.normal(subkey, shape)

    inner = WIDTH**-0.5
    blocks = [
        {
            "qkv": normal(inner, WIDTH, 3, HEADS, WIDTH // HEADS),
            "out": normal(inner / math.sqrt(2 * LAYERS), WIDTH, WIDTH),
            "up": normal(inner, WIDTH, 4 * WIDTH),
            "down": normal((4 * WIDTH) ** -0.5 / math.sqrt(2 * LAYERS), 4 * WIDTH, WIDTH),
        }
        for _ in range(LAYERS)
    ]
    return {
        "embedding": normal(0.02, vocabulary_size, WIDTH),
        "position": normal(0.02, SEQUENCE, WIDTH),
        "blocks": blocks,
        "unembedding": normal(inner, WIDTH, vocabulary_size),
    }


def normalize(x: jax.Array) -> jax.Array:
    """Returns x with root mean square 1 along its last axis."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)


def apply(params: Params, targets: jax.Array) -> jax.Array:
    """Returns the float32 logits [batch, SEQUENCE, V] that predict each target from those before it."""
    tokens = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)), constant_values=PAD)
    x = params["embedding"][tokens] + params["position"]
    for block in params["blocks"]:
        query, key, value = jnp.moveaxis(jnp.einsum("btd,dchk->btchk", normalize(x), block["qkv"]), 2, 0)
        attended = jax.nn.dot_product_attention(query, key, value, is_causal=True)
        x += attended.reshape(x.shape) @ block["out"]
        x += jax.nn.gelu(normalize(x) @ block["up"]) @ block["down"]
    logits: jax.Array = normalize(x) @ params["unembedding"]
    return logits


def loss_fn(params: Params, targets: jax.Array, label_smoothing: float, z_loss: float) -> jax.Array:
    """Returns the mean loss of the tokens that are not padding, as t5x's trainer computes it."""
    factor, weights = losses.get_loss_normalizing_factor_and_weights(
        losses.SpecialLossNormalizingFactor.NUM_REAL_TARGET_TOKENS, {"decoder_target_tokens": targets}
    )
    loss, _, _ = losses.compute_weighted_cross_entropy(
        apply(params, targets),
        targets,
        weights,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        loss_normalizing_factor=factor,
    )
    return loss


def train(args: argparse.Namespace, tokens: np.ndarray, params: Params) -> tuple[Params, list[float]]:
    """Returns the trained parameters and the loss of every step, and prints every 50th."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, PEAK_LEARNING_RATE, min(50, args.steps), args.steps + 1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.98))

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Params, state: optax.OptState, targets: jax.Array) -> tuple[Params, optax.OptState, jax.Array]:
        loss, grads = jax.value_and_grad(loss_fn)(params, targets, args.label_smoothing, args.z_loss)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    state = optimizer.init(params)
    rng = np.random.default_rng(args.seed)
    curve: list[float] = []
    for number in range(1, args.steps + 1):
        batch = tokens[rng.choice(len(tokens), BATCH, replace=False)]
        params, state, loss = step(params, state, batch)
        curve.append(float(loss))
        if number in (1, args.steps) or number % 50 == 0:
            print(f"step {number:4d}  loss {curve[-1]:.4f}", flush=True)
    return params, curve


def choose(logits: np.ndarray, targets: np.ndarray) -> dict[str, list[int]]:
    """Returns the positions to export: a run of text, then confident and surprised tokens, each with another target.

    Args:
      logits: [n, V], the tokens of the held-out windows in order.
      targets: [n], PAD where a window is padded.
    """
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    nll = np.log(np.exp(wide).sum(axis=-1)) - wide[np.arange(len(targets)), targets]
    start = SEQUENCE // 2  # by then the model has context
    chosen = {"span": list(range(start, start + SPAN))}
    order = [int(i) for i in np.argsort(nll, kind="stable") if targets[i] != PAD and i not in chosen["span"]]
    for rule, ranked, count in (("confident", order, CONFIDENT), ("surprised", order[::-1], SURPRISED)):
        first_of_each_target: dict[int, int] = {}
        for i in ranked:
            first_of_each_target.setdefault(int(targets[i]), i)
        chosen[rule] = list(first_of_each_target.values())[:count]
    return chosen


def export(args: argparse.Namespace, vocabulary: bytes, held_out: Windows, params: Params) -> dict[str, Any]:
    """Returns logits of held-out tokens as exact hexadecimal floats, with all that says where they come from."""
    targets = held_out.tokens.reshape(-1)
    logits = np.asarray(jax.jit(apply)(params, held_out.tokens)).reshape(targets.size, -1)
    chosen = choose(logits, targets)
    rows = [i for positions in chosen.values() for i in positions]
    tokens = []
    for rule, positions in chosen.items():
        for i in positions:
            topic, offset = held_out.origin[i // SEQUENCE]
            tokens.append({"topic": topic, "offset": offset + i % SEQUENCE, "rule": rule})
    cases = []
    for dtype, note in (
        (jnp.float32, "the model's own logits"),
        (jnp.bfloat16, "the model's float32 logits, rounded to nearest even"),
    ):
        values = np.asarray(jnp.asarray(logits[rows]).astype(dtype)).astype(np.float64)
        cases.append(
            {
                "dtype": jnp.dtype(dtype).name,
                "shape": list(values.shape),
                "logits": [float(x).hex() for x in values.ravel()],
                "targets": [int(t) for t in targets[rows]],
                "note": note,
            }
        )
    count = np.count_nonzero(targets != PAD)
    origin = {
        "text": "pydoc_data.topics of CPython, held-out topics",
        "license": "pydoc_data is part of CPython: Python Software Foundation License Version 2",
        "python": platform.python_version(),
        "tokens": tokens,
        "rules": {
            "span": f"{SPAN} consecutive bytes of running text",
            "confident": f"the {CONFIDENT} smallest losses of {count} held-out tokens, each with another target",
            "surprised": f"the {SURPRISED} largest losses of the same tokens, each with another target",
        },
        "vocabulary": f"token {PAD} is padding, token i is byte i - 1 of vocabulary_bytes",
        "vocabulary_bytes": vocabulary.hex(),
        "model": {"layers": LAYERS, "heads": HEADS, "width": WIDTH, "sequence": SEQUENCE, "batch": BATCH},
        "training": {name: getattr(args, name) for name in ("steps", "seed", "label_smoothing", "z_loss")},
        "jax": jax.__version__,
        "platform": jax.default_backend(),
    }
    return {"origin": origin, "cases": cases}


def write_json(path: Path, value: object) -> None:
    """Writes the whole file or nothing: a reader never meets half of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=0) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> None:
    """Parses the command line, trains, and writes the files asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--z-loss", type=float, default=1e-4)
    parser.add_argument("--curve", type=Path, metavar="FILE.json", help="write the loss of every step")
    parser.add_argument("--export", type=Path, metavar="FILE.json", help="write logits and targets of held-out text")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"--steps must be at least 1, got {args.steps}")

    vocabulary, training, held_out = read_text()
    params = init(jax.random.key(args.seed), len(vocabulary) + 1)
    size = sum(p.size for p in jax.tree.leaves(params))
    print(f"{np.count_nonzero(training.tokens)} training bytes, V = {len(vocabulary) + 1}, {size} parameters")
    begin = time.perf_counter()
    params, curve = train(args, training.tokens, params)
    held_out_loss = float(jax.jit(partial(loss_fn, label_smoothing=0.0, z_loss=0.0))(params, held_out.tokens))
    print(f"first {curve[0]:.4f}  last {curve[-1]:.4f}  held out {held_out_loss:.4f} nats per byte")
    print(f"{time.perf_counter() - begin:.0f} s")
    if args.curve:
        write_json(args.curve, {"losses": curve, "held_out_loss": held_out_loss})
    if args.export:
        write_json(args.export, export(args, vocabulary, held_out, params))


if __name__ == "__main__":
    main()
