"""Calls with ties: logits, weights and vectors of a few numbers, and tokens that come more than once."""

import math
import random
from fractions import Fraction

from lossproof import reference

_LOGITS = (0.0, -0.0, 2, 1.5, 1.5, -7.25, 40.0, Fraction(1, 3))
_CONVENTIONS = (
    reference.LOSSPROOF,
    reference.Convention("uniform"),
    reference.Convention(subtract_entropy=False, reduction="mean"),
    reference.Convention(add_z_loss=False, reduction="batch_mean"),
)


def calls(seed):
    """Yields (name, a call of the reference without arguments), one for every function but those of the linear layer:
    the same tokens with hard targets, then with dense ones.
    """
    rng = random.Random(f"ties {seed}")  # noqa: S311  a seed, not a secret
    classes, tokens = rng.choice([1, 2, 3, 5, 8, 12]), rng.choice([1, 3, 6])
    drawn = [rng.randrange(1 + tokens // 2) for _ in range(tokens)]

    def again(different):
        return [different[token] for token in drawn]

    def column(*numbers):
        different = [rng.choice(numbers) for _ in range(tokens)]
        return rng.choice([different, again(different)])

    def table(*numbers):
        different = [[rng.choice(numbers) for _ in range(classes)] for _ in range(tokens)]
        return rng.choice([different, again(different)])

    logits = again(table(*_LOGITS, *rng.choice([(), (-math.inf,), (-math.inf, -math.inf)])))
    if rng.random() < 0.3:
        logits[0] = [*logits[0][:-1], rng.choice([math.nan, math.inf])]
    hard = again(column(0, classes - 1, rng.randrange(classes), -1, classes))
    dense = again(table(0.0, 0.25, 0.25, 0.5, -1.0))
    vector = table(0, 1, 1, -0.5, 0.1)
    weights = rng.choice([None, column(0, 1, 1, 0.5, 2.5)])
    cotangents = {"loss": column(0, 1, 1, 0.5), "z_loss": column(0, 1), "log_z": column(0, 1)}
    softcap = rng.choice([None, None, 30.0, 2])
    how = {"logit_softcap": softcap, "convention": rng.choice(_CONVENTIONS)}
    smoothing, k, factor = rng.choice([0, 1, 0.1, 0.1]), rng.choice([0, 0.25]), rng.choice([None, 2.0])
    along = {"logits": vector, "z_loss": 1}

    def call(name, *arguments, **keywords):
        return name, lambda: getattr(reference, name)(*arguments, **keywords)

    for targets, e in ((hard, smoothing), (dense, 0)):
        token = {"label_smoothing": e, "z_loss": k, **how}
        inputs = (logits, targets, weights, e, k, factor)
        whole = {"loss": rng.choice([1, -0.5]), "z_loss": rng.choice([0, 1]), "weight_sum": 1}
        yield call("token_cross_entropy", logits, targets, **token)
        yield call("token_cross_entropy_gradients", logits, targets, cotangents=cotangents, **token)
        yield call("token_cross_entropy_jvp", logits, targets, tangents={**along, "label_smoothing": 0.5}, **token)
        yield call("token_hessian_vector_product", logits, targets, vector=vector, cotangents=cotangents, **token)
        yield call("compute_weighted_cross_entropy", *inputs, **how)
        yield call("compute_weighted_cross_entropy_gradients", *inputs, cotangents=whole, **how)
        tangents = {**along, "weights": column(0, 1), "loss_normalizing_factor": 1}
        yield call("compute_weighted_cross_entropy_jvp", *inputs, tangents=tangents, **how)
        yield call("weighted_hessian_vector_product", *inputs, vector=vector, cotangents=whole, **how)
        yield call("prediction", logits, targets, logit_softcap=softcap)
        of_prediction = {"target_log_probability": cotangents["loss"], "entropy": cotangents["z_loss"]}
        yield call("prediction_gradients", logits, targets, cotangents=of_prediction, logit_softcap=softcap)
    inputs, how = (logits, dense, k), {"logit_softcap": softcap}
    two = {name: cotangents[name] for name in ("loss", "z_loss")}
    yield call("cross_entropy_with_logits", *inputs, **how)
    yield call("cross_entropy_with_logits_gradients", *inputs, cotangents=two, **how)
    yield call("cross_entropy_with_logits_jvp", *inputs, tangents={**along, "targets": table(0, 1, 0.5)}, **how)
    yield call("dense_hessian_vector_product", *inputs, vector=vector, cotangents=two, **how)
