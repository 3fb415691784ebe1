"""Defects seen in other implementations: an input that shows each of them."""

from lossproof.golden._builders import INF, dense, factor, float32, token, topic, weighted
from lossproof.golden._peer_bugs import OPTAX, TORCH, flagged, reported, seen
from lossproof.golden._peer_bugs_excluded import EXCLUDED

PLAIN = [1.0, 2.0, 3.0]

OFFSETS = [
    reported(
        "pytorch/pytorch/issues/11752",
        token(
            [[1e8, 1e8]], [1], flags=flagged("offset ties"), clauses="VALUE-1 ACC-2", note="PyTorch 0.4.1: 0 for ln 2"
        ),
    ),
    *(
        reported(
            "ml-explore/mlx/pull/4188",
            token(
                [[offset + 2.0, offset - 1.0]],
                [0],
                flags=flagged("offset"),
                clauses="VALUE-1 ACC-2",
                note=f"MLX, and optax 0.2.8: {wrong} for 0.0485874",
            ),
        )
        for offset, wrong in ((1e4, "0.0488281"), (1e6, "0.0625"))
    ),
    *(
        seen(
            OPTAX,
            token(
                [logits],
                [place],
                flags=flagged("huge_logits ties"),
                clauses="VALUE-1 STATE-4",
                note="optax: 0 for ln 2, with the gradient of ln 2",
            ),
        )
        for logits, place in (([float32(3e38)] * 2, 1), ([float32(3e38), -float32(3e38), float32(3e38)], 0))
    ),
    seen(
        f"{OPTAX}, and {TORCH}",
        token(
            [[20.0, 0.0, 0.0, 0.0]],
            [0],
            flags=flagged("confident"),
            clauses="ACC-1 ACC-3",
            note="optax and torch: 0 for 6.2e-9, and 0 for the gradient of the target",
        ),
    ),
    reported(
        "PaddlePaddle/Paddle/pull/21165",
        token(
            [[-300.0] * 4],
            [1],
            flags=flagged("offset ties"),
            clauses="VALUE-1 ACC-2",
            note="Paddle of 2019-11: a maximum below -64 was taken for -64, all exp underflowed, log(0) for ln 4",
        ),
    ),
    reported(
        "tenstorrent/tt-metal/pull/10001",
        token(
            [[100.0, 0.0, 50.0]],
            [2],
            flags=flagged("far_target"),
            clauses="VALUE-1 GRAD-1",
            note="tt-metal of 2024-07: no shift by the maximum, e^100 overflows, NaN for 50",
        ),
    ),
    reported(
        "deeplearning4j/deeplearning4j/issues/785",
        token(
            [[0.0, -110.0, -1.0]],
            [1],
            flags=flagged("far_target"),
            clauses="VALUE-1 GRAD-1",
            note="Deeplearning4j of 2015: the logarithm of a softmax that underflowed, infinite for 110",
        ),
    ),
    reported(
        "keras-team/keras/issues/7563",
        dense(
            [[300.0, 100.0, 100.0], [-100.0, 200.0, 500.0]],
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            flags=flagged(),
            clauses="VALUE-7 GRAD-1 GRAD-6",
            note="Keras from probabilities: they are clipped at 1e-7, and the mean is 8.059 for 150",
        ),
    ),
    reported(
        "google-deepmind/optax/issues/1020",
        token(
            [[0.5, 0.25, 0.75, 0.875, 0.125]],
            [0],
            dtype="bfloat16",
            flags=flagged("narrow_logits"),
            clauses="SHAPE-3 ACC-5",
            note="optax 0.2.8: the loss is carried and returned in bfloat16, 1.65625 for 1.64964",
        ),
    ),
]

