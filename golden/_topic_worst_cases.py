"""Inputs found by search: hard to round, or using most of the bounds."""

from typing import Any

from lossproof.golden._builders import dense, sourced, token, topic
from lossproof.golden._case import Question

SCRIPT = "benchmarks/find_worst_cases.py"

# What `hard` prints: where the loss of a gap d between two logits, or the gradient, is hard to round. "confident" is
# log1p(e^-d), "far" is d + log1p(e^-d). Then the type of the gap, the gap, the type of the result, and k: it is less
# than 2^-k ulp of that type from halfway between two of its numbers.
HARD: tuple[tuple[str, str, float, str, int], ...] = (
    ("confident", "bfloat16", 0.0152587890625, "bfloat16", 18),
    ("confident", "bfloat16", 0.84765625, "float16", 12),
    ("confident", "bfloat16", 0.0005035400390625, "float32", 12),
    ("far", "bfloat16", 1.140625, "bfloat16", 13),
    ("far", "bfloat16", 3.015625, "float16", 12),
    ("far", "bfloat16", 0.0005035400390625, "float32", 12),
    ("gradient", "bfloat16", 0.00390625, "bfloat16", 20),
    ("confident", "float16", 0.03106689453125, "bfloat16", 20),
    ("confident", "float16", 0.002017974853515625, "float16", 13),
    ("confident", "float16", 0.0236053466796875, "float32", 18),
    ("far", "float16", 0.00042438507080078125, "bfloat16", 17),
    ("far", "float16", 0.001888275146484375, "float16", 13),
    ("far", "float16", 0.0236053466796875, "float32", 18),
    ("gradient", "float16", 0.00048828125, "float16", 26),
    ("confident", "float32", 7.7336745262146, "bfloat16", 21),
    ("confident", "float32", 8.991987228393555, "float16", 22),
    ("confident", "float32", 7.199004173278809, "float32", 22),
    ("far", "float32", 0.02372121810913086, "bfloat16", 28),
    ("far", "float32", 1.5193792581558228, "float16", 22),
    ("far", "float32", 3.7050058841705322, "float32", 24),
    ("gradient", "float32", 0.05572658032178879, "float32", 22),
)

