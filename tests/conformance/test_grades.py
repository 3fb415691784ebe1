"""The three grades: each allows what the one before it does, and the algorithm that it is named for."""

from dataclasses import replace

import numpy as np
import pytest

from lossproof.conformance.judging.case import DTYPES, Case
from lossproof.conformance.judging.draw import generator, make
from lossproof.conformance.judging.exact import exact_gradients, exact_values
from lossproof.conformance.judging.judge import utilisation
from lossproof.reference.bounds import Bounds, PredictionBounds, profile, with_final_rounding
from lossproof.spec import DENSE, FURTHER, LOSSPROOF, TOKEN

TOKENS = 24
SPREADS = (0.0, 0.1, 1.0, 5.0, 20.0)


def draw(classes, offset, seed, **inputs):
    """Tokens in float32 of every spread; the target of every other one leads."""
    rng = generator(seed)
    x = rng.normal(size=(TOKENS, classes)) * np.resize(SPREADS, TOKENS)[:, None] + offset
    targets = rng.integers(0, classes, TOKENS)
    x[np.arange(0, TOKENS, 2), targets[::2]] += rng.uniform(0, 30, TOKENS // 2)
    return make(TOKEN, "float32", x, targets, **inputs)


def plainly(case, algorithm):
    """What an algorithm makes of a case in NumPy's float32, and its gradients.

    Args:
      algorithm: "log softmax" shifts by the maximum, and has everything from (x - m) - log s; "lse" subtracts lse.
    """
    x, rounded = np.asarray(case.logits), np.float32
    one_hot = np.arange(x.shape[-1]) == case.inputs["targets"][:, None]
    m = np.max(x, axis=-1, keepdims=True)
    log_s = np.log(np.sum(np.exp(x - m), axis=-1, keepdims=True))
    log_p = (x - m) - log_s if algorithm == "log softmax" else x - (m + log_s)
    e = rounded(case.scalar("label_smoothing"))
    q = np.where(one_hot, 1 - e, e / rounded(max(x.shape[-1] - 1, 1)))
    p = np.exp(log_p)
    entropy = -np.sum(p * log_p, axis=-1)
    constant = 0.0
    if e:
        off = np.float64(e) / (x.shape[-1] - 1)
        constant = -(1 - np.float64(e)) * np.log1p(-np.float64(e)) - e * np.log(off)
    values = {"loss": -np.sum(q * log_p, axis=-1) - rounded(constant), "entropy": entropy}
    values |= {"target_log_probability": np.sum(np.where(one_hot, log_p, 0), axis=-1)}
    gradients = {"loss": p - q, "entropy": -p * (log_p + entropy[:, None])}
    return values, gradients


def shares(case, grade, algorithm):
    """The largest utilisation of the loss, its gradient, and, without smoothing, the entropy and its gradient."""
    numpy = profile("numpy")
    values, gradients = plainly(case, algorithm)
    bounds = Bounds(case, LOSSPROOF, grade, numpy)
    asked = {"loss": bounds}
    if not case.scalar("label_smoothing"):
        case = case.with_inputs(also=FURTHER)
        asked["entropy"] = PredictionBounds(case, LOSSPROOF, grade, numpy)
    exact, ones = exact_values(case, LOSSPROOF), np.ones(TOKENS)
    found = {}
    for name, bound in asked.items():
        by = exact_gradients(case, {name: ones}, LOSSPROOF)["logits"]
        row = with_final_rounding(bound.gradients({name: ones})["logits"], by.magnitude, "float32")
        found[name] = float(np.max(utilisation(values[name], exact[name], bound.values()[name])))
        found[f"{name}'s gradient"] = float(np.max(utilisation(gradients[name], by, row)))
    return found


@pytest.mark.parametrize("classes", [2, 5, 64])
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e4])
def test_log_softmax_keeps_grade_b_whatever_the_offset(classes, offset):
    """Fails when grade B refuses the algorithm it is derived for: a shift by the maximum, and a logarithm."""
    for seed, smoothing in ((1, 0.0), (2, 0.125)):
        case = draw(classes, offset, seed, label_smoothing=smoothing)
        for name, share in shares(case, "B", "log softmax").items():
            assert share <= 1, (name, share)


def test_grade_b_has_room_for_the_error_of_the_logarithm_in_every_probability():
    """Fails when p = exp(log p), or the entropy made from it, may not be as wrong as its logarithm is: everything is
    right here but that one, in float64 and as wrong as told.
    """
    coarse = 2.0**-20
    numpy = profile("numpy")
    worse = replace(numpy.of("float64"), log=coarse / 2 / 2.0**-53)
    case = make(TOKEN, "float64", generator(10).normal(size=(TOKENS, 64)) / 8, np.arange(TOKENS))
    x = np.asarray(case.logits)
    shifted = x - np.max(x, axis=-1, keepdims=True)
    log_s = np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    ones = np.ones(TOKENS)
    found = []
    for wrong in (0.0, coarse * 31 / 32):
        log_p = shifted - log_s * (1 + wrong)
        p = np.exp(log_p)
        entropy = -np.sum(p * log_p, axis=-1)
        found.append((p, entropy, -p * (log_p + entropy[:, None])))
    away = [np.abs(a - b) for a, b in zip(*found, strict=True)]
    for grade, keeps in (("A", False), ("B", True)):
        further = PredictionBounds(case, LOSSPROOF, grade, replace(numpy, float64=worse))
        bounds = [further.logits_row(0 * ones, 0 * ones, ones), further.values()["entropy"]]
        bounds += [further.gradients({"entropy": ones})["logits"]]
        within = [bool(np.all(distance < bound)) for distance, bound in zip(away, bounds, strict=True)]
        assert within[:2] == [keeps, keeps], (grade, within)
        assert within[2] or not keeps