MASKED = [
    reported(
        "google-deepmind/optax/issues/896",
        dense(
            [[-INF, 0.0]],
            [[0.0, 1.0]],
            flags=flagged("masked"),
            clauses="VALUE-7 STATE-1",
            note="optax softmax_cross_entropy 0.2.8, and torch 2.13.0 with class probabilities: NaN for 0",
        ),
    ),
    reported(
        "google-deepmind/optax/pull/1762",
        dense(
            [[-INF, 0.0, 0.0]],
            [[0.0, 1.0, 0.0]],
            flags=flagged("masked forward_mode"),
            clauses="STATE-1 GRAD-8",
            note="optax safe_softmax_cross_entropy 0.2.8: the loss is ln 2, and its forward-mode derivative NaN",
        ),
    ),
    reported(
        "Dao-AILab/flash-attention/issues/1930",
        token(
            [[-INF] * 12 + [10.0] + [-INF] * 12],
            [12],
            flags=flagged("masked"),
            clauses="STATE-1 VALUE-1",
            note="flash-attn 2.8.3, with one of 100000 logits left: NaN for 0; here the same with 25",
        ),
    ),
    reported(
        "gabrieldemarmiesse/torch-mojo-backend/pull/319",
        token(
            [[0.5, -INF, 1.5]],
            [2],
            flags=flagged("masked odd_size"),
            clauses="STATE-1 VALUE-1",
            note="a row that is narrower than the threads of a block: those without a logit made it NaN",
        ),
    ),
    reported(
        "unslothai/unsloth/pull/10616",
        token(
            [[-29.0, -28.5, -29.5]],
            [1],
            flags=flagged("odd_size offset"),
            clauses="VALUE-1 GRAD-1",
            note="Unsloth with a soft cap of 30: padding of -inf became -30 and entered lse; here the capped logits",
        ),
    ),
    reported(
        "verl-project/verl/pull/5349",
        token(
            [[-20.0, -8.0, -16.0, -12.0, -24.0]],
            [1],
            flags=flagged("odd_size"),
            clauses="VALUE-1 GRAD-1",
            note="verl: columns beyond V were 0, and each added e^0 to a sum that is e^-8 here",
        ),
    ),
]

SMOOTHING_AND_Z = [
    reported(
        "NVIDIA/Megatron-LM/issues/7464",
        token(
            [[0.5, -1.0, 2.0, 0.25, 1.0, -0.5, 0.0, 1.5], [1.0, 0.0, -2.0, 0.5, 2.5, 0.0, -1.0, 1.0]],
            [2, 4],
            label_smoothing=0.125,
            flags=flagged(),
            clauses="VALUE-2 GRAD-1",
            note="Megatron-LM: each shard of the vocabulary spread the mass over its own size, and took its own mean",
        ),
    ),
    reported(
        "NVIDIA/Megatron-LM/pull/5522",
        token(
            [[0.0, -200.0, -1000.0, 1.0]],
            [0],
            label_smoothing=0.125,
            flags=flagged("far_target"),
            clauses="VALUE-2 GRAD-1",
            note="Megatron-LM: the smoothing term is the logarithm of probabilities that underflow, infinite for 50.8",
        ),
    ),
    reported(
        "NVIDIA/Megatron-LM/issues/7452",
        token(
            [[0.5, -1.0, 2.0, 0.25]],
            [0],
            flags=flagged(),
            clauses="VALUE-1 VALUE-8 GRAD-1",
            note="Megatron-LM with gathered logits: the vocabulary is counted once for each rank, ln 2 more with two",
        ),
    ),
    reported(
        "linkedin/Liger-Kernel/issues/243",
        token(
            [[0.5, -1.0, 2.0, 0.25, 1.0]],
            [3],
            label_smoothing=float32(0.1),
            flags=flagged(),
            clauses="VALUE-2 VALUE-3 GRAD-4",
            note="Liger's fused linear loss of 2024-09: label_smoothing was taken and not passed on",
        ),
    ),
    reported(
        "fastai/fastai/pull/1814",
        token(
            [[0.5, -1.0, 2.0]],
            [2],
            label_smoothing=0.25,
            flags=flagged(),
            clauses="VALUE-2 GRAD-1",
            note="fastai before 2019-03: the target had 1 - e V / (V - 1) in place of 1 - e, far off for three classes",
        ),
    ),
    reported(
        "paiml/aprender/pull/2199",
        token(
            [[2.0, 1.0, 0.0, -1.0, 0.5]],
            [0],
            label_smoothing=float32(0.1),
            flags=flagged(),
            clauses="VALUE-2 VALUE-3",
            note="aprender: the other classes had (1 - e) / V each, three times the loss (inputs of the report)",
        ),
    ),
    reported(
        "ildoonet/pytorch-randaugment/issues/30",
        token(
            [[0.5, -1.0, 2.0, 0.25, 1.0, -0.5, 0.0]],
            [6],
            label_smoothing=0.125,
            flags=flagged("odd_size"),
            clauses="VALUE-2 VALUE-3",
            note="pytorch-randaugment: the target kept 1 - e / V and gained e / V, so that it stayed at 1",
        ),
    ),
    reported(
        "allenai/OLMo-core/pull/702",
        token(
            [[30.0, 29.0, 31.5]],
            [0],
            cotangents={"loss": [1.0], "z_loss": [1.0]},
            flags=flagged("offset"),
            clauses="STATE-5 VALUE-1 GRAD-7",
            note="OLMo-core: with the z-loss switched off the fused loss still had 1e-4 lse^2 in it, 0.1 here",
        ),
    ),
]

