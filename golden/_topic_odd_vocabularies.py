"""Vocabularies that are no multiple of any block: padding columns, last blocks, first blocks."""

from lossproof.golden._builders import INF, token, topic, value_only, weighted

BLOCKS = (4, 8, 16, 32, 64, 128, 256)


def ramp(classes: int) -> list[float]:
    """Returns moderate logits without order, all of them multiples of 1/8: 5 j mod 17, from -1 to 1."""
    return [(5 * j % 17 - 8) / 8 for j in range(classes)]


def before(classes: int) -> int:
    """Returns the largest block that is shorter than the vocabulary."""
    return max(block for block in BLOCKS if block < classes)


TOPIC = topic(
    "odd_vocabularies",
    "V one more or less than a power of two: a kernel that adds padding, or loses the end, is wrong by far.",
    [
        *(
            token(
                [[x - 24.0 for x in ramp(classes)]],
                [classes - 1],
                flags="odd_size",
                clauses="VALUE-1 GRAD-1 ACC-3",
                note=f"V = {classes}, all logits about -24: a padding column of 0 would be all of the lse",
            )
            for classes in (5, 7, 9, 17, 31, 33, 65)
        ),
        *(
            token(
                [[*[0.0] * (classes - 1), 6.0]],
                [place],
                flags="odd_size",
                clauses="VALUE-1 GRAD-1 ACC-3",
                note=f"V = {classes}, the last class leads by 6, the target is {place}: losing the last block, "
                "or counting it twice, changes all of it",
            )
            for classes in (5, 9, 17, 33)
            for place in (0, classes - 1)
        ),
        *(
            token(
                [[-INF] * before(classes) + ramp(classes)[before(classes) :]],
                [classes - 1],
                flags="odd_size masked",
                clauses="STATE-1 VALUE-1 GRAD-1",
                note=f"V = {classes}, the first {before(classes)} classes masked: a first block of nothing but -inf, "
                f"whose maximum is -inf; {classes - before(classes)} left",
            )
            for classes in (5, 7, 17, 19, 33)
        ),
        token(
            [ramp(31)],
            [30],
            label_smoothing=0.25,
            z_loss=0.125,
            flags="odd_size",
            clauses="VALUE-2 VALUE-3 VALUE-4 GRAD-1",
            note="V = 31, smoothed, with z-loss: the mass of the others is spread over 30",
        ),
        token(
            [ramp(15)],
            [0],
            dtype="bfloat16",
            label_smoothing=0.25,
            flags="odd_size narrow_logits",
            clauses="VALUE-2 SHAPE-3 GRAD-1",
            note="V = 15, bfloat16, smoothed",
        ),
        *(
            value_only(
                token(
                    [[x - 40.0 for x in ramp(classes)]],
                    [place],
                    label_smoothing=0.125,
                    flags="odd_size values_only",
                    clauses="VALUE-1 VALUE-2 VALUE-8",
                    note=f"V = {classes}, all logits about -40, the target {place}",
                )
            )
            for classes in (63, 127, 129, 255, 257)
            for place in (classes - 1,)
        ),
        *(
            value_only(
                token(
                    [[-INF] * before(classes) + [0.5] * (classes - before(classes))],
                    [classes - 1],
                    flags="odd_size masked values_only",
                    clauses="STATE-1 VALUE-1 VALUE-8",
                    note=f"V = {classes}, the first {before(classes)} classes masked: the loss is "
                    + ("0" if classes - before(classes) == 1 else f"ln {classes - before(classes)}"),
                )
            )
            for classes in (65, 127, 129, 257)
        ),
        *(
            value_only(
                token(
                    [[1.0] * classes],
                    [classes // 2],
                    flags="odd_size ties values_only",
                    clauses="VALUE-1 VALUE-8 ACC-1",
                    note=f"V = {classes}, all equal: the loss is ln {classes}, log_z one more",
                )
            )
            for classes in (255, 257)
        ),
        weighted(
            [ramp(7), [-x for x in ramp(7)], [x - 16.0 for x in ramp(7)]],
            [0, 6, 3],
            [1.0, 0.5, 2.0],
            label_smoothing=0.125,
            loss_normalizing_factor=3.5,
            flags="odd_size",
            clauses="VALUE-2 VALUE-5 GRAD-1 GRAD-2",
            note="three rows of 7: neither rows nor row length are multiples of anything",
        ),
    ],
)
