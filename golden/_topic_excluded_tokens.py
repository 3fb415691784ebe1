"""Tokens that take no part."""

from lossproof.golden._builders import INF, NAN, token, topic, weighted

BATCH = [[1.0, 2.0, 3.0], [0.5, -1.5, 0.25]]
SPOILT = [[1.0, 2.0, 3.0], [INF, NAN, -INF]]
ALL = {"loss": 1.0, "z_loss": 0.5, "weight_sum": 0.25}

TOPIC = topic(
    "excluded_tokens",
    "Tokens of weight 0 or with a target out of range: exactly 0 in every output and in the logits gradient.",
    [
        weighted(
            BATCH,
            [0, 1],
            [1.0, 0.0],
            z_loss=0.5,
            flags="excluded",
            clauses="EXCL-1 GRAD-2 GRAD-11",
            note="plain padding",
        ),
        weighted(BATCH, [0, 1], [1.0, -0.0], flags="excluded", clauses="EXCL-1", note="a weight of -0"),
        weighted(
            SPOILT,
            [0, 1],
            [1.0, 0.0],
            z_loss=0.5,
            flags="excluded undefined_token",
            clauses="EXCL-1 GRAD-2 STATE-3",
            note="padding whose logits are NaN and infinite",
        ),
        weighted(
            [[1.0, 2.0, 3.0], [-INF, -INF, -INF]],
            [0, 1],
            [1.0, 0.0],
            flags="excluded undefined_token",
            clauses="EXCL-1",
            note="padding whose logits are all masked",
        ),
        weighted(
            BATCH,
            [0, 1],
            [0.5, 0.0],
            label_smoothing=0.25,
            cotangents=ALL,
            flags="excluded",
            clauses="EXCL-1 GRAD-7",
            note="smoothed",
        ),
        token(
            BATCH,
            [0, -1],
            z_loss=0.5,
            flags="excluded",
            clauses="EXCL-2",
            note="-1 is out of range, not the last class",
        ),
        token(
            BATCH,
            [3, 1],
            label_smoothing=0.25,
            flags="excluded",
            clauses="EXCL-2",
            note="V is out of range, not clamped",
        ),
        token(
            SPOILT,
            [1, 3],
            flags="excluded undefined_token",
            cotangents={"loss": [1.0, 1.0], "z_loss": [1.0, 1.0], "log_z": [1.0, 1.0]},
            clauses="EXCL-2 GRAD-7",
            note="out of range, with logits that are NaN and infinite",
        ),
        token(
            BATCH,
            [0, 255],
            integer="uint8",
            flags="excluded",
            clauses="EXCL-2 SHAPE-2",
            note="an unsigned target: 255 is not -1",
        ),
        token(BATCH, [-128, 1], integer="int8", flags="excluded", clauses="EXCL-2 SHAPE-2", note="the smallest int8"),
        token(
            BATCH,
            [4294967297, -9223372036854775808],
            integer="int64",
            flags="excluded",
            clauses="EXCL-2 SHAPE-2",
            note="2^32 + 1 is not class 1, -2^63 is not class 0",
        ),
        token(
            [[2.0], [2.0]],
            [0, 1],
            flags="excluded one_class",
            clauses="EXCL-2 STATE-6",
            note="one class: 1 is out of range",
        ),
        weighted(
            BATCH,
            [0, -100],
            [1.0, 2.0],
            loss_normalizing_factor=4.0,
            cotangents=ALL,
            flags="excluded",
            clauses="EXCL-2 VALUE-6 GRAD-2",
            note="its weight of 2 is not in weight_sum",
        ),
        weighted(BATCH, [0, 7], flags="excluded", clauses="EXCL-2 VALUE-6", note="without weights it is not counted"),
        weighted(
            BATCH,
            [0, 7],
            [1.0, NAN],
            flags="excluded",
            clauses="EXCL-2 STATE-8",
            note="a weight of NaN of an excluded token",
        ),
        *(
            weighted(
                BATCH,
                [0, -1],
                [0.0, 1.0],
                loss_normalizing_factor=factor,
                flags="excluded",
                clauses="EXCL-3 GRAD-2",
                note="nothing but padding, whatever the factor",
            )
            for factor in (0.0, 2.0, INF, NAN)
        ),
        weighted(
            BATCH,
            [0, 1],
            [True, False],
            z_loss=0.5,
            loss_normalizing_factor=2.0,
            flags="excluded",
            clauses="EXCL-1 SHAPE-2",
            note="weights of type bool",
        ),
        weighted(
            SPOILT,
            [5, 1],
            [1.0, 0.0],
            flags="excluded undefined_token",
            clauses="EXCL-3",
            note="nothing but spoilt padding",
        ),
        weighted(BATCH, [-1, 3], flags="excluded", clauses="EXCL-3", note="every target out of range, no weights"),
    ],
)
