"""The answers of the largest cases, computed by other means than the reference."""

import math
from collections import Counter
from decimal import Context, Decimal, localcontext

import pytest

from lossproof import golden

DIGITS = 80  # the confident case cancels 14 of them, and 128256 terms lose 6


def exact(case: golden.Case, name: str) -> Decimal:
    given = case.inputs.get(name)
    return Decimal(given.value) if isinstance(given, golden.Scalar) else Decimal(0)


@pytest.mark.parametrize("classes", [32128, 50257, 50304, 128256])
def test_digits_agree_with_decimal_arithmetic(classes: int) -> None:
    """Fails when a recipe is not what the reference was asked about, or a digit is wrong, in a loss or a gradient."""
    cases = [case for case in golden.load(["large_vocabulary"]) if case.inputs["logits"].shape[-1] == classes]
    cases = [case for case in cases if case.function == "token_cross_entropy"]
    assert cases
    for case in cases:
        k, e = exact(case, "z_loss"), exact(case, "label_smoothing")
        at = case.gradients["logits"].at
        assert at is not None
        losses, gradient = [], []
        with localcontext(Context(prec=DIGITS)):
            entropy = -sum(q * q.ln() * n for q, n in ((1 - e, 1), (e / (classes - 1), classes - 1)) if q)
            for i, (row, t) in enumerate(
                zip(case.inputs["logits"].tolist(), case.inputs["targets"].values, strict=True)
            ):
                x = [Decimal(value) for value in row if math.isfinite(value)]  # what is masked follows
                lse = sum(count * value.exp() for value, count in Counter(x).items()).ln()
                others = len(x) * lse - sum(x) - (lse - x[t])
                losses.append((1 - e) * (lse - x[t]) + e / (classes - 1) * others - entropy + k * lse**2)
                for j in (index - i * classes for index in at if index // classes == i):
                    p = (Decimal(row[j]) - lse).exp()
                    gradient.append((1 + 2 * k * lse) * p - (1 - e if j == t else e / (classes - 1)))
        for numbers, answer in ((losses, case.answers["loss"]), (gradient, case.gradients["logits"])):
            assert [Context(prec=40).plus(number) for number in numbers] == list(map(Decimal, answer.decimal)), case.id
