"""Trains the byte transformer with lossproof's loss and with t5x's formula, and prints how far apart the curves are.

Two losses that are the same real number differ by rounding, and training may make that grow. What rounding alone does
is measured beside them: a third run has lossproof's loss again, and the sequences of every batch in reverse order.

Then 30 % of each batch is padding, its logits NaN in one run and finite in another: a weight of 0 has to keep both out.
"""

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import t5x_formula
import train_byte_transformer as example

from lossproof import losses

LABEL_SMOOTHING, Z_LOSS = 0.1, 1e-4
PADDING = 0.3  # of the sequences of a batch
Loss = Callable[..., tuple[jax.Array, jax.Array, jax.Array]]
Batch = dict[str, jax.Array]
Step = Callable[..., tuple[example.Params, optax.OptState, jax.Array]]


def compiled_step(loss: Loss, steps: int) -> tuple[Step, optax.GradientTransformation]:
    """Returns a training step and its optimizer.

    Args:
      loss: compute_weighted_cross_entropy, ours or another.
      steps: how many there will be; the learning rate is that of train_byte_transformer.py.
    """
    schedule = optax.warmup_cosine_decay_schedule(0.0, example.PEAK_LEARNING_RATE, min(50, steps), steps + 1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.98))

    def mean_loss(params: example.Params, batch: Batch, padding_logit: jax.Array) -> jax.Array:
        factor, weights = losses.get_loss_normalizing_factor_and_weights(
            losses.SpecialLossNormalizingFactor.NUM_REAL_TARGET_TOKENS, batch
        )
        targets = batch["decoder_target_tokens"]
        is_padding = jnp.all(targets == example.PAD, axis=-1)
        logits = jnp.where(is_padding[:, None, None], padding_logit, example.apply(params, targets))
        return loss(logits, targets, weights, LABEL_SMOOTHING, Z_LOSS, factor)[0]

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(
        params: example.Params, state: optax.OptState, batch: Batch, padding_logit: jax.Array
    ) -> tuple[example.Params, optax.OptState, jax.Array]:
        value, grads = jax.value_and_grad(mean_loss)(params, batch, padding_logit)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return step, optimizer


class Run(NamedTuple):
    """What a training run gave.

    Attributes:
      losses: of every step.
      params: after the last.
    """

    losses: list[float]
    params: example.Params


def run(
    program: tuple[Step, optax.GradientTransformation],
    steps: int,
    seed: int,
    *,
    in_reverse: bool = False,
    padding: float = 0.0,
    padding_logit: float = 0.0,
) -> Run:
    """Trains.

    Args:
      program: of `compiled_step`.
      steps: how many.
      seed: of parameters and batches.
      in_reverse: whether the sequences of a batch come in reverse order, which changes nothing but rounding.
      padding: the share of sequences that are replaced with padding.
      padding_logit: the logits of padding.
    """
    step, optimizer = program
    vocabulary, training, _ = example.read_text()
    params = example.init(jax.random.key(seed), len(vocabulary) + 1)
    state = optimizer.init(params)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(steps):
        tokens = training.tokens[rng.choice(len(training.tokens), example.BATCH, replace=False)]
        tokens[: round(padding * example.BATCH)] = example.PAD
        tokens = tokens[::-1] if in_reverse else tokens
        # Weights that come with the data: of weights made from the tokens, XLA knows that they are 0 or 1, and selects
        # where the formula multiplies.
        weights = (tokens != example.PAD).astype(np.float32)
        batch = {"decoder_target_tokens": jnp.asarray(tokens), "decoder_loss_weights": jnp.asarray(weights)}
        params, state, value = step(params, state, batch, jnp.float32(padding_logit))
        values.append(float(value))
    return Run(values, params)


def distance(a: example.Params, b: example.Params) -> float:
    """Returns the largest difference of two parameters."""
    gaps = jax.tree.map(lambda x, y: jnp.max(jnp.abs(x - y)), a, b)
    return max(float(gap) for gap in jax.tree.leaves(gaps))


def show(runs: dict[str, Run]) -> None:
    """Prints losses and their distances from ours, at steps that double, and what the runs end with."""
    ours = runs["ours"]
    steps = len(ours.losses)
    others = ("t5x", "in reverse")
    gaps = {name: np.abs(np.subtract(runs[name].losses, ours.losses)) for name in others}
    print(f"{'step':>8}{'ours':>12}" + "".join(f"{f'|{name} - ours|':>22}" for name in others))
    for number in sorted({min(2**i, steps) for i in range(math.ceil(math.log2(steps)) + 1)}):
        columns = "".join(f"{gaps[name][number - 1]:22.1e}" for name in others)
        print(f"{number:8}{ours.losses[number - 1]:12.6f}{columns}")
    print(f"{'largest':>20}" + "".join(f"{gaps[name].max():22.1e}" for name in others))
    print(f"{'of a parameter':>20}" + "".join(f"{distance(runs[name].params, ours.params):22.1e}" for name in others))
    found = "the same bits" if runs["NaN padding"].losses == runs["finite padding"].losses else "NOT the same"
    print(f"{PADDING:.0%} padding: with its logits NaN and with finite ones, our losses are {found}")
    lost = np.flatnonzero(np.isnan(runs["t5x, NaN padding"].losses))
    print("with NaN, t5x's are " + (f"NaN from step {lost[0] + 1} on" if lost.size else "finite"))


def main() -> None:
    """Parses the command line, trains, prints and writes what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--curves", type=Path, metavar="FILE.json", help="write the losses of every run")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"--steps must be at least 1, got {args.steps}")

    ours = compiled_step(losses.compute_weighted_cross_entropy, args.steps)
    t5x = compiled_step(t5x_formula.compute_weighted_cross_entropy, args.steps)
    trained = partial(run, steps=args.steps, seed=args.seed)
    runs = {
        "ours": trained(ours),
        "t5x": trained(t5x),
        "in reverse": trained(ours, in_reverse=True),
        "finite padding": trained(ours, padding=PADDING),
        "NaN padding": trained(ours, padding=PADDING, padding_logit=math.nan),
        "t5x, NaN padding": trained(t5x, padding=PADDING, padding_logit=math.nan),
    }
    show(runs)
    if args.curves:
        example.write_json(args.curves, {name: [value.hex() for value in each.losses] for name, each in runs.items()})


if __name__ == "__main__":
    main()
