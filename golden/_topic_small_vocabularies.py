"""One, two and three classes."""

from lossproof.golden._builders import dense, token, topic, weighted

TYPES = ("bfloat16", "float16", "float64")
ENDS = {0.0: "without_smoothing", 1.0: "full_smoothing without_smoothing"}
TWO, THREE = [0.5, -1.25], [0.5, -1.25, 2.0]

TOPIC = topic(
    "small_vocabularies",
    "V = 1, 2 and 3, with every target, smoothing and type.",
    [
        *(
            token(
                [[-1.5]],
                [0],
                dtype=dtype,
                label_smoothing=0.25,
                z_loss=0.5,
                flags="one_class" + (" narrow_logits" if "16" in dtype else ""),
                clauses="STATE-6 SHAPE-3 GRAD-1 GRAD-4",
                note=f"V = 1, {dtype}: the loss is z = 1.125, the gradient that of z, by e it is 0",
            )
            for dtype in TYPES
        ),
        weighted(
            [[3.0], [-2.0], [0.5]],
            [0, 0, 1],
            [1.0, 2.0, 4.0],
            label_smoothing=0.5,
            z_loss=0.25,
            loss_normalizing_factor=3.0,
            flags="one_class excluded",
            clauses="STATE-6 EXCL-2 VALUE-5 GRAD-2",
            note="V = 1 in a batch: two of z, one target out of range",
        ),
        weighted([[3.0], [-2.0]], [0, 0], flags="one_class", clauses="STATE-6 VALUE-6", note="V = 1: 0, of 2 tokens"),
        dense(
            [[3.0], [-2.0]],
            [[1.0], [-0.5]],
            0.25,
            flags="one_class not_unit_mass",
            clauses="STATE-6 VALUE-7 GRAD-6",
            note="V = 1, dense: lse - x is 0 whatever q is",
        ),
        *(
            token(
                [TWO],
                [place],
                label_smoothing=e,
                flags=ENDS.get(e, "uniform_targets" if e == 0.5 else ""),
                clauses="VALUE-1 GRAD-1" if e == 0.0 else "VALUE-2 VALUE-3 GRAD-1 GRAD-4",
                note=f"V = 2, target {place}, e = {e:g}" + (f": as target {1 - place} with e = 0.25" * (e == 0.75)),
            )
            for place in (0, 1)
            for e in (0.0, 0.25, 0.5, 0.75, 1.0)
        ),
        *(
            token(
                [THREE],
                [place],
                label_smoothing=e,
                flags=ENDS.get(e, ""),
                clauses="VALUE-1 GRAD-1" if e == 0.0 else "VALUE-2 VALUE-3 GRAD-1 GRAD-4",
                note=f"V = 3, target {place}, e = {e:g}",
            )
            for place in (0, 1, 2)
            for e in (0.0, 0.375, 1.0)
        ),
        *(
            token(
                [TWO, TWO],
                [0, 1],
                dtype=dtype,
                flags="narrow_logits" if "16" in dtype else "",
                clauses="VALUE-1 SHAPE-3 ACC-3",
                note=f"V = 2, {dtype}: the two losses differ by the gap, the gradients only in sign",
            )
            for dtype in TYPES
        ),
        *(
            token(
                [THREE],
                [1],
                dtype=dtype,
                label_smoothing=0.375,
                z_loss=0.25,
                flags="narrow_logits" if "16" in dtype else "",
                clauses="VALUE-2 VALUE-4 SHAPE-3 GRAD-1",
                note=f"V = 3, {dtype}, everything at once",
            )
            for dtype in TYPES
        ),
        *(
            token([[x, x]], [1], flags="ties", clauses="VALUE-1 GRAD-1 ACC-2", note=f"V = 2, both at {x:g}: ln 2")
            for x in (0.0, -7.0, 1e6)
        ),
        token(
            [[0.0, 0.0, 0.0]], [2], flags="ties", clauses="VALUE-1 GRAD-1 ACC-3", note="V = 3, all at 0: ln 3, thirds"
        ),
        weighted(
            [TWO, TWO],
            [0, 1],
            [1.0, 1.0],
            label_smoothing=0.25,
            clauses="VALUE-2 VALUE-5 GRAD-2",
            note="V = 2, both targets: the sum is that of e = 0 less twice H",
        ),
        dense(
            [TWO],
            [[0.5, 0.5]],
            clauses="VALUE-7 GRAD-1 GRAD-6",
            note="V = 2, half and half: the mean of the two losses, no entropy subtracted",
        ),
    ],
)
