"""The z-loss alone and beside the cross-entropy."""

import math

from lossproof.golden._builders import INF, dense, float32, token, topic, weighted

X = [[1.0, 2.0, 3.0]]
ALONE = {"z_loss": [1.0]}

TOPIC = topic(
    "z_loss",
    "k lse^2 for small, large and negative k, for lse near 0, exact, huge and negative, and its derivatives.",
    [
        *(
            token(
                X,
                [0],
                z_loss=k,
                clauses="VALUE-4 GRAD-1 GRAD-3",
                note=f"k = {k:g}: z = {k:g} * 3.407606^2",
            )
            for k in (1e-8, 1e-6, 1e-4, 1e-2, 1.0, 10.0, 1e3)
        ),
        token(X, [0], z_loss=-0.5, clauses="VALUE-4 GRAD-1 GRAD-3", note="a negative k: the loss is below xent"),
        token(
            X,
            [0],
            z_loss=2.0**-140,
            flags="subnormal",
            clauses="VALUE-4 ACC-7 GRAD-3",
            note="k is a subnormal float32, which may count as 0; the derivative by k is lse^2 all the same",
        ),
        *(
            token(
                [[float32(-math.log(classes)) + shift] * classes],
                [0],
                z_loss=0.5,
                cotangents={"loss": [1.0], "log_z": [1.0]},
                flags="cancelling",
                clauses="VALUE-4 VALUE-8 GRAD-3",
                note=f"V = {classes}: m and log s cancel, lse is {about}, z its square",
            )
            for classes, shift, about in (
                (2, 0.0, "a rounding error"),
                (4, 0.0, "a rounding error"),
                (3, 2.0**-20, "about 1e-6"),
            )
        ),
        *(
            token(
                [[x, -INF]],
                [0],
                z_loss=0.25,
                cotangents={"loss": [1.0], "z_loss": [1.0], "log_z": [1.0]},
                flags="masked",
                clauses="VALUE-4 VALUE-8 STATE-1 GRAD-7",
                note=f"one class is left: lse is {x:g} exactly, z is {x * x / 4:g}",
            )
            for x in (0.0, 3.0, -0.5)
        ),
        *(
            token(
                [[x, x - 1.0, x + 0.5]] if abs(x) < 1e5 else [[x, x, -x]],
                [0],
                z_loss=k,
                flags="offset" if abs(x) < 1e10 else "large_logits",
                clauses="VALUE-4 GRAD-1 GRAD-3",
                note=f"lse is about {x:g}, k = {k:g}",
            )
            for x, k in (
                (50.0, 1e-4),
                (-50.0, 1e-4),
                (-1e4, 1e-4),
                (1e4, 1e-8),
                (2.0**40, 1e-4),
                (-(2.0**62), 2.0**-20),
            )
        ),
        *(
            token(
                [[0.5, -1.0, 2.0]],
                [place],
                z_loss=0.5,
                cotangents=ALONE,
                clauses="VALUE-4 GRAD-7 GRAD-1 GRAD-3",
                note=f"a cotangent of z alone, target {place}: the gradient 2 k lse p does not depend on the target",
            )
            for place in (0, 2)
        ),
        token(
            [[0.5, -1.0, 2.0]],
            [0],
            z_loss=0.5,
            cotangents={"loss": [1.0], "z_loss": [-1.0]},
            clauses="VALUE-4 GRAD-7 GRAD-1 GRAD-3",
            note="cotangents that cancel z: the gradient is p - q, the derivative by k is 0",
        ),
        token(
            [[0.5, -1.0, 2.0]],
            [0],
            cotangents={"z_loss": [1.0], "log_z": [1.0]},
            clauses="STATE-5 VALUE-8 GRAD-7",
            note="k = 0: z and its gradient are 0, that of log_z is p",
        ),
        token(
            [[0.5, -1.0, 2.0], [0.0, 3.0, 1.0]],
            [0, 1],
            z_loss=0.0,
            cotangents={"z_loss": [1.0, -2.0]},
            clauses="STATE-5 GRAD-3 GRAD-7",
            note="k = 0, with cotangents of z: the derivative by k is lse_0^2 - 2 lse_1^2",
        ),
        *(
            token(
                [[0.5, -1.0, 2.0]],
                [1],
                dtype=dtype,
                z_loss=0.125,
                label_smoothing=0.25,
                flags="" if dtype == "float64" else "narrow_logits",
                clauses="VALUE-4 VALUE-2 SHAPE-3 GRAD-3",
                note=f"{dtype}, with smoothing",
            )
            for dtype in ("bfloat16", "float16", "float64")
        ),
        *(
            weighted(
                [[0.5, -1.0, 2.0], [4.0, 3.0, 3.5]],
                [0, 1],
                [1.0, 0.25],
                z_loss=2.0**-6,
                loss_normalizing_factor=1.25,
                cotangents=cotangents,
                clauses="VALUE-4 VALUE-5 GRAD-2 GRAD-3 GRAD-5 GRAD-7",
                note=f"a batch, cotangents {cotangents}",
            )
            for cotangents in ({"z_loss": 1.0}, {"loss": 1.0, "z_loss": 8.0}, {"loss": 1.0, "z_loss": -1.0})
        ),
        dense(
            [[0.5, -1.0, 2.0]],
            [[0.0, 0.0, 0.0]],
            0.5,
            flags="not_unit_mass",
            clauses="VALUE-7 VALUE-4 GRAD-3",
            note="no mass: z is all of the loss",
        ),
        dense(
            [[0.5, -1.0, 2.0]],
            [[0.25, 0.25, 0.5]],
            0.5,
            cotangents=ALONE,
            clauses="VALUE-4 GRAD-7 GRAD-6",
            note="a cotangent of z alone: the derivative by the dense targets is 0",
        ),
    ],
)
