"""Normalising factors of packed and padded rows, and totals that use them."""

from typing import Any

from lossproof.golden._builders import factor, float32, topic, weighted

AVERAGE, REAL, TOTAL = "AVERAGE_PER_SEQUENCE", "NUM_REAL_TARGET_TOKENS", "NUM_TOTAL_TARGET_TOKENS"


def packed(ids: list[int], positions: list[int], **more: Any) -> dict[str, Any]:
    """Returns a batch of one packed row."""
    tokens = [7 if segment else 0 for segment in ids]
    return {"target_tokens": [tokens], "segment_ids": [ids], "positions": [positions], **more}


def shared(ids: list[int], positions: list[int]) -> bool:
    """Whether a row holds more than one sequence."""
    begins = [i for i, segment in enumerate(ids) if segment and (i == 0 or ids[i - 1] != segment or positions[i] == 0)]
    return len(begins) > 1


TOPIC = topic(
    "packed_batches",
    "Weights and factors of packed rows: each sequence is averaged over its own tokens, whatever lies beside it.",
    [
        *(
            factor(
                AVERAGE,
                **packed(ids, positions),
                flags="packed" if shared(ids, positions) else "",
                clauses="NORM-3 NORM-6 NORM-7",
                note=note,
            )
            for ids, positions, note in (
                ([1, 1, 1, 2, 2, 0], [0, 1, 2, 0, 1, 0], "sequences of 3 and 2, and padding: thirds, halves and 0"),
                ([1, 2, 3, 4], [0, 0, 0, 0], "four sequences of one token"),
                ([1, 1, 1, 1], [0, 1, 2, 3], "one sequence fills the row"),
                ([0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 2, 0], "leading padding"),
                ([1, 1, 0, 0, 2, 2], [0, 1, 0, 1, 0, 1], "padding between two sequences"),
                ([1, 1, 0, 1, 1, 1], [0, 1, 0, 0, 1, 2], "one id on both sides of padding: two sequences"),
                ([3, 3, 1, 1, 1, 3], [0, 1, 0, 1, 2, 0], "ids need not rise, and may come again"),
                ([1, 1, 1, 1, 1], [0, 1, 0, 1, 2], "positions restart within an id: two sequences"),
                ([1, 1, 1, 1], [0, 0, 0, 0], "positions of 0 throughout: each token is a sequence"),
                ([1, 1, 2, 2], [5, 6, 7, 8], "positions that never are 0: the ids alone divide"),
                ([1, 1, 1], [3, 4, 0], "a row that begins in the middle of a sequence, which then restarts"),
                ([0, 0, 0, 0], [0, 1, 2, 3], "nothing but padding: the factor is 0"),
                ([-1, -1, 2], [0, 1, 0], "an id below 0 is an id like any other"),
            )
        ),
        *(
            factor(
                AVERAGE,
                **packed(ids, positions, loss_weights=[[float32(w) for w in weights]]),
                flags=(f"packed {flags}" if shared(ids, positions) else flags).strip(),
                clauses="NORM-6 NORM-7" + (" ACC-7" if "subnormal" in flags else ""),
                note=note,
            )
            for ids, positions, weights, flags, note in (
                (
                    [1, 1, 2, 2],
                    [0, 1, 0, 1],
                    [1e-8, 1e-8, 1e8, 1e8],
                    "",
                    "the small sequence first, where differences of running sums still work: halves",
                ),
                (
                    [1, 1, 2, 2],
                    [0, 1, 0, 1],
                    [1e8, 1e8, 1e-8, 3e-8],
                    "",
                    "the small sequence last, where differences of running sums give 0: halves, and quarters",
                ),
                (
                    [1, 1, 2, 2, 3],
                    [0, 1, 0, 1, 0],
                    [1e20, 3e20, 1.0, 3.0, 1e-20],
                    "",
                    "40 powers of ten in a row: quarters and a whole",
                ),
                (
                    [1, 1, 2, 2],
                    [0, 1, 0, 1],
                    [0.0, 0.0, 1.0, 3.0],
                    "",
                    "a sequence without weight beside an ordinary one: 0, not the neighbour's sum",
                ),
                (
                    [1, 1, 2, 2],
                    [0, 1, 0, 1],
                    [1.0, -1.0, 1.0, 1.0],
                    "negative_weight",
                    "weights that cancel in a sequence: its sum is 0, and so are its weights",
                ),
                (
                    [1, 1, 1, 2],
                    [0, 1, 2, 0],
                    [2.0, -1.0, 1.0, -4.0],
                    "negative_weight",
                    "negative weights: 1, -1/2, 1/2, and 1",
                ),
                (
                    [0, 1, 1, 0],
                    [0, 0, 1, 0],
                    [9.0, 1.0, 2.0, 9.0],
                    "",
                    "padding that has weight takes no part: 0, 1/3, 2/3, 0",
                ),
                ([1, 1, 1], [0, 1, 2], [1e-40, 1e-40, 2e-40], "subnormal", "weights that are subnormal float32"),
            )
        ),
        factor(
            AVERAGE,
            target_tokens=[[1, 1, 1, 0], [1, 1, 0, 0]],
            segment_ids=[[1, 1, 2, 0], [1, 1, 1, 1]],
            positions=[[0, 1, 0, 0], [0, 1, 2, 3]],
            loss_weights=[[1.0, 3.0, 5.0, 7.0], [1.0, 1.0, 1.0, 1.0]],
            flags="packed",
            clauses="NORM-6 NORM-7",
            note="two rows: a sequence never runs over the end of a row, though the id goes on",
        ),
        *(
            factor(
                kind,
                **packed([1, 1, 2, 0], [0, 1, 0, 0], loss_weights=[[1.0, 0.5, 2.0, 8.0]]),
                flags="packed",
                clauses=clauses,
                note=note,
            )
            for kind, clauses, note in (
                (
                    REAL,
                    "NORM-4",
                    "the sum of the weights, 11.5, padding's included: segments do not matter",
                ),
                (TOTAL, "NORM-5", "the number of elements, 4, whatever weights and segments are"),
            )
        ),
        factor(
            AVERAGE,
            target_tokens=[[3, -1, 5, 0]],
            clauses="NORM-3 NORM-6",
            note="a target token below 0 is padding as 0 is: halves",
        ),
        factor(
            REAL,
            loss_weights=[[0.5, 0.25], [-1.0, 0.0]],
            flags="negative_weight",
            clauses="NORM-3 NORM-4",
            note="no targets are needed where weights are given; their sum is -0.25",
        ),
        factor(0.0, loss_weights=[[1.0]], clauses="NORM-2", note="0 passes through as any number does"),
        *(
            weighted(
                [[[1.0, 2.0, 3.0], [0.5, -1.5, 0.25], [-2.0, 4.0, 1.0], [0.0, 0.0, 0.0]]],
                [[0, 2, 1, 0]],
                [weights],
                loss_normalizing_factor=total,
                flags="packed" + " excluded" * (0.0 in weights) + " negative_weight" * (min(weights) < 0),
                clauses="VALUE-5 VALUE-6 GRAD-1 GRAD-2 GRAD-5",
                note=note,
            )
            for weights, total, note in (
                ([0.5, 0.5, 1.0, 0.0], 2.0, "the mean of two sequences' means: two tokens, one token, padding"),
                ([0.25, 0.75, 1.0, 0.0], 2.0, "sequences with weights of 1, 3 and 5, averaged"),
                ([0.0, 0.0, 1.0, 0.0], 1.0, "a sequence without weight beside an ordinary one"),
                ([1.0, -0.5, 0.5, 1.0], 2.0, "negative weights within a sequence"),
            )
        ),
    ],
)