GRADIENTS_AND_MEANS = [
    reported(
        "linkedin/Liger-Kernel/pull/1298",
        token(
            [PLAIN, [3.0, 1.0, 2.0], [0.5, 0.0, -0.5]],
            [0, 1, 2],
            cotangents={"loss": [1.0, 0.25, -2.0]},
            flags=flagged(),
            clauses="GRAD-7 GRAD-1",
            note="Liger's fused linear loss, not reduced: the first token's cotangent was used for all of them",
        ),
    ),
    reported(
        "linkedin/Liger-Kernel/issues/968",
        token(
            [PLAIN, [3.0, 1.0, 2.0], [0.5, 0.0, -0.5]],
            [-100, 1, 2],
            cotangents={"loss": [0.0, 1.0, 1.0]},
            flags=flagged("excluded"),
            clauses="GRAD-7 EXCL-2",
            note="the same with a first token that is ignored: every gradient was 0",
        ),
    ),
    reported(
        "microsoft/DirectML/issues/740",
        weighted(
            [PLAIN, [3.0, 1.0, 2.0], [0.5, 0.0, -0.5]],
            [0, 1, 2],
            [0.5, 2.0, 1.0],
            flags=flagged(),
            clauses="GRAD-1 VALUE-5",
            note="torch-directml: losses that are not reduced, then weighted: every gradient is 0",
        ),
    ),
    reported(
        "tensorflow/tensorflow/issues/60314",
        dense(
            [[float32(0.1), float32(0.9)]],
            [[0.0, 0.0]],
            flags=flagged("not_unit_mass"),
            clauses="VALUE-7 GRAD-1",
            note="TensorFlow 2.13, a softmax layer before Keras's loss: no mass, and a gradient that is not 0",
        ),
    ),
    reported(
        "huggingface/transformers/pull/34191",
        weighted(
            [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [0.0, 0.5, 1.0], [1.0, 1.0, 0.0]],
            [0, 2, 1, 0],
            loss_normalizing_factor=16.0,
            flags=flagged(),
            clauses="VALUE-5 VALUE-6 GRAD-5",
            note="a part of 4 of 16 tokens: its share is its sum by 16, not its mean by the number of parts",
        ),
    ),
    reported(
        "google/tunix/pull/1662",
        factor(
            "AVERAGE_PER_SEQUENCE",
            target_tokens=[[3, 4, 5, 6, 7, 0]],
            segment_ids=[[1, 2, 2, 2, 2, 0]],
            positions=[[0, 0, 1, 2, 3, 0]],
            flags=flagged("packed"),
            clauses="NORM-6 NORM-7",
            note="Tunix: a packed row was averaged as one sequence, so that the short one lost its share of a half",
        ),
    ),
]

TOPIC = topic(
    "peer_bugs",
    "Defects of other implementations, each with an input that shows it and where it was reported or seen.",
    [*EXCLUDED, *OFFSETS, *MASKED, *SMOOTHING_AND_Z, *GRADIENTS_AND_MEANS],
)
