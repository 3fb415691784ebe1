"""Defects seen in other implementations: tokens that should take no part."""

from lossproof.golden._builders import INF, NAN, float32, token, weighted
from lossproof.golden._peer_bugs import OPTAX, TORCH, flagged, reported, seen

PLAIN = [1.0, 2.0, 3.0]

EXCLUDED = [
    reported(
        "pytorch/pytorch/issues/73205",
        weighted(
            [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]],
            [-100, 0],
            label_smoothing=0.25,
            flags=flagged("excluded"),
            clauses="EXCL-2 VALUE-2 VALUE-6",
            note="PyTorch before 1.12: the smoothing part of the loss counted ignored tokens",
        ),
    ),
    reported(
        "pytorch/pytorch/issues/69339",
        weighted(
            [[1.0, 2.0], [3.0, float32(0.4)]],
            [-100, 1],
            [float32(0.2), float32(0.3)],
            label_smoothing=0.125,
            flags=flagged("excluded"),
            clauses="EXCL-2 VALUE-2 VALUE-5",
            note="PyTorch of 2021-12: weights, smoothing and an ignored token together were an index error",
        ),
    ),
    reported(
        "pytorch/pytorch/issues/70348",
        weighted(
            [[float32(x / 10) for x in range(5)], [0.5, 0.25, 0.0, 0.125, 1.0]],
            [-100, -100],
            loss_normalizing_factor=0.0,
            flags=flagged("excluded"),
            clauses="EXCL-3 EXCL-2",
            note="PyTorch from 1.11 on, torch 2.13.0 too: the mean over no tokens is NaN",
        ),
    ),
    reported(
        "pytorch/pytorch/issues/15508",
        token(
            [[0.5, -0.5, 1.0], [0.25, 1.5, 0.0], [1.0, 0.0, -1.0]],
            [0, 1, 255],
            integer="uint8",
            flags=flagged("excluded"),
            clauses="EXCL-2 SHAPE-2",
            note="PyTorch of 2018-12: an ignored label of 255 was out of bounds where losses are not reduced",
        ),
    ),
    reported(
        "pytorch/pytorch/issues/11551",
        token(
            [[-INF, -INF, -INF], PLAIN],
            [-100, 0],
            flags=flagged("excluded undefined_token"),
            clauses="EXCL-2 STATE-3",
            note="torch 2.13.0: the ignored token's loss is 0, and its gradient NaN",
        ),
    ),
    seen(
        TORCH,
        weighted(
            [[NAN, NAN, NAN], PLAIN],
            [0, 0],
            [0.0, 1.0],
            flags=flagged("excluded undefined_token"),
            clauses="EXCL-1 STATE-3",
            note="torch 2.13.0: NaN logits of an ignored token make its row of the gradient NaN",
        ),
    ),
    seen(
        TORCH,
        weighted(
            [[1.0, 2.0, -INF], [0.5, 2.5, 3.0]],
            [2, 0],
            [0.0, 1.0],
            flags=flagged("excluded infinite_loss"),
            clauses="EXCL-1 STATE-2",
            note="torch 2.13.0, with the weight of class 2 being 0: 0 * inf makes the total NaN",
        ),
    ),
    reported(
        "google-deepmind/optax/issues/1185",
        token(
            [[float32(x) for x in (0.2, 0.1, 0.4, 0.6)]],
            [4],
            flags=flagged("excluded"),
            clauses="EXCL-2",
            note="optax: a loss of NaN, and a gradient of softmax",
        ),
    ),
    seen(
        OPTAX,
        token(
            [PLAIN],
            [-1],
            flags=flagged("excluded"),
            clauses="EXCL-2",
            note="optax: -1 is taken for the last class, a loss of 0.4076059 and its gradient",
        ),
    ),
    seen(
        OPTAX,
        token(
            [[3.0, 1.0, 2.0, 0.5]],
            [4294967298],
            integer="int64",
            flags=flagged("excluded"),
            clauses="EXCL-2 SHAPE-2",
            note="optax, with 64-bit types disabled: 2^32 + 2 becomes class 2, a loss of 1.4607735",
        ),
    ),
    reported(
        "chainer/chainer/issues/5127",
        token(
            [[0.5, -1.0, 0.25, 1.0], [1.5, 0.0, -0.5, 0.75]],
            [2, 4],
            flags=flagged("excluded"),
            clauses="EXCL-2",
            note="Chainer of 2018-07: a label of V to be ignored was an index error",
        ),
    ),
    reported(
        "PaddlePaddle/Paddle/pull/36891",
        token(
            [[0.5, -1.0, 0.25, 1.0], [1.5, 0.0, -0.5, 0.75]],
            [-5, 1],
            flags=flagged("excluded"),
            clauses="EXCL-2",
            note="Paddle of 2021-10: a negative label was an address before the row",
        ),
    ),
    reported(
        "PaddlePaddle/Paddle/pull/76033",
        weighted(
            [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [0.0, 0.0, 1.0], [1.0, 0.5, 0.0]],
            [0, -100, -100, 1],
            loss_normalizing_factor=2.0,
            flags=flagged("excluded"),
            clauses="EXCL-2 VALUE-5 VALUE-6",
            note="Paddle of 2025-10: a mean divided by all 4 tokens, the ignored ones included; weight_sum is 2",
        ),
    ),
    reported(
        "awslabs/sockeye/issues/200",
        weighted(
            [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [0.0, 0.5, 1.0]],
            [0, 2, 1],
            [1.0, 1.0, 0.0],
            label_smoothing=0.125,
            flags=flagged("excluded"),
            clauses="EXCL-1 VALUE-2",
            note="Sockeye's smoothed metric of 2017: the mask was inverted, padding alone was counted",
        ),
    ),
]
