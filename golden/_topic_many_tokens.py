"""Totals over many tokens, whose error must not grow with their number, and over none."""

from typing import Any

from lossproof.golden._builders import dense, float32, token, topic, value_only, weighted
from lossproof.golden._case import Array, Question

PAIR = [0.0, 1.0]


def empty(*shape: int, dtype: str = "float32") -> Array:
    """Returns an array without elements, which nested lists cannot give a shape."""
    return Array(dtype, shape, ())


def total(gaps: list[float], weights: list[float] | None, flags: str, note: str, **scalars: Any) -> Question:
    """Returns a question of V = 2 for the total alone: each target is class 0, which is `gap` below the other."""
    return value_only(
        weighted(
            [[0.0, gap] for gap in gaps],
            [0] * len(gaps),
            weights,
            flags=f"many_tokens values_only {flags}".strip(),
            clauses="ACC-4 VALUE-5 VALUE-6",
            note=note,
            **scalars,
        )
    )


TOPIC = topic(
    "many_tokens",
    "Totals of up to 256 tokens, and of none: small terms beside large ones, terms that cancel, weights of all sizes.",
    [
        total([1.0] * 256, None, "", "256 equal tokens: 256 ln(1 + e)"),
        total(
            [1.0] * 64,
            [float32(0.1)] * 64,
            "",
            "64 tokens of weight 0.1, rounded: the total is 64 times that of one",
            loss_normalizing_factor=1.0,
        ),
        total(
            [1e4] + [-7.625] * 127,
            None,
            "",
            "a loss of 10000 and 127 of 0.00049, half an ulp of it: a running sum in float32 loses them all, 0.06",
        ),
        total(
            [-7.625] * 127 + [1e4],
            None,
            "",
            "the same with the large loss at the end: only the order differs",
        ),
        total(
            [(i % 8) / 4 for i in range(128)] + [0.5],
            [(-1.0) ** (i // 8) for i in range(128)] + [1.0],
            "cancelling negative_weight",
            "64 tokens of weight 1 and the same 64 of weight -1 cancel: one loss, ln(1 + e^0.5), is left",
        ),
        total(
            [(i % 5) - 2.0 for i in range(96)],
            [2.0 ** (i % 24 - 12) for i in range(96)],
            "",
            "weights from 2^-12 to 2^11, side by side",
        ),
        total(
            [(i % 3) / 2 for i in range(64)],
            [float(i % 4 != 3) for i in range(64)],
            "excluded",
            "every fourth token is padding: the mean over 48",
            loss_normalizing_factor=48.0,
        ),
        total([0.25 * (i % 7) for i in range(72)], None, "", "with z-loss, both totals", z_loss=2.0**-8),
        total(
            [30.0 - i for i in range(64)],
            None,
            "",
            "smoothed, from a target 30 below to one that leads by 33",
            label_smoothing=0.125,
            loss_normalizing_factor=64.0,
        ),
        weighted(
            [[0.0, (i % 5) / 2] for i in range(16)],
            [i % 2 for i in range(16)],
            [1.0 + (i % 3) / 4 for i in range(16)],
            loss_normalizing_factor=30.0,
            flags="many_tokens",
            clauses="ACC-4 VALUE-5 GRAD-1 GRAD-2 GRAD-5",
            note="16 tokens with all derivatives",
        ),
        value_only(
            token(
                [[[PAIR, PAIR[::-1]]] * 3] * 2,
                [[[0, 0]] * 3] * 2,
                flags="many_tokens values_only",
                clauses="SHAPE-1 VALUE-1",
                note="12 tokens in three axes: the outputs have the shape of the targets",
            )
        ),
        token(
            empty(0, 3),
            empty(0, dtype="int32"),
            z_loss=0.5,
            cotangents={"loss": empty(0), "log_z": empty(0)},
            flags="no_tokens",
            clauses="SHAPE-4 GRAD-7",
            note="no tokens: every output is empty, and so is the gradient",
        ),
        weighted(
            empty(2, 0, 3),
            empty(2, 0, dtype="int32"),
            empty(2, 0),
            label_smoothing=0.25,
            z_loss=0.5,
            loss_normalizing_factor=0.0,
            flags="no_tokens",
            clauses="SHAPE-4 EXCL-3",
            note="two sequences of no tokens, and a factor of 0: the totals are 0",
        ),
        dense(empty(0, 3), empty(0, 3), 0.5, flags="no_tokens", clauses="SHAPE-4 VALUE-7", note="dense, no tokens"),
    ],
)
