"""Tokens that the model is sure of, and their opposite: the target far below the maximum."""

from lossproof.golden._builders import dense, float32, token, topic, weighted

FAR = 20.0  # from here on the loss is far below the rounding error of log_z
FLUSHED = 86.8  # from here on e^-(lead + 0.5), the last term, is below the smallest normal float32


def lead_flags(lead: float, *more: str) -> str:
    """Returns the flags of a target that leads the other classes by `lead`."""
    return " ".join((*("confident",) * (lead >= FAR), *("subnormal",) * (lead >= FLUSHED), *more))


TOPIC = topic(
    "confident_tokens",
    "A target that leads all other classes, from 5 to where float32 and float64 underflow, and targets far below.",
    [
        *(
            token(
                [[lead, 0.0, -0.5]],
                [0],
                flags=lead_flags(lead),
                clauses="ACC-1 ACC-3 VALUE-1" if lead < FLUSHED else "ACC-1 ACC-7 VALUE-1",
                note=f"the target leads by {lead:g}: the loss is log1p(e^-{lead:g} (1 + e^-0.5))",
            )
            for lead in (
                5.0,
                8.0,
                12.0,
                16.0,
                17.5,
                20.0,
                30.0,
                45.0,
                60.0,
                80.0,
                87.0,
                88.0,
                95.0,
                103.0,
                104.0,
                120.0,
            )
        ),
        *(
            token(
                [[0.0, lead]],
                [1],
                dtype=dtype,
                flags=lead_flags(lead, "narrow_logits"),
                clauses="ACC-1 ACC-3 SHAPE-3 ACC-5" if lead < FLUSHED else "ACC-1 ACC-7 SHAPE-3",
                note=f"{dtype}: the target leads by {lead:g}, and the loss keeps its digits in float32",
            )
            for dtype in ("bfloat16", "float16")
            for lead in (5.0, 15.0, 30.0, 75.0, 104.0)
        ),
        *(
            token(
                [[lead, 0.0]],
                [0],
                dtype="float64",
                flags="confident" if lead < 708.0 else "confident subnormal",
                clauses="ACC-1 ACC-3 SHAPE-3" if lead < 708.0 else "ACC-1 ACC-7",
                note=f"float64: the target leads by {lead:g}, e^-{lead:g} is {what}",
            )
            for lead, what in (
                (40.0, "below half an ulp of 1"),
                (300.0, "an ordinary float64"),
                (709.0, "subnormal"),
                (745.0, "near the smallest subnormal"),
                (800.0, "less than any float64"),
            )
        ),
        token([[20.0, 20.0, 0.0]], [0], flags="ties", clauses="VALUE-1 ACC-3", note="two maxima: ln 2 and a little"),
        token([[20.0, 20.0, 0.0]], [2], flags="ties far_target", clauses="VALUE-1 ACC-3", note="below two maxima"),
        token([[7.0] * 8], [3], flags="ties", clauses="VALUE-1 ACC-3", note="eight maxima: ln 8"),
        token(
            [[16.0, 16.0 - 2.0**-20, -4.0]],
            [1],
            clauses="VALUE-1 ACC-3",
            note="the target is the float below the maximum: not confident, ln 2 and a little",
        ),
        token(
            [[30.0, 30.0 - 2.0**-19, -20.0]],
            [0],
            clauses="VALUE-1 ACC-3",
            note="the second maximum is the float below the target: the others are 50 down, and do not matter",
        ),
        *(
            token(
                [[0.0, -gap, 0.5]],
                [1],
                flags="far_target" if gap < FLUSHED else "far_target subnormal",
                clauses="VALUE-1 ACC-3",
                note=f"the target is {gap + 0.5:g} below the maximum: loss and gradient are ordinary, its p is not",
            )
            for gap in (10.0, 30.0, 90.0, 104.0, 1000.0)
        ),
        token(
            [[40.0, 0.0, -1.0]],
            [0],
            z_loss=1e-4,
            clauses="VALUE-4 GRAD-1",
            note="confident with z-loss: z is nearly all of the loss and of the gradient",
        ),
        token(
            [[25.0, 0.0], [0.0, 50.0], [75.0, 0.0]],
            [0, 1, 0],
            flags="confident",
            cotangents={"loss": [1.0, 1048576.0, 1.0]},
            clauses="ACC-1 ACC-3 GRAD-7",
            note="three of them, 11 powers of ten apart each, one with a large cotangent",
        ),
        weighted(
            [[25.0, 0.0], [0.0, 26.0], [27.0, 0.0]],
            [0, 1, 0],
            [1.0, 0.5, 2.0],
            flags="confident",
            clauses="ACC-1 ACC-4 VALUE-5",
            note="a total of nothing but confident tokens",
        ),
        weighted(
            [[25.0, 0.0], [1.0, 0.0]],
            [0, 1],
            [float32(1e11), 1.0],
            flags="confident",
            clauses="ACC-4 VALUE-5 GRAD-2",
            note="a large weight makes the confident token count as much as the other",
        ),
        dense(
            [[30.0, 0.0, -1.0]],
            [[1.0, 0.0, 0.0]],
            flags="confident",
            clauses="VALUE-7 GRAD-6",
            note="the same as a dense target; by a target whose q is 0 the derivative is ordinary",
        ),
    ],
)