# What `climb --target lossproof`, `--target optax` (0.2.8) and `--target torch` (2.13.0) print: the inputs, the target,
# what was climbed for, and how much of the bound of grade A each implementation uses. Of lossproof those from 0.3 on.
CLIMBED: tuple[tuple[dict[str, Any], str, str, dict[str, float]], ...] = (
    ({"logits": [[-100.64404296875, -95.04756927490234]], "targets": [0]}, "lossproof", "log_z", {"lossproof": 0.64}),
    (
        {"logits": [[-103.53543853759766, -98.97256469726562, -95.021728515625]], "targets": [1]},
        "lossproof",
        "log_z",
        {"lossproof": 0.63},
    ),
    (
        {"logits": [[-6.167316436767578, -4.134328842163086, 9.85166072845459]], "targets": [0]},
        "lossproof",
        "loss",
        {"lossproof": 0.37, "optax": 0.0, "torch": 0.0},
    ),
    (
        {"logits": [[8.78257942199707, -1.9207069873809814, -31.82290267944336]], "targets": [1]},
        "lossproof",
        "the derivative by logits",
        {"lossproof": 0.6, "optax": 0.6, "torch": 0.68},
    ),
    (
        {
            "logits": [
                [
                    -82.72770690917969,
                    -75.92166137695312,
                    -125.07970428466797,
                    -104.02069091796875,
                    -83.908935546875,
                    -101.09321594238281,
                    -126.22138977050781,
                    -101.10382080078125,
                ]
            ],
            "targets": [3],
        },
        "lossproof",
        "log_z",
        {"lossproof": 0.74},
    ),
    (
        {
            "logits": [
                [
                    -5.557095050811768,
                    -3.4349594116210938,
                    2.70169734954834,
                    16.7879638671875,
                    6.344282150268555,
                    -22.881120681762695,
                    -9.783405303955078,
                    18.966882705688477,
                ]
            ],
            "targets": [2],
        },
        "lossproof",
        "loss",
        {"lossproof": 0.33, "optax": 0.01, "torch": 0.33},
    ),
    (
        {
            "logits": [
                [
                    -35.50600051879883,
                    -16.107568740844727,
                    -35.46670913696289,
                    19.651708602905273,
                    32.949867248535156,
                    18.304052352905273,
                    4.5395684242248535,
                    17.57887077331543,
                ]
            ],
            "targets": [1],
        },
        "lossproof",
        "the derivative by logits",
        {"lossproof": 0.73, "optax": 0.73, "torch": 0.28},
    ),
    (
        {
            "logits": [[-3.075425624847412, 1.258039951324463, 9.711705207824707]],
            "targets": [1],
            "label_smoothing": 0.10000000149011612,
        },
        "lossproof",
        "loss",
        {"lossproof": 0.32},
    ),
    (
        {
            "logits": [
                [-102.02947235107422, -100.45145416259766, -101.33170318603516, -96.0594482421875, -104.4233627319336]
            ],
            "targets": [4],
            "label_smoothing": 0.10000000149011612,
            "z_loss": 0.0010000000474974513,
        },
        "lossproof",
        "log_z",
        {"lossproof": 0.61},
    ),
    (
        {
            "logits": [
                [3.511120080947876, 5.937993049621582, -29.990806579589844, 2.825029134750366, -5.538305282592773]
            ],
            "targets": [2],
            "label_smoothing": 0.10000000149011612,
            "z_loss": 0.0010000000474974513,
        },
        "lossproof",
        "loss",
        {"lossproof": 0.34},
    ),
    (
        {
            "logits": [
                [-99.24669647216797, -94.91557312011719, -106.90193939208984, -100.81090545654297, -107.6055908203125]
            ],
            "targets": [3],
            "label_smoothing": 0.10000000149011612,
            "z_loss": 0.0010000000474974513,
        },
        "lossproof",
        "z_loss",
        {"lossproof": 0.45},
    ),
    (
        {
            "logits": [[-100.46930694580078, -99.88075256347656, -100.0841293334961]],
            "targets": [[0.2036752998828888, 0.541535496711731, -0.02047741785645485]],
            "z_loss": 0.0010000000474974513,
        },
        "lossproof",
        "loss",
        {"lossproof": 0.39},
    ),
    (
        {
            "logits": [[-98.89904022216797, -100.18023681640625, -100.28834533691406]],
            "targets": [[0.4931643307209015, 0.6029325723648071, -0.2918442189693451]],
            "z_loss": 0.0010000000474974513,
        },
        "lossproof",
        "z_loss",
        {"lossproof": 0.39},
    ),
    (
        {
            "logits": [[8.835847854614258, -10.550629615783691, -11.8141450881958]],
            "targets": [[0.5051738023757935, 0.17225147783756256, 0.27136150002479553]],
            "z_loss": 0.0010000000474974513,
        },
        "lossproof",
        "the derivative by targets",
        {"lossproof": 0.48},
    ),
    (
        {"logits": [[-96.53609466552734, -100.52405548095703]], "targets": [0]},
        "optax",
        "loss",
        {"lossproof": 0.01, "optax": 206.81, "torch": 2.32},
    ),
    (
        {"logits": [[-1.305910587310791, 2.666431188583374]], "targets": [1]},
        "optax",
        "the derivative by logits",
        {"lossproof": 0.02, "optax": 3.44, "torch": 3.44},
    ),
    (
        {"logits": [[-98.9917221069336, -103.51156616210938, -103.7528076171875]], "targets": [0]},
        "optax",
        "loss",
        {"lossproof": 0.04, "optax": 181.43, "torch": 2.32},
    ),
    (
        {"logits": [[11.772247314453125, 9.043910026550293, 5.686075687408447]], "targets": [0]},
        "optax",
        "the derivative by logits",
        {"lossproof": 0.04, "optax": 1.67, "torch": 0.92},
    ),
    (
        {
            "logits": [
                [
                    -101.79815673828125,
                    -108.56151580810547,
                    -87.55120849609375,
                    -108.9832763671875,
                    -102.25044250488281,
                    -106.00926208496094,
                    -84.02136993408203,
                    -120.10150146484375,
                ]
            ],
            "targets": [6],
        },
        "optax",
        "loss",
        {"lossproof": 0.02, "optax": 90.35, "torch": 1.24},
    ),
    (
        {
            "logits": [
                [
                    -13.100391387939453,
                    18.683979034423828,
                    18.41339874267578,
                    9.928297996520996,
                    4.693403720855713,
                    23.235538482666016,
                    -13.341047286987305,
                    -15.122414588928223,
                ]
            ],
            "targets": [5],
        },
        "optax",
        "the derivative by logits",
        {"lossproof": 0.5, "optax": 2.41, "torch": 2.41},
    ),
    (
        {"logits": [[-1.0657368898391724, 3.0046889781951904]], "targets": [1]},
        "torch",
        "loss",
        {"lossproof": 0.14, "optax": 0.57, "torch": 3.61},
    ),
    (
        {"logits": [[-1.072402834892273, 2.6664254665374756]], "targets": [1]},
        "torch",
        "the derivative by logits",
        {"lossproof": 0.09, "optax": 1.11, "torch": 3.28},
    ),
    (
        {"logits": [[-98.99158477783203, -102.9053955078125, -105.08866882324219]], "targets": [0]},
        "torch",
        "loss",
        {"lossproof": 0.01, "optax": 88.56, "torch": 4.82},
    ),
    (
        {"logits": [[11.772247314453125, 7.741688251495361, 5.686075687408447]], "targets": [0]},
        "torch",
        "the derivative by logits",
        {"lossproof": 0.07, "optax": 5.14, "torch": 5.14},
    ),
    (
        {
            "logits": [
                [
                    -12.828307151794434,
                    18.683990478515625,
                    18.413665771484375,
                    10.055436134338379,
                    5.1697587966918945,
                    23.235538482666016,
                    -13.120368957519531,
                    -14.990335464477539,
                ]
            ],
            "targets": [5],
        },
        "torch",
        "loss",
        {"lossproof": 0.06, "optax": 34.51, "torch": 2.37},
    ),
    (
        {
            "logits": [
                [
                    -35.49940872192383,
                    -14.031251907348633,
                    -36.02412796020508,
                    19.828176498413086,
                    32.76103210449219,
                    18.864843368530273,
                    7.185922622680664,
                    18.310989379882812,
                ]
            ],
            "targets": [1],
        },
        "torch",
        "the derivative by logits",
        {"lossproof": 0.72, "optax": 0.72, "torch": 1.43},
    ),
)

