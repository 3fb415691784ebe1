"""Gradients of bfloat16 and float16 logits: rounded once, to nearest, ties to even, with subnormals and overflow."""

from lossproof.golden._builders import token, topic, weighted

HALVES = "two equal classes: the gradient is -w/2 and w/2"
TOPIC = topic(
    "narrow_gradients",
    "The last rounding of the gradient, to bfloat16 or float16: ties, their neighbours, subnormals, overflow.",
    [
        *(
            weighted(
                [[0.0, 0.0]],
                [0],
                [weight],
                dtype=dtype,
                flags="narrow_logits ties" + (" halfway" if tie else ""),
                clauses="ACC-5 GRAD-1 SHAPE-3",
                note=f"{dtype}, {HALVES}: {what}",
            )
            for dtype, bits in (("bfloat16", 8), ("float16", 11))
            for weight, tie, what in (
                (1 + 2.0**-bits, True, "halfway to the next number, even is below"),
                (1 + 3 * 2.0**-bits, True, "halfway to the next number, even is above"),
                (1 + 2.0**-bits + 2.0**-23, False, "a float32 above halfway: up"),
                (1 + 3 * 2.0**-bits - 2.0**-23, False, "a float32 below halfway: down"),
            )
        ),
        *(
            weighted(
                [[0.0, 0.0]],
                [1],
                [weight],
                dtype="float16",
                flags=f"narrow_logits ties {flags}".strip(),
                clauses="ACC-5 GRAD-1 SHAPE-3",
                note=f"float16, {HALVES}: {what}",
            )
            for weight, flags, what in (
                (131008.0, "", "the largest float16"),
                (131039.0, "overflow", "below halfway to 2^16, which would be the next: the largest float16"),
                (131040.0, "overflow halfway", "halfway to 2^16: infinity is the even neighbour"),
                (2.0**-13, "", "the smallest normal float16"),
                (2.0**-14 + 2.0**-23, "narrow_subnormal", "a subnormal float16"),
                (2.0**-23, "narrow_subnormal", "the smallest subnormal"),
                (3 * 2.0**-24, "narrow_subnormal halfway", "halfway between the two smallest subnormals: the second"),
                (2.0**-24, "narrow_subnormal halfway", "halfway between 0 and the smallest subnormal: 0"),
            )
        ),
        *(
            token(
                [[0.0, 0.0, 0.0]],
                [2],
                dtype=dtype,
                flags="narrow_logits ties",
                clauses="ACC-5 ACC-3 GRAD-1",
                note=f"{dtype}: thirds",
            )
            for dtype in ("bfloat16", "float16")
        ),
        *(
            token(
                [[lead, 0.0, 0.0]],
                [0],
                dtype="float16",
                flags="narrow_logits narrow_subnormal" + (" confident" if lead >= 20 else ""),
                clauses="ACC-5 ACC-1 GRAD-1",
                note=f"float16, a lead of {lead:g}: the gradient is {what}, the loss keeps its digits",
            )
            for lead, what in ((12.0, "subnormal"), (16.0, "a few units of the smallest subnormal"), (20.0, "0"))
        ),
        token(
            [[1.0, 3.0, -2.0, 0.5]],
            [1],
            dtype="bfloat16",
            cotangents={"loss": [1.0 + 2.0**-20]},
            flags="narrow_logits",
            clauses="ACC-5 GRAD-7 SHAPE-3",
            note="a cotangent that bfloat16 does not hold enters before the rounding",
        ),
        token(
            [[1.0, 3.0, -2.0, 0.5]],
            [1],
            dtype="bfloat16",
            z_loss=2.0**-10,
            cotangents={"loss": [1.0], "z_loss": [-3.0], "log_z": [0.125]},
            flags="narrow_logits every_cotangent",
            clauses="ACC-5 GRAD-7 SHAPE-3",
            note="three cotangents are added before the rounding, not after three",
        ),
    ],
)
