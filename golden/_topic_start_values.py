"""Values to start from: small enough to check with a pocket calculator."""

from lossproof.golden._builders import INF, dense, factor, token, topic, weighted

X = [[1.0, 2.0, 3.0]]
BATCH = [[1.0, 2.0, 3.0], [0.5, -1.5, 0.25], [-2.0, 4.0, 1.0]]
TENTH = "0.1 is the float64 nearest to it: the answers differ from those of 1/10 after 16 digits"

TOPIC = topic(
    "start_values",
    "Small logits and plain coefficients: what each function gives, to compare a new implementation with first.",
    [
        token(X, [0], clauses="VALUE-1 VALUE-8 GRAD-1", note="ln(1 + e + e^2)"),
        token(X, [0], dtype="bfloat16", flags="narrow_logits", clauses="VALUE-1 SHAPE-3 ACC-5", note="as float32"),
        token(X, [0], dtype="float16", flags="narrow_logits", clauses="VALUE-1 SHAPE-3 ACC-5", note="as float32"),
        token(X, [0], dtype="float64", clauses="VALUE-1 SHAPE-3", note="as float32, wanted to 53 bits"),
        token(X, [2], clauses="VALUE-1 GRAD-1", note="the target is the maximum"),
        token(
            [[0.0, -64.0, -65.0]], [0], flags="confident", clauses="VALUE-1 ACC-1 ACC-3", note="log1p(e^-64 + e^-65)"
        ),
        token(X, [0], label_smoothing=0.1, clauses="VALUE-2 VALUE-3 GRAD-1 GRAD-4", note=TENTH),
        token(X, [0], label_smoothing=0.1, dtype="float64", clauses="VALUE-2 VALUE-3 GRAD-4", note=TENTH),
        token(X, [0], label_smoothing=0.25, clauses="VALUE-2 VALUE-3 GRAD-4", note="a smoothing that every type holds"),
        token(X, [0], z_loss=0.1, clauses="VALUE-4 GRAD-1 GRAD-3", note=TENTH),
        token(
            X,
            [0],
            label_smoothing=0.25,
            z_loss=0.5,
            cotangents={"loss": [1.0], "z_loss": [-2.0], "log_z": [0.5]},
            flags="every_cotangent",
            clauses="VALUE-2 VALUE-4 VALUE-8 GRAD-1 GRAD-3 GRAD-7",
            note="all outputs have a cotangent",
        ),
        token(
            X,
            [0],
            label_smoothing=1.0,
            flags="full_smoothing without_smoothing",
            clauses="VALUE-2 STATE-7 GRAD-4",
            note="half of the mass on each of the other two classes",
        ),
        token([[1.0, 2.0, -INF]], [0], flags="masked", clauses="VALUE-1 STATE-1 GRAD-1", note="ln(1 + e)"),
        token([[0.0, -200.0, 0.0]], [0], label_smoothing=0.1, clauses="VALUE-2 VALUE-3", note=f"a gap of 200; {TENTH}"),
        weighted(BATCH, [0, 2, 1], clauses="VALUE-5 VALUE-6 GRAD-1", note="three tokens, no weights, no factor"),
        weighted(
            BATCH,
            [0, 2, 1],
            [1.0, 0.5, 2.0],
            label_smoothing=0.25,
            z_loss=0.5,
            loss_normalizing_factor=3.5,
            cotangents={"loss": 1.0, "z_loss": 0.5, "weight_sum": -1.0},
            flags="every_cotangent",
            clauses="VALUE-5 VALUE-6 GRAD-1 GRAD-2 GRAD-3 GRAD-4 GRAD-5 GRAD-7",
            note="every argument and every cotangent",
        ),
        weighted(
            [BATCH, BATCH],
            [[0, 2, 1], [1, 1, 0]],
            [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
            loss_normalizing_factor=3.0,
            flags="excluded",
            clauses="VALUE-5 EXCL-1",
            note="two sequences with padding, the mean over real tokens",
        ),
        dense(
            X, [[0.5, 0.25, 0.25]], 0.5, clauses="VALUE-7 VALUE-4 GRAD-1 GRAD-3 GRAD-6", note="a soft target of mass 1"
        ),
        dense(
            BATCH,
            [[0.5, 0.5, 0.5], [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0]],
            0.25,
            cotangents={"loss": [1.0, -0.5, 2.0], "z_loss": [0.0, 1.0, 0.5]},
            flags="every_cotangent not_unit_mass",
            clauses="VALUE-7 GRAD-1 GRAD-6 GRAD-7",
            note="masses of 1.5, 1 with a negative weight, and 0",
        ),
        factor(2.5, loss_weights=[[1.0, 0.5]], clauses="NORM-2", note="a number passes through"),
        factor(
            "NUM_REAL_TARGET_TOKENS",
            target_tokens=[[5, 7, 0, 0], [3, 0, 0, 0]],
            clauses="NORM-3 NORM-4",
            note="0 is padding",
        ),
        factor(
            "NUM_TOTAL_TARGET_TOKENS",
            target_tokens=[[5, 7, 0, 0], [3, 0, 0, 0]],
            clauses="NORM-3 NORM-5",
            note="the shape's size",
        ),
        factor(
            "AVERAGE_PER_SEQUENCE",
            target_tokens=[[5, 7, 9, 0], [3, 0, 0, 0], [0, 0, 0, 0]],
            clauses="NORM-3 NORM-6",
            note="thirds, a whole one, and an empty sequence",
        ),
    ],
)
