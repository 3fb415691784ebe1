"""Logits far from 0: what an offset that all of them share must not change."""

from lossproof.golden._builders import dense, token, topic, weighted

SAME = "loss and gradient are those of the offset 0"

TOPIC = topic(
    "offsets",
    "One number added to all logits of a token: neither loss nor gradient change, log_z and z do.",
    [
        *(
            token(
                [[offset, offset + 1.0, offset + 2.0]],
                [0],
                flags="offset" if offset else "",
                cotangents={"loss": [1.0], "log_z": [0.5]},
                clauses="VALUE-1 VALUE-8 ACC-2 GRAD-7",
                note=f"[0, 1, 2] + {offset:.9g}: the loss is 2.407606 whatever the offset",
            )
            for offset in (0.0, 1e2, 1e4, 1e6, -1e2, -1e4, -1e6, 2.0**24 - 2.0, 2.0 - 2.0**24)
        ),
        *(
            token(
                [[2.0**k - 0.25, 2.0**k + 0.5, 2.0**k, 2.0**k + 0.25]],
                [1],
                flags="offset",
                clauses="VALUE-1 ACC-2 ACC-3",
                note=f"[-0.25, 0.5, 0, 0.25] + 2^{k}: {SAME}",
            )
            for k in (6, 12, 17, 21)
        ),
        *(
            token(
                [[offset, offset + step, offset + 2 * step]],
                [1],
                dtype=dtype,
                flags="offset narrow_logits" if dtype != "float64" else "offset",
                clauses="VALUE-1 ACC-2 SHAPE-3",
                note=f"{dtype}: [0, {step:g}, {2 * step:g}] + {offset:.9g}: {SAME}",
            )
            for dtype, offset, step in (
                ("bfloat16", 128.0, 1.0),
                ("bfloat16", -1024.0, 8.0),
                ("bfloat16", 2.0**30, 2.0**23),
                ("float16", 1024.0, 1.0),
                ("float16", -4096.0, 4.0),
                ("float16", 61440.0, 32.0),
                ("float64", 1e9, 0.5),
                ("float64", -(2.0**52), 1.0),
            )
        ),
        *(
            token(
                [[offset + 24.0, offset, offset - 1.0]],
                [0],
                flags="offset confident",
                clauses="ACC-1 ACC-2 ACC-3",
                note=f"the target leads by 24, at {offset:.9g}: {SAME}",
            )
            for offset in (1e3, 1e5, -1e5)
        ),
        *(
            token(
                [[offset - 2.0, offset, offset + 1.0]],
                [0],
                label_smoothing=0.25,
                flags="offset",
                clauses="VALUE-2 VALUE-3 GRAD-1 GRAD-4",
                note=f"smoothed, at {offset:.9g}: {SAME}",
            )
            for offset in (0.0, 1e4, -1e6)
        ),
        *(
            token(
                [[offset - 2.0, offset, offset + 1.0]],
                [2],
                z_loss=2.0**-12,
                cotangents={"loss": [1.0], "z_loss": [1.0]},
                flags="offset",
                clauses="VALUE-4 GRAD-1 GRAD-3 GRAD-7",
                note=f"with z-loss, at {offset:.9g}: xent is that of the offset 0, z is not",
            )
            for offset in (0.0, 1e3, -1e3)
        ),
        token(
            [[0.0, 1.0], [1e4, 10001.0], [-1e6, -999999.0]],
            [0, 0, 0],
            flags="offset",
            clauses="VALUE-1 ACC-2",
            note="three tokens that are equal but for the offset have equal losses, ln(1 + e)",
        ),
        weighted(
            [[1e6, 1000001.0], [-1e6, -999999.0], [0.0, 1.0]],
            [0, 0, 0],
            [1.0, -1.0, 1.0],
            flags="offset cancelling negative_weight",
            clauses="VALUE-5 ACC-2 GRAD-2",
            note="the first two cancel because offsets do not matter: ln(1 + e) is left",
        ),
        dense(
            [[8192.0, 8193.0, 8190.0]],
            [[0.25, 0.5, 0.25]],
            flags="offset",
            clauses="VALUE-7 ACC-2 GRAD-6",
            note="a dense target: the loss is that of [2, 3, 0]",
        ),
        dense(
            [[8192.0, 8193.0, 8190.0]],
            [[0.5, -1.0, 0.5]],
            flags="offset not_unit_mass cancelling",
            clauses="VALUE-7 GRAD-1 GRAD-6",
            note="a mass of 0: log_z itself drops out, and the loss is 2 exactly",
        ),
    ],
)
