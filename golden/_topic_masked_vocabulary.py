"""Classes that are masked out: -inf, or a number that stands for it."""

from lossproof.golden._builders import INF, dense, float32, token, topic, weighted

LOGITS = [0.5, -1.0, 2.0, 0.25, 1.5]
LOWEST = float32(-3.4028234663852886e38)

TOPIC = topic(
    "masked_vocabulary",
    "Vocabularies of which a part is masked: padding columns, forbidden tokens, all but one class.",
    [
        *(
            token(
                [[*LOGITS, *[-INF] * padding]],
                [2],
                flags="masked",
                clauses="STATE-1 VALUE-1 GRAD-1",
                note=f"5 classes and {padding} of padding: values are those of the 5, the padding's gradient is 0",
            )
            for padding in (1, 3, 11)
        ),
        token([[-INF, -INF, *LOGITS]], [4], flags="masked", clauses="STATE-1 VALUE-1", note="padding in front"),
        token(
            [[0.5, -INF, -1.0, -INF, 2.0, -INF]],
            [0],
            flags="masked",
            clauses="STATE-1 VALUE-1 GRAD-1",
            note="every second class masked",
        ),
        *(
            token(
                [[-INF] * place + [x] + [-INF] * (5 - place)],
                [place],
                flags="masked",
                cotangents={"loss": [1.0], "log_z": [1.0]},
                clauses="STATE-1 VALUE-8 GRAD-7",
                note=f"all but class {place} masked: the loss is 0, log_z is {x:g} exactly",
            )
            for place, x in ((0, -3.5), (5, 1024.0))
        ),
        token(
            [[-INF, 1.0, -INF, 1.0]],
            [3],
            flags="masked ties",
            clauses="STATE-1 VALUE-1",
            note="two equal classes are left: ln 2",
        ),
        token(
            [[-INF, 20.0, -INF, 0.0]],
            [1],
            flags="masked confident",
            clauses="STATE-1 ACC-1 ACC-3",
            note="two classes are left, 20 apart",
        ),
        *(
            token(
                [[1.0, 2.0, -INF, 0.0]],
                [1],
                label_smoothing=e,
                z_loss=0.25,
                flags="infinite_loss" + (" full_smoothing without_smoothing" if e == 1.0 else ""),
                clauses="STATE-2 STATE-1 GRAD-1 GRAD-4",
                note=f"e = {e:g} puts mass on a masked class: the loss is infinite, z and the gradient are not",
            )
            for e in (2.0**-20, 0.5, 1.0)
        ),
        token(
            [[-INF, 2.0, 1.0, 0.0]],
            [0],
            label_smoothing=1.0,
            flags="masked full_smoothing without_smoothing",
            clauses="STATE-7 STATE-1 GRAD-1",
            note="e = 1 takes all mass off the masked target: finite",
        ),
        *(
            token(
                [[1.0, low, 2.0, low]],
                [0],
                dtype=dtype,
                flags="finite_mask" + (" narrow_logits" if "16" in dtype else ""),
                clauses="VALUE-1 STATE-4 GRAD-1",
                note=f"{name} for a mask: the same as -inf, ln(1 + e), to any digit that is there",
            )
            for dtype, low, name in (
                ("float32", -1e9, "-1e9"),
                ("float32", LOWEST, "the lowest float32"),
                ("float16", -65504.0, "the lowest float16"),
                ("bfloat16", -(2.0**127) * (2 - 2.0**-7), "the lowest bfloat16"),
                ("float64", -1.7976931348623157e308, "the lowest float64"),
            )
        ),
        token(
            [[1.0, -1e9, 2.0, -1e9]],
            [0],
            label_smoothing=0.25,
            flags="finite_mask",
            clauses="VALUE-2 STATE-4 GRAD-1",
            note="smoothing does tell -1e9 from -inf: the loss is a sixth of 1e9",
        ),
        token(
            [[1.0, LOWEST, 2.0]],
            [1],
            flags="finite_mask huge_logits",
            clauses="STATE-4 VALUE-1",
            note="the target at the lowest float32: the loss is that number, not infinite",
        ),
        *(
            token(
                [[0.5, -INF, 1.5, -INF]],
                [2],
                dtype=dtype,
                z_loss=0.125,
                flags="masked" + (" narrow_logits" if "16" in dtype else ""),
                clauses="STATE-1 SHAPE-3 VALUE-4",
                note=f"{dtype}, with z-loss",
            )
            for dtype in ("bfloat16", "float16", "float64")
        ),
        weighted(
            [[1.0, 2.0, -INF], [-INF, 0.5, 1.0], [0.0, 1.0, 2.0]],
            [0, 1, 2],
            [1.0, 0.5, 2.0],
            loss_normalizing_factor=3.5,
            flags="masked",
            clauses="STATE-1 VALUE-5 GRAD-2",
            note="each token has a mask of its own",
        ),
        weighted(
            [[1.0, 2.0, -INF], [-INF, 0.5, 1.0]],
            [2, 1],
            [0.0, 1.0],
            flags="masked excluded infinite_loss",
            clauses="EXCL-1 STATE-1 GRAD-2",
            note="the token with its target at -inf has weight 0: it adds nothing, and its derivative by weight is 0",
        ),
        dense(
            [[1.0, -INF, 2.0, -INF]],
            [[0.75, 0.0, 0.5, 0.0]],
            0.25,
            flags="masked not_unit_mass",
            clauses="VALUE-7 STATE-1 GRAD-6",
            note="dense, with zeros on the masked classes; the derivative by those zeros is infinite",
        ),
    ],
)
