"""What the flags of the cases say."""

from collections.abc import Iterable

from lossproof.golden._case import Question

NOTES = {
    "cancelling": "terms cancel: of a total, of the dense targets, or of log_z",
    "confident": "the target's probability is so close to 1 that the loss is far below the rounding error of log_z",
    "every_cotangent": "each output has a cotangent, with different values",
    "excluded": "a token is excluded: its weight is 0 or its target out of range",
    "extreme_coefficient": "a weight or a factor is many powers of ten away from 1",
    "far_target": "the target's logit is far below the maximum",
    "finite_mask": "a masked class has a large negative logit instead of -inf",
    "forward_mode": "jvp along any tangent v must give the sum of gradient * v",
    "full_smoothing": "label_smoothing is 1: no mass is left on the target",
    "halfway": "a gradient lies exactly between two neighbours of the logits' type",
    "hard_to_round": "a result lies so near to halfway between two floats that a tiny error decides its last bit",
    "huge_logits": "logits near the largest float: neither their sum nor twice the value is in range",
    "infinite_loss": "there is mass on a logit of -inf: the loss is infinite and the gradient finite",
    "large_logits": "logits of 2^40 and more, still far from the largest float: all other classes are lost beside them",
    "many_tokens": "a total over many tokens",
    "masked": "a logit is -inf and has no mass",
    "narrow_logits": "bfloat16 or float16 logits: the values are carried in float32",
    "narrow_subnormal": "a gradient is below the smallest normal float16, whose subnormals are kept",
    "near_full_smoothing": "label_smoothing is just below 1: log(1 - e) must keep its digits",
    "near_zero_smoothing": "label_smoothing is so small that 1 - e is 1 or just below it",
    "negative_weight": "a weight is negative",
    "no_tokens": "N = 0",
    "not_unit_mass": "dense targets that do not sum to 1",
    "odd_size": "V is no multiple of a power of two that a kernel may use as a block",
    "offset": "the logits share an offset much larger than their differences",
    "one_class": "V = 1",
    "overflow": "an answer is a real number beyond the range of a float type",
    "packed": "several sequences share a row",
    "peer_bug": "an implementation was seen to be wrong for inputs of this kind; the provenance says which",
    "real_text": "logits of a trained model",
    "small_loss": "label smoothing whose loss is nearly 0: xent and H cancel",
    "subnormal": "an input, a term or an answer is below the smallest normal number: a platform may flush it",
    "ties": "several logits are the maximum",
    "tiny_smoothing": "label_smoothing is so small that a constant of 1e-20 inside a logarithm shows",
    "undefined_coefficient": "a weight, a coefficient or the factor is NaN, infinite, or a factor of 0",
    "undefined_token": "a token's logits or dense targets define no loss: NaN, for this token",
    "uniform_targets": "label_smoothing is (V - 1) / V: the smoothed targets are uniform",
    "values_only": "no gradients are asked for",
    "without_smoothing": "label_smoothing is 0 or 1: the derivative by it is one-sided and infinite",
    "worst_case": "found by search: few inputs use more of the bounds",
}


def explained(questions: Iterable[Question]) -> dict[str, str]:
    """Returns the notes of the flags that the questions have."""
    used = {flag for question in questions for flag in question.flags}
    return {flag: NOTES[flag] for flag in sorted(used)}