CLAUSES = {
    "loss": "VALUE-1 ACC-2",
    "log_z": "VALUE-8 ACC-5",
    "z_loss": "VALUE-4 ACC-5",
    "the derivative by logits": "GRAD-1 ACC-3",
    "the derivative by targets": "GRAD-6 ACC-5",
}


def hard_to_round(what: str, dtype: str, gap: float, result: str, k: int) -> Question:
    """Returns the question of a row of HARD."""
    quantity = "gradient" if what == "gradient" else "loss"
    question = token(
        [[0.0, -gap]],
        [int(what == "far")],
        dtype=dtype,
        flags="hard_to_round" + ("" if dtype == "float32" else " narrow_logits"),
        clauses="GRAD-1 ACC-3 ACC-5" if what == "gradient" else "VALUE-1 ACC-2 ACC-5",
        note=f"the {quantity} is less than 2^-{k} ulp of {result} from halfway between two of its numbers",
    )
    searched = f"{2**22} random float32 gaps" if dtype == "float32" else f"all {dtype} gaps"
    return sourced(question, f"found by {SCRIPT} hard: the nearest to halfway of {searched} from 2^-12 to 87")


def most_of_the_bound(inputs: dict[str, Any], target: str, quantity: str, used: dict[str, float]) -> Question:
    """Returns the question of a row of CLIMBED."""
    given = dict(inputs)
    logits, targets = given.pop("logits"), given.pop("targets")
    smoothed, is_dense = "label_smoothing" in given, isinstance(targets[0], list)
    clauses = CLAUSES[quantity]
    if quantity == "loss":
        clauses = "VALUE-7 ACC-2" if is_dense else "VALUE-2 VALUE-3 ACC-2" if smoothed else clauses
    question = (dense if is_dense else token)(
        logits,
        targets,
        flags="worst_case" + (" not_unit_mass" if is_dense else ""),
        clauses=clauses,
        note=f"{quantity}: {target} uses {used[target]:g} of the bound",
        **given,
    )
    shares = ", ".join(f"{name} {share:g}" for name, share in used.items())
    return sourced(question, f"found by {SCRIPT} climb --target {target}; of the bound of grade A are used: {shares}")


TOPIC = topic(
    "worst_cases",
    "Inputs found by search: results that are hard to round, and errors that use most of their bounds, or more.",
    [*(hard_to_round(*row) for row in HARD), *(most_of_the_bound(*row) for row in CLIMBED)],
)
