"""Vocabularies of real models, drawn by recipes."""

from lossproof.golden._builders import INF, recipe, token, topic, weighted

T5, GPT2, GPT2_PADDED, LLAMA3 = 32128, 50257, 50304, 128256

TOPIC = topic(
    "large_vocabulary",
    "Vocabularies of real models (T5, GPT-2, Llama 3), drawn by recipes; a sample of each logits gradient.",
    [
        token(
            recipe((1, T5), "float32", seed=1, drop=0, exponent=-14),
            [4711],
            clauses="VALUE-1 VALUE-8 GRAD-1 ACC-3",
            note="32128 classes, a target of average probability",
        ),
        token(
            recipe((2, T5), "float32", seed=2, drop=0, exponent=-14),
            [0, T5 - 1],
            label_smoothing=0.1,
            z_loss=1e-4,
            clauses="VALUE-2 VALUE-3 VALUE-4 GRAD-1 GRAD-3 GRAD-4 ACC-3",
            note="label smoothing 0.1 over 32127 other classes, z-loss 1e-4; the first and the last class as targets",
        ),
        token(
            recipe((1, T5), "bfloat16", seed=3, drop=9, exponent=-5),
            [31000],
            flags="narrow_logits",
            clauses="VALUE-1 SHAPE-3 GRAD-1 ACC-3 ACC-5",
            note="bfloat16 holds a sum of 32128 terms to 1 in 256; float32 must carry it",
        ),
        token(
            recipe(
                (1, GPT2_PADDED),
                "float32",
                seed=4,
                drop=0,
                exponent=-14,
                patches=dict.fromkeys(range(GPT2, GPT2_PADDED), -INF),
            ),
            [198],
            z_loss=1e-4,
            flags="masked",
            clauses="VALUE-1 VALUE-4 STATE-1 DIFF-2 GRAD-1 ACC-3",
            note="50257 classes padded to a multiple of 64, the padding masked",
        ),
        token(
            recipe((1, GPT2), "float32", seed=5, drop=0, exponent=-14, patches={50256: 40.0}),
            [50256],
            flags="confident",
            clauses="VALUE-1 GRAD-1 ACC-1 ACC-3",
            note="the target leads 50256 others by 32: the loss is far below the rounding error of log_z",
        ),
        token(
            recipe((2, GPT2), "float32", seed=6, drop=4, exponent=-10, offset=10_240_000, patches={262: 10024.0}),
            [262, 11],
            flags="offset",
            clauses="VALUE-1 GRAD-1 ACC-2 ACC-3",
            note="an offset of 10000; one target is the maximum, the other an average class",
        ),
        token(
            recipe((1, LLAMA3), "bfloat16", seed=7, drop=9, exponent=-5, patches={128001: 12.0}),
            [128001],
            label_smoothing=0.1,
            z_loss=1e-4,
            flags="narrow_logits",
            clauses="VALUE-2 VALUE-3 VALUE-4 SHAPE-3 GRAD-1 GRAD-3 GRAD-4 ACC-3 ACC-5",
            note="128256 classes in bfloat16, label smoothing 0.1, z-loss 1e-4",
        ),
        weighted(
            recipe((2, LLAMA3), "float32", seed=8, drop=0, exponent=-14, patches={LLAMA3: INF}),
            [128000, 128255],
            [0.75, 0.0],
            loss_normalizing_factor=2.0,
            flags="excluded undefined_token",
            clauses="VALUE-5 EXCL-1 GRAD-1 GRAD-2 ACC-3",
            note="128256 classes; an excluded row with an infinite logit",
        ),
    ],
)
