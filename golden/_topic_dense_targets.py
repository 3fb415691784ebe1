"""Targets that are a row of numbers: any sum, any sign."""

from lossproof.golden._builders import INF, dense, topic

X = [0.5, -1.0, 2.0, 0.25]

TOPIC = topic(
    "dense_targets",
    "Dense targets: distributions and not, with zeros, signs and sizes, for which the gradient is Q p - q.",
    [
        *(
            dense(
                [X],
                [q],
                flags="" if sum(q) == 1.0 else "not_unit_mass",
                clauses="VALUE-7 GRAD-1 GRAD-6",
                note=f"{note}: Q = {sum(q):g}",
            )
            for q, note in (
                ([0.25, 0.25, 0.25, 0.25], "a uniform distribution"),
                ([0.5, 0.0, 0.5, 0.0], "a distribution with zeros"),
                ([0.0, 0.0, 1.0, 0.0], "one-hot: the loss is that of the integer target 2"),
                ([0.0, 0.0, 3.0, 0.0], "three of one class: three times that"),
                ([0.125, 0.0, 0.25, 0.0], "less than a distribution"),
                ([2.0, 1.0, 4.0, 0.5], "more than a distribution"),
                ([-1.0, -2.0, -0.5, -0.25], "nothing but negative numbers"),
                ([1.0, -1.0, 0.0, 0.0], "signs that cancel: the loss is x_1 - x_0 = -1.5"),
                ([1.5, -0.5, 0.25, -0.25], "signs that make a sum of 1"),
                ([0.0, 0.0, 0.0, 0.0], "no mass at all: loss and gradient are 0, the derivative by q is not"),
                ([-0.0, 1.0, -0.0, 0.0], "a zero with a sign is a zero"),
            )
        ),
        *(
            dense(
                [[1.0, -INF, 2.0, -INF]],
                [q],
                flags="masked" + ("" if sum(q) == 1.0 else " not_unit_mass"),
                clauses="VALUE-7 STATE-1 GRAD-1",
                note=note,
            )
            for q, note in (
                ([1.0, 0.0, 0.0, 0.0], "one-hot beside masked classes"),
                ([0.25, -0.0, 0.5, 0.0], "zeros of both signs on masked classes"),
            )
        ),
        *(
            dense(
                [[1.0, -INF, 2.0, -INF]],
                [q],
                0.25,
                flags="infinite_loss not_unit_mass",
                clauses="STATE-2 GRAD-1 GRAD-6",
                note=note,
            )
            for q, note in (
                ([0.5, 2.0**-30, 0.5, 0.0], "the least mass on a masked class: the loss is infinite, z is not"),
                ([0.5, -0.5, 1.0, -0.5], "negative mass on both masked classes: minus infinity"),
            )
        ),
        dense(
            [[3.4028234663852886e38, -3.4028234663852886e38, 0.0]],
            [[0.5, 0.25, 0.25]],
            flags="huge_logits",
            clauses="STATE-4 VALUE-7",
            note="the largest floats: half of it and a quarter of it twice over, 0.75 times the largest float32",
        ),
        dense(
            [[2.0**99, -(2.0**99), 0.0]],
            [[0.0, 0.0, 0.0]],
            flags="large_logits not_unit_mass",
            clauses="STATE-4 VALUE-7 GRAD-6",
            note="no mass, and gaps of 2^100: 0",
        ),
        *(
            dense(
                [X],
                [[0.25, 0.0, 0.5, 0.125]],
                0.5,
                dtype=dtype,
                cotangents={"loss": [1.0], "z_loss": [-0.5]},
                flags="not_unit_mass every_cotangent" + ("" if dtype in {"float32", "float64"} else " narrow_logits"),
                clauses="VALUE-7 VALUE-4 SHAPE-3 GRAD-7",
                note=f"{dtype} logits, with z-loss and both cotangents",
            )
            for dtype in ("bfloat16", "float16", "float32", "float64")
        ),
        dense(
            [X, X, X],
            [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0], [0.5, -0.5, 0.0, 0.0]],
            2.0**-10,
            cotangents={"loss": [1.0, 0.0, -2.0]},
            flags="not_unit_mass",
            clauses="VALUE-7 GRAD-1 GRAD-3 GRAD-7",
            note="one row of logits under three targets, one of them without a cotangent",
        ),
        dense(
            [[20.0, 0.0, -1.0, 0.0]],
            [[1.0, 0.0, 0.0, 0.0]],
            flags="confident",
            clauses="VALUE-7 GRAD-6",
            note="one-hot and confident: the loss is about 5e-9",
        ),
        dense(
            [[20.0, 0.0, -1.0, 0.0]],
            [[1.0, 2.0**-24, 0.0, 0.0]],
            flags="not_unit_mass",
            clauses="VALUE-7 GRAD-1",
            note="the least soft mass that a float32 sum with 1 loses: it is most of the loss",
        ),
        dense(
            [[0.0, 0.0, 0.0, 0.0, 0.0]],
            [[0.2001953125, 0.2001953125, 0.2001953125, 0.2001953125, 0.19921875]],
            flags="ties",
            clauses="VALUE-7 GRAD-1 GRAD-6",
            note="uniform logits, targets all but uniform: the gradient is 1/5 - q",
        ),
    ],
)
