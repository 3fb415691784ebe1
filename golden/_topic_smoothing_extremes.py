"""Label smoothing from the smallest float to 1."""

from lossproof.golden._builders import token, topic, weighted

X = [[1.0, 2.0, 3.0]]
WIDE = [[0.0, -200.0, -150.0]]

TOPIC = topic(
    "smoothing_extremes",
    "Label smoothing near 0, near 1, where q is uniform, and where its loss is 0.",
    [
        *(
            token(
                X,
                [0],
                label_smoothing=e,
                flags="near_zero_smoothing",
                clauses="VALUE-2 VALUE-3 GRAD-1 GRAD-4",
                note=f"e = {name}: the loss is that of e = 0 to {digits} digits, the derivative by e is not",
            )
            for e, name, digits in (
                (2.0**-23, "2^-23", 6),
                (2.0**-24, "2^-24, where 1 - e is the float below 1", 6),
                (2.0**-25, "2^-25, where 1 - e rounds to 1", 7),
                (1e-12, "1e-12", 11),
                (2.0**-64, "2^-64", 18),
            )
        ),
        *(
            token(
                WIDE,
                [0],
                label_smoothing=e,
                flags="near_zero_smoothing",
                clauses="VALUE-2 VALUE-3 GRAD-1",
                note=f"e = {name}, and a target that leads by 150: xent and H are all there is",
            )
            for e, name in ((2.0**-24, "2^-24"), (1e-12, "1e-12"), (2.0**-100, "2^-100"))
        ),
        *(
            token(
                WIDE,
                [0],
                label_smoothing=e,
                flags="near_zero_smoothing subnormal",
                clauses="VALUE-2 ACC-7 GRAD-4",
                note=f"e = {name}",
            )
            for e, name in ((2.0**-126, "2^-126, the smallest normal float32"), (2.0**-149, "2^-149, the smallest"))
        ),
        *(
            token(
                X,
                [0],
                label_smoothing=e,
                dtype=dtype,
                flags="near_full_smoothing",
                clauses="VALUE-2 VALUE-3 GRAD-1 GRAD-4",
                note=f"e = 1 - {1 - e:g}, in {dtype}: the target keeps that much, and log(1 - e) its digits",
            )
            for dtype, e in (
                ("float32", 1.0 - 2.0**-24),
                ("float32", 1.0 - 2.0**-12),
                ("float32", 0.875),
                ("float64", 1.0 - 2.0**-53),
            )
        ),
        *(
            token(
                [[0.5, -1.0, 2.0, 0.0][:classes]],
                [0],
                label_smoothing=e,
                flags="uniform_targets",
                clauses="VALUE-2 VALUE-3 GRAD-1 GRAD-4",
                note=f"V = {classes}, e = {e:g}: q is uniform, whichever class is the target; H is ln {classes}",
            )
            for classes, e in ((2, 0.5), (4, 0.75))
        ),
        token(
            [[3.0, 3.0, 3.0, 3.0]],
            [1],
            label_smoothing=0.75,
            flags="uniform_targets ties",
            clauses="VALUE-2 VALUE-3 GRAD-1 GRAD-4",
            note="logits and q both uniform: the loss and all derivatives are 0",
        ),
        token(
            [[3.0, 3.0, 3.0, 3.0]],
            [1],
            label_smoothing=0.5,
            flags="ties",
            clauses="VALUE-2 VALUE-3 GRAD-1",
            note="uniform logits: ln 4 - H, H = ln 2 + 0.5 ln 3",
        ),
        *(
            token(
                [[x, 0.0]],
                [0],
                label_smoothing=0.25,
                flags="small_loss",
                clauses="VALUE-2 VALUE-3 GRAD-1",
                note=f"logits {direction} log q by a rounding: the loss is about its square, xent and H cancel",
            )
            for x, direction in ((1.0986123085021973, "above"), (1.0986121892929077, "below"))
        ),
        *(
            token(
                [[gap, 0.0, -gap]],
                [0],
                label_smoothing=0.125,
                flags="" if gap < 1e30 else "large_logits",
                clauses="VALUE-2 GRAD-1 GRAD-4" if gap < 1e30 else "VALUE-2 STATE-4 GRAD-1",
                note=f"gaps of {gap:g}: the smoothing term is nearly all of the loss, {0.1875 * gap:g}",
            )
            for gap in (64.0, 4096.0, 2.0**100)
        ),
        *(
            token(
                [[0.5, -1.0, 2.0, 0.0, 1.0]],
                [place],
                label_smoothing=0.375,
                dtype=dtype,
                flags="" if dtype == "float64" else "narrow_logits",
                clauses="VALUE-2 VALUE-3 SHAPE-3 GRAD-1",
                note=f"{dtype}, with the target {where}",
            )
            for dtype in ("bfloat16", "float16", "float64")
            for place, where in ((2, "the maximum"), (1, "the minimum"))
        ),
        *(
            weighted(
                [[1.0, 2.0, 3.0], [3.0, -1.0, 0.5]],
                [2, 1],
                [1.0, 0.5],
                label_smoothing=e,
                loss_normalizing_factor=1.5,
                flags="near_zero_smoothing" if e < 0.5 else "near_full_smoothing",
                clauses="VALUE-2 VALUE-5 GRAD-2 GRAD-4 GRAD-5",
                note=f"a total, e = {name}",
            )
            for e, name in ((2.0**-30, "2^-30"), (1.0 - 2.0**-20, "1 - 2^-20"))
        ),
    ],
)
