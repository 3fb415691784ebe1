"""What the flags of the cases say."""

from collections.abc import Iterable

from lossproof.golden._case import Question

NOTES = {
    "confident": "the target's probability is so close to 1 that the loss is far below the rounding error of log_z",
    "every_cotangent": "each output has a cotangent, with different values",
    "excluded": "a token is excluded: its weight is 0 or its target out of range",
    "forward_mode": "jvp along any tangent v must give the sum of gradient * v",
    "full_smoothing": "label_smoothing is 1: no mass is left on the target",
    "huge_logits": "logits near the largest float: neither their sum nor twice the value is in range",
    "infinite_loss": "there is mass on a logit of -inf: the loss is infinite and the gradient finite",
    "masked": "a logit is -inf and has no mass",
    "narrow_logits": "bfloat16 or float16 logits: the values are carried in float32",
    "offset": "the logits share an offset much larger than their differences",
    "one_class": "V = 1",
    "overflow": "an answer is a real number beyond the range of a float type",
    "packed": "several sequences share a row",
    "real_text": "logits of a trained model",
    "tiny_smoothing": "label_smoothing is so small that a constant of 1e-20 inside a logarithm shows",
    "not_unit_mass": "dense targets that do not sum to 1",
    "undefined_coefficient": "a weight, a coefficient or the factor is NaN, infinite, or a factor of 0",
    "undefined_token": "a token's logits or dense targets define no loss: NaN, for this token",
    "without_smoothing": "label_smoothing is 0 or 1: the derivative by it is one-sided and infinite",
}


def explained(questions: Iterable[Question]) -> dict[str, str]:
    """Returns the notes of the flags that the questions have."""
    used = {flag for question in questions for flag in question.flags}
    return {flag: NOTES[flag] for flag in sorted(used)}