def test_grade_b_lets_the_target_s_product_be_one_term_of_the_sum():
    """Fails when a smoothed loss may not be one sum over all classes: here each of 32 small products is rounded up by
    almost half a unit of the last place of the target's large one.
    """
    classes, e = 33, np.float32(3.57e-5)
    x = np.zeros((1, classes))
    x[0, 0] = -60.54
    case = make(TOKEN, "float32", x, [0], label_smoothing=float(e))
    on, off = np.float32(1) - e, e / np.float32(classes - 1)
    log_s = np.log(np.float32(classes - 1))
    total = on * (np.float32(60.54) + log_s)
    for _ in range(classes - 1):
        total = total + off * log_s
    constant = -np.log1p(-np.float64(e)) * (1 - np.float64(e)) - np.float64(e) * np.log(np.float64(e) / (classes - 1))
    loss = np.array([total - np.float32(constant)])
    exact = exact_values(case, LOSSPROOF)["loss"]
    share = {grade: utilisation(loss, exact, Bounds(case, LOSSPROOF, grade).values()["loss"])[0] for grade in "AB"}
    assert share["A"] > 1 >= share["B"], share


def test_log_softmax_fails_grade_a_for_confident_tokens():
    """Fails when grades A and B ask for the same: losses and gradients near 0 relative, or only absolute."""
    found = shares(draw(5, 0.0, 3), "A", "log softmax")
    assert found["loss"] > 1 and found["loss's gradient"] > 1


def test_lse_minus_x_keeps_grade_c_and_fails_grade_b_at_an_offset():
    """Fails when grade B lets an error through that grows with the offset, or C does not."""
    case = draw(64, 1e4, 4)
    for name, share in shares(case, "C", "lse").items():
        assert share <= 1, (name, share)
    found = shares(case, "B", "lse")
    assert min(found.values()) > 1, found
    near = shares(draw(64, 0.0, 4), "B", "lse")
    assert near["loss"] <= 1


def bounds_of(case, grade):
    """Every bound of a case by name."""
    found, ones = {}, np.ones(len(case.logits))
    bounds = Bounds(case, LOSSPROOF, grade)
    found |= bounds.values() | {f"by {name}": bound for name, bound in bounds.gradients({"loss": ones}).items()}
    if case.function == TOKEN:
        found["hvp"] = bounds.hvp_row(np.ones(case.logits.shape))
        asked = {name: case.inputs[name] for name in ("logits", "targets", "logit_softcap") if name in case.inputs}
        further = PredictionBounds(Case(TOKEN, asked), LOSSPROOF, grade)
        found |= further.values() | {f"{name}'s": further.gradients({name: ones})["logits"] for name in FURTHER[::2]}
    return found


@pytest.mark.parametrize("cap", [None, 5.0])
@pytest.mark.parametrize("classes", [1, 2, 3, 16, 257])
def test_a_coarser_grade_allows_whatever_a_finer_one_does(classes, cap):
    """Fails when a target has grade A and not B, or B and not C: for flat rows too, where 1 - p_t is nearly 1."""
    softcap = {} if cap is None else {"logit_softcap": cap}
    cases = [draw(classes, offset, 5, z_loss=k, **softcap) for offset in (0.0, 1e3) for k in (0.0, 0.25)]
    cases += [draw(classes, 0.0, 6, label_smoothing=e, **softcap) for e in (0.125, 1.0)]
    cases += [make(TOKEN, dtype, np.zeros((2, classes)), [0, classes - 1], **softcap) for dtype in DTYPES]
    if cap is None:
        dense = generator(7).uniform(-0.5, 1.0, (TOKENS, classes))
        cases += [make(DENSE, "float32", draw(classes, 0.0, 8).logits, dense, z_loss=0.0)]
    for case in cases:
        finest, *coarser = (bounds_of(case, grade) for grade in ("A", "B", "C"))
        for coarse in coarser:
            for name, bound in finest.items():
                assert np.all(coarse[name] >= bound), (name, coarse[name], bound, case.describe())
            finest = coarse


def test_only_grade_c_grows_with_a_common_offset():
    """Fails when grade B depends on it: logits around 1e4 would be judged more mildly."""
    x = np.round(generator(9).normal(size=(3, 8)) * 4)  # stays exact with the offset
    near, far = (make(TOKEN, "float32", x + offset, [0, 3, 5]) for offset in (0.0, 2.0**14))
    for name in ("loss", "by logits", "hvp", "entropy"):
        for grade in ("A", "B"):
            np.testing.assert_array_equal(bounds_of(near, grade)[name], bounds_of(far, grade)[name])
        assert np.all(bounds_of(far, "C")[name] > bounds_of(near, "C")[name])


def test_grade_b_is_absolute_where_the_loss_is_near_0():
    """Fails when grade B asks for leading digits of a confident token's loss, or allows more than a few roundings of
    numbers near 1.
    """
    leads = np.array([5.0, 20.0, 40.0])
    case = make(TOKEN, "float32", np.stack([leads, 0 * leads], axis=-1), [0, 0, 0])
    a, b = (bounds_of(case, grade) for grade in ("A", "B"))
    unit = 2.0**-24
    assert np.all(b["loss"] > unit) and np.all(b["loss"] < 2**6 * unit)
    assert np.all(b["by logits"][:, 0] > unit) and np.all(b["by logits"][:, 0] < 2**6 * unit)
    assert a["loss"][-1] < unit * unit and a["by logits"][-1, 0] < unit * unit
