"""Token weights and normalising factors of every size and sign."""

from itertools import product

from lossproof.golden._builders import float32, topic, weighted

BATCH = [[1.0, 2.0, 3.0], [0.5, -1.5, 0.25]]
ALL = {"loss": 1.0, "z_loss": -0.5, "weight_sum": 2.0}
BY_ALL = "VALUE-5 VALUE-6 GRAD-2 GRAD-5"

TOPIC = topic(
    "weights_and_factors",
    "Weights that are negative, fractional, bool, tiny and huge, factors likewise, and the derivatives by both.",
    [
        *(
            weighted(
                BATCH,
                [0, 1],
                weights,
                flags="negative_weight" if min(weights) < 0 else "",
                clauses=BY_ALL,
                note=f"weights {weights[0]:g} and {weights[1]:g}, no factor",
            )
            for weights in ([1.0, 1.0], [0.1015625, 0.75], [-1.0, 2.0], [-1.0, -0.5], [1e8, 1.0], [2.0**-20, 2.0**20])
        ),
        *(
            weighted(
                BATCH,
                [0, 1],
                [float32(w) for w in weights],
                loss_normalizing_factor=2.0,
                flags="subnormal"
                if min(weights) < 1e-38
                else "extreme_coefficient overflow"
                if sum(weights) > 4e38
                else "extreme_coefficient",
                clauses=clauses,
                note=note,
            )
            for weights, clauses, note in (
                (
                    [1e30, 1e-30],
                    "VALUE-5 GRAD-1 GRAD-2",
                    "the second row's gradient is 60 powers of ten below",
                ),
                ([1e-40, 1.0], "ACC-7 GRAD-2", "a subnormal weight may count as 0; the derivative by it is ordinary"),
                (
                    [3e38, 3e38],
                    "VALUE-6 STATE-4",
                    "the weights' sum and the loss are beyond float32, each quotient is not",
                ),
            )
        ),
        *(
            weighted(
                BATCH,
                [2, 0],
                [1.0, 0.5],
                loss_normalizing_factor=factor,
                flags="extreme_coefficient" if not 1e-3 < abs(factor) < 1e6 else "",
                clauses="VALUE-5 GRAD-1 GRAD-2 GRAD-5",
                note=f"a factor of {factor:g}",
            )
            for factor in (1.0, 3.0, -2.0, 0.1, 2.0**-30, 1e-10, 2.0**40, 1e30, -1e-30)
        ),
        weighted(
            BATCH,
            [2, 0],
            [2.0**-100, 2.0**-101],
            loss_normalizing_factor=2.0**-100,
            flags="extreme_coefficient",
            clauses="VALUE-5 GRAD-2 GRAD-5",
            note="weights and factor both tiny: their quotients, and the total, are ordinary",
        ),
        weighted(
            BATCH,
            [2, 0],
            [1.0, 1.0],
            loss_normalizing_factor=2.0**-127,
            flags="extreme_coefficient subnormal",
            clauses="VALUE-5 ACC-7 GRAD-2",
            note="a factor that is a subnormal float32, whose reciprocal is in range",
        ),
        *(
            weighted(BATCH, [0, 1], flags=flags, loss_normalizing_factor=factor, clauses=clauses, note=note)
            for factor, flags, clauses, note in (
                (2.0, "", "VALUE-5 VALUE-6 GRAD-5", "no weights: the mean of two, weight_sum 2"),
                (float32(0.3), "", "VALUE-5 GRAD-5", "no weights, a factor that only float32 holds exactly"),
            )
        ),
        *(
            weighted(
                BATCH,
                [0, 1],
                [1.0, 0.5],
                label_smoothing=0.25,
                z_loss=0.125,
                loss_normalizing_factor=1.5,
                cotangents={name: value for name, value in zip(ALL, chosen, strict=True) if value},
                flags="every_cotangent" if all(chosen) else "",
                clauses="GRAD-2 GRAD-3 GRAD-4 GRAD-5 GRAD-7",
                note="cotangents of loss, z_loss and weight_sum: " + ", ".join(f"{value:g}" for value in chosen),
            )
            for chosen in product((1.0, 0.0), (-0.5, 0.0), (2.0, 0.0))
            if any(chosen)
        ),
        *(
            weighted(
                BATCH,
                [0, 1],
                weights,
                z_loss=0.125,
                cotangents=ALL,
                flags="every_cotangent" + (" excluded" if not all(weights) else ""),
                clauses="SHAPE-2 VALUE-6 EXCL-1 GRAD-7",
                note=f"bool weights {weights}: there is no derivative by them",
            )
            for weights in ([True, True], [False, True])
        ),
        weighted(
            BATCH,
            [0, 1],
            [0.0, 0.0],
            loss_normalizing_factor=4.0,
            cotangents=ALL,
            flags="excluded every_cotangent",
            clauses="EXCL-3 GRAD-2 GRAD-7",
            note="no token has weight: the derivative by the weights is that of any weights all the same",
        ),
        weighted(
            BATCH,
            [0, 1],
            [1.0, -1.0],
            cotangents={"weight_sum": 1.0},
            flags="negative_weight cancelling",
            clauses="VALUE-6 GRAD-7 GRAD-2",
            note="a weight_sum of 0 and its cotangent alone: the derivative by each weight is 1, by the logits 0",
        ),
        *(
            weighted(
                [[3.0, 1.0, 2.0], [0.0, 0.5, 1.0]],
                [1, 2],
                [0.75, -0.5],
                dtype=dtype,
                loss_normalizing_factor=0.25,
                flags="negative_weight" + ("" if dtype == "float64" else " narrow_logits"),
                clauses="VALUE-5 SHAPE-3 GRAD-1",
                note=f"{dtype}: the coefficients, 3 and -2, are carried in the type of the loss",
            )
            for dtype in ("bfloat16", "float16", "float64")
        ),
    ],
)
