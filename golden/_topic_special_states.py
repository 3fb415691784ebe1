"""Infinities, NaN, the largest floats, one class, full smoothing."""

from lossproof.golden._builders import INF, NAN, dense, float32, token, topic, weighted

LARGEST = float32(3.4028234663852886e38)
ALL = {"loss": [1.0], "z_loss": [0.5], "log_z": [-2.0]}
PLAIN = [1.0, 2.0, 3.0]

TOPIC = topic(
    "special_states",
    "Special values and extremes: what is defined there, and that only the token concerned is touched.",
    [
        token(
            [[1.0, -INF, 2.0]],
            [0],
            z_loss=0.5,
            cotangents=ALL,
            flags="masked every_cotangent",
            clauses="STATE-1 GRAD-7",
            note="-inf is probability 0",
        ),
        token(
            [[-INF, -INF, 2.0, -INF]], [2], flags="masked", clauses="STATE-1", note="one class is left: the loss is 0"
        ),
        token(
            [[-INF, 0.0, -INF, 1.0]],
            [1],
            dtype="bfloat16",
            flags="masked narrow_logits",
            clauses="STATE-1 SHAPE-3",
            note="in bfloat16",
        ),
        dense(
            [[1.0, -INF, 2.0]],
            [[0.5, 0.0, 0.5]],
            0.5,
            flags="masked",
            clauses="STATE-1 VALUE-7",
            note="a dense 0 on -inf takes no part",
        ),
        token(
            [[-INF, 1.0, 2.0]],
            [0],
            z_loss=0.5,
            cotangents=ALL,
            flags="infinite_loss every_cotangent",
            clauses="STATE-2 GRAD-1",
            note="the target is at -inf",
        ),
        token(
            [[1.0, -INF, 2.0]],
            [0],
            label_smoothing=0.25,
            flags="infinite_loss",
            clauses="STATE-2 GRAD-1",
            note="smoothing puts mass on -inf",
        ),
        dense(
            [[1.0, -INF, 2.0]],
            [[0.5, -0.25, 0.5]],
            flags="infinite_loss not_unit_mass",
            clauses="STATE-2",
            note="negative mass on -inf: -inf",
        ),
        dense(
            [[1.0, -INF, -INF]],
            [[0.5, -0.25, 0.5]],
            flags="infinite_loss not_unit_mass",
            clauses="STATE-2",
            note="both signs on -inf: NaN",
        ),
        weighted(
            [[-INF, 1.0, 2.0], PLAIN],
            [0, 0],
            [1.0, 1.0],
            flags="infinite_loss",
            clauses="STATE-2 GRAD-2",
            note="an infinite total, finite rows",
        ),
        token([[-INF, -INF, -INF], PLAIN], [0, 0], flags="undefined_token", clauses="STATE-3", note="every logit -inf"),
        token([[INF, 1.0, 2.0], PLAIN], [1, 0], flags="undefined_token", clauses="STATE-3", note="a logit +inf"),
        token(
            [[INF, 1.0, 2.0], PLAIN], [0, 0], flags="undefined_token", clauses="STATE-3", note="the target's logit +inf"
        ),
        token(
            [[NAN, 1.0, 2.0], PLAIN],
            [1, 0],
            flags="undefined_token",
            clauses="STATE-3",
            note="a logit NaN, off the target",
        ),
        token(
            [[NAN, -INF, 2.0]],
            [2],
            dtype="float16",
            flags="undefined_token narrow_logits",
            clauses="STATE-3",
            note="in float16",
        ),
        dense(
            [PLAIN, PLAIN, PLAIN],
            [[NAN, 0.0, 1.0], [0.0, INF, 1.0], [0.0, 0.5, 0.5]],
            flags="undefined_token",
            clauses="STATE-3",
            note="dense targets that are not finite",
        ),
        weighted(
            [[NAN, 1.0, 2.0], PLAIN],
            [1, 0],
            [1.0, 1.0],
            flags="undefined_token",
            clauses="STATE-3 GRAD-2",
            note="the total is NaN, the other row is not",
        ),
        token(
            [[LARGEST, -LARGEST, 0.0]],
            [1],
            flags="huge_logits overflow",
            clauses="STATE-4",
            note="the loss is twice the largest float32",
        ),
        token(
            [[LARGEST, -LARGEST, 0.0]],
            [0],
            flags="huge_logits",
            clauses="STATE-4",
            note="the loss is 0 in any float type",
        ),
        token([[LARGEST, LARGEST]], [0], flags="huge_logits", clauses="STATE-4 STATE-5", note="ln 2"),
        token(
            [[1e300, 1e300, 1e299]], [0], dtype="float64", flags="huge_logits", clauses="STATE-4 STATE-5", note="ln 2"
        ),
        token(
            [[65504.0, 65504.0, -65504.0]],
            [0],
            dtype="float16",
            z_loss=0.5,
            flags="huge_logits narrow_logits overflow",
            clauses="STATE-4 SHAPE-3",
            note="the largest float16; z beyond it",
        ),
        token(
            [[LARGEST, 0.0]],
            [0],
            z_loss=0.5,
            flags="huge_logits overflow",
            clauses="STATE-4 VALUE-4",
            note="z is beyond float32",
        ),
        token(
            [[-LARGEST, -LARGEST]],
            [0],
            z_loss=0.0,
            flags="huge_logits",
            clauses="STATE-5",
            note="log_z is the lowest float32, z is 0",
        ),
        token([[float32(1e-40), 0.0]], [0], clauses="ACC-7", note="a subnormal logit, which a platform may flush"),
        *(
            token(
                [[2.0], [-3.0]],
                [0, 0],
                label_smoothing=e,
                z_loss=0.5,
                flags="one_class",
                clauses="STATE-6 GRAD-4",
                note="loss = z",
            )
            for e in (0.0, 0.5, 1.0)
        ),
        dense(
            [[2.0]],
            [[0.5]],
            0.5,
            flags="one_class not_unit_mass",
            clauses="STATE-6 VALUE-7",
            note="one class, dense: xent 0",
        ),
        token(
            [[0.0, 1.0]],
            [0],
            label_smoothing=1.0,
            flags="full_smoothing without_smoothing",
            clauses="STATE-7",
            note="V = 2: H = 0, the other class is the target",
        ),
        token(
            [[1.0, 1.0, 1.0, 1.0]],
            [3],
            label_smoothing=1.0,
            flags="full_smoothing without_smoothing",
            clauses="STATE-7",
            note="ln 4 - ln 3",
        ),
        token(
            [[-INF, 1.0, 2.0]],
            [0],
            label_smoothing=1.0,
            z_loss=0.5,
            flags="full_smoothing masked without_smoothing",
            clauses="STATE-7 STATE-1",
            note="no mass on the target at -inf",
        ),
        token(
            [PLAIN],
            [0],
            label_smoothing=0.0,
            flags="without_smoothing",
            clauses="GRAD-4",
            note="the derivative by label_smoothing is -inf",
        ),
        weighted(
            [PLAIN, PLAIN],
            [0, 1],
            [NAN, 1.0],
            flags="undefined_coefficient",
            clauses="STATE-8",
            note="a weight of NaN: its own row",
        ),
        weighted(
            [PLAIN, PLAIN],
            [0, 1],
            [INF, 1.0],
            flags="undefined_coefficient",
            clauses="STATE-8",
            note="an infinite weight: its own row",
        ),
        token([PLAIN], [0], z_loss=INF, flags="undefined_coefficient", clauses="STATE-8", note="k infinite"),
        token(
            [PLAIN, PLAIN],
            [0, -1],
            z_loss=NAN,
            flags="undefined_coefficient excluded",
            clauses="STATE-8 EXCL-2",
            note="k NaN; the second token is excluded",
        ),
        *(
            weighted(
                [PLAIN, PLAIN],
                [0, 1],
                [1.0, 0.0],
                loss_normalizing_factor=factor,
                flags="undefined_coefficient excluded",
                clauses="STATE-8 EXCL-1 GRAD-2",
                note="a factor of 0, inf or NaN; the second token is excluded",
            )
            for factor in (0.0, INF, NAN)
        ),
    ],
)
