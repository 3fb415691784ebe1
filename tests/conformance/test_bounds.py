"""The bounds: functions of the case alone, and of the right kind."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.judging.draw import Options, cases, make, random_cotangents
from lossproof.reference.bounds import JAX_CPU, Bounds, PredictionBounds, with_final_rounding
from lossproof.spec import DENSE, FURTHER, LOSSPROOF, OUTPUTS, TOKEN, WEIGHTED, Convention

FUNCTIONS = (TOKEN, WEIGHTED, DENSE)
CONVENTIONS = (LOSSPROOF, Convention("uniform", subtract_entropy=False, add_z_loss=False, ignore_index=1))
EVERY_BIT = 2.0**29  # between the unit roundoffs of float32 and float64

searched = settings(
    max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def options(function):
    """Which arguments a case has; label_smoothing, weights and the factor where the function takes them."""
    hard = function != DENSE
    smoothing = st.sampled_from([False, True, 0.0, 1.0]) if hard else st.just(False)
    flag = st.booleans() if function == WEIGHTED else st.just(False)
    z_loss = st.sampled_from([True, 0.0]) if function == DENSE else st.sampled_from([False, True, 0.0])
    return st.builds(Options, smoothing=smoothing, z_loss=z_loss, weights=flag, factor=flag)


def drawn(function, dtypes=tuple(DTYPES)):
    return st.tuples(st.sampled_from(dtypes), options(function)).flatmap(lambda pair: cases(function, *pair))


def _plainly(x, targets):
    """Values by name, and the gradient of each by x, in float64."""
    lse = np.log(np.sum(np.exp(x), axis=-1))
    p = np.exp(x - lse[:, None])
    one_hot = np.arange(x.shape[-1]) == targets[:, None]
    log_p = np.sum(np.where(one_hot, x, 0), axis=-1) - lse
    entropy = lse - np.sum(p * x, axis=-1)
    values = {"loss": -log_p, "log_z": lse, "target_log_probability": log_p, "entropy": entropy}
    of_entropy = -p * (x - lse[:, None] + entropy[:, None])
    return values, {"loss": p - one_hot, "log_z": p, "target_log_probability": one_hot - p, "entropy": of_entropy}


def all_of(case, grade, convention=LOSSPROOF):
    """Every bound of a case by name, values and gradients."""
    bounds = Bounds(case, convention, grade)
    cotangents = random_cotangents(case, OUTPUTS[case.function], 3)
    found = dict(bounds.values()) | {f"by {name}": bound for name, bound in bounds.gradients(cotangents).items()}
    if case.also:
        further = PredictionBounds(case, convention, grade)
        by = random_cotangents(case, FURTHER, 3)
        found |= further.values() | {f"{name} of further": bound for name, bound in further.gradients(by).items()}
    if case.function != DENSE:
        found["hvp"] = bounds.hvp_row(np.ones(case.logits.shape))
    return {name: np.asarray(bound, np.float64) for name, bound in found.items()}


def drawn_with_keywords():
    """Cases with a soft-cap, in any convention, and with further results."""
    keywords = st.fixed_dictionaries(
        {
            "logit_softcap": st.sampled_from([0.5, 30.0]),
            "smoothing": st.sampled_from(["others", "uniform"]),
            "subtract_entropy": st.booleans(),
        }
    )
    pairs = st.tuples(st.sampled_from((TOKEN, WEIGHTED)).flatmap(drawn), keywords)
    return pairs.map(
        lambda pair: pair[0].with_inputs(**pair[1], **({"also": FURTHER} if pair[0].function == TOKEN else {}))
    )


@searched
@given(drawn_with_keywords())
def test_bounds_with_keywords_are_numbers_and_a_coarser_grade_allows_no_less(case):
    """Fails when a soft-cap, a convention or a further result has a bound that is NaN or negative, or a grade that
    is stricter than the one before it.
    """
    strict, between, loose = (all_of(case, grade) for grade in "ABC")
    for name, bound in strict.items():
        assert np.all(bound >= 0), (name, bound)
        assert np.all(between[name] >= bound), (name, bound, between[name])
        assert np.all(loose[name] >= between[name]), (name, between[name], loose[name])


def test_a_call_s_keywords_outweigh_the_declared_convention():
    """Fails when a bound is that of another smoothing, or of an entropy that is not subtracted."""
    x, targets = np.arange(12.0).reshape(4, 3), [0, 1, 2, 2]
    asked = make(TOKEN, "float32", x, targets, label_smoothing=0.25, smoothing="uniform", subtract_entropy=False)
    plain = make(TOKEN, "float32", x, targets, label_smoothing=0.25)
    declared = all_of(plain, "A", Convention("uniform", subtract_entropy=False))
    for name, bound in all_of(asked, "A").items():
        np.testing.assert_array_equal(bound, declared[name])
    assert np.any(declared["loss"] != all_of(plain, "A")["loss"])


@pytest.mark.parametrize("cap", [0.5, 30.0])
def test_the_error_of_tanh_is_all_that_a_soft_cap_adds(cap):
    """Fails when a capped logit's own error is not carried on to loss, log_z, gradient and further results: with
    tanh as bad as told, the right capped logits moved almost to the ends of what it allows.
    """
    rng = np.random.default_rng(5)
    y = rng.normal(size=(64, 8)) * 20
    targets = rng.integers(0, 8, 64)
    case = make(TOKEN, "float64", y, targets, logit_softcap=cap, also=FURTHER)
    coarse = 2.0**-20  # of tanh; everything else is right to 2^-53
    functions = JAX_CPU.of("float64")
    profile = replace(JAX_CPU, float64=replace(functions, tanh=coarse / 2 / 2.0**-53))
    x = cap * np.tanh(y / cap)
    moved = x * (1 + coarse * 31 / 32 * rng.choice([-1, 1], x.shape))
    bounds = Bounds(case, profile=profile)
    further = PredictionBounds(case.with_inputs(z_loss=0.0), profile=profile)
    allowed = bounds.values() | further.values()
    (right, rows), (wrong, wrong_rows) = (_plainly(z, targets) for z in (x, moved))
    for name, value in right.items():
        share = np.abs(wrong[name] - value) / allowed[name]
        assert 1 / 4 < np.max(share) < 1, (name, np.max(share))
    one = np.ones(64)
    gradients = {name: further.gradients({name: one})["logits"] for name in ("target_log_probability", "entropy")}
    gradients |= {name: bounds.gradients({name: one})["logits"] for name in ("loss", "log_z")}
    for name, bound in gradients.items():
        share = np.abs(wrong_rows[name] - rows[name]) * (1 - np.tanh(y / cap) ** 2) / bound
        assert np.max(share) < 1, (name, np.max(share))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_bound_is_a_number_for_any_case(function, convention):
    """Fails when a bound is NaN or negative: every comparison with it is then the same, whatever the error."""

    @searched
    @given(drawn(function), st.sampled_from(["A", "B", "C"]))
    def examine(case, grade):
        for name, bound in all_of(case, grade, convention).items():
            assert np.all(bound >= 0), (name, bound)

    examine()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_bound_depends_on_the_case_alone(function):
    """Fails when a bound remembers earlier cases, changes its inputs, or takes the error it judges into account."""

    @searched
    @given(drawn(function), drawn(function))
    def examine(case, other):
        inputs = {name: np.copy(value) for name, value in case.inputs.items()}
        first = all_of(case, "A")
        all_of(other, "C")
        again = all_of(case.with_inputs(), "A")
        assert first.keys() == again.keys()
        for name, bound in first.items():
            np.testing.assert_array_equal(again[name], bound)
        for name, value in case.inputs.items():
            np.testing.assert_array_equal(value, inputs[name])

    examine()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_coarser_grade_allows_no_less(function):
    """Fails when the looser grade refuses what the stricter one allows."""

    @searched
    @given(drawn(function))
    def examine(case):
        strict, between, loose = (all_of(case, grade) for grade in "ABC")
        for name, bound in strict.items():
            assert np.all(between[name] >= bound), (name, bound, between[name])
            assert np.all(loose[name] >= between[name]), (name, between[name], loose[name])

    examine()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_grade_c_grows_with_a_common_offset_and_grade_a_does_not(function):
    """Fails when the two grades ask for the same: ACC-2 would say nothing."""
    rng = np.random.default_rng(2)
    x = np.round(rng.normal(size=(3, 8)) * 4)  # stays exact with the offset
    targets = np.eye(8)[[0, 3, 5]] if function == DENSE else np.array([0, 3, 5])
    extra = {"z_loss": 0.0} if function == DENSE else {}
    near, far = (make(function, "float32", x + offset, targets, **extra) for offset in (0.0, 2.0**14))
    for name in ("loss", "by logits"):
        np.testing.assert_array_equal(all_of(near, "A")[name], all_of(far, "A")[name])
        assert np.all(all_of(far, "C")[name] > all_of(near, "C")[name])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_bound_scales_with_the_unit_roundoff(function):
    """Fails when a part of the bound is an absolute number, under which errors of float64 would hide."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(4, 16)).astype(np.float32)
    targets = np.eye(16, dtype=np.float32)[rng.integers(0, 16, 4)] if function == DENSE else rng.integers(0, 16, 4)
    extra = {"z_loss": 0.25} | ({"label_smoothing": 0.125} if function != DENSE else {})
    extra |= {"weights": [1.0, 0.5, -2.0, 3.0], "loss_normalizing_factor": 4.0} if function == WEIGHTED else {}
    single, double = (all_of(make(function, dtype, x, targets, **extra), "A") for dtype in ("float32", "float64"))
    for name, bound in single.items():
        ratio = bound[bound > 0] / double[name][bound > 0]
        assert np.all(ratio > EVERY_BIT / 2) and np.all(ratio < EVERY_BIT * 2), (name, ratio)


def test_excluded_tokens_have_a_bound_of_0():
    """Fails when a token that does not count may have a value (EXCL)."""
    x, targets = np.arange(12.0).reshape(4, 3), [0, -1, 3, 2]
    for grade in ("A", "B", "C"):
        token = all_of(make(TOKEN, "float32", x, targets, z_loss=0.5, label_smoothing=0.25), grade)
        for name in ("loss", "z_loss", "log_z", "by logits"):
            counts = np.any(token[name].reshape(4, -1) > 0, axis=-1)
            assert counts.tolist() == [True, False, False, True], name
        batch = all_of(make(WEIGHTED, "float32", x, targets, weights=[0, 1, 1, 2], z_loss=0.5), grade)
        for name in ("by logits", "hvp"):
            assert np.any(batch[name] > 0, axis=-1).tolist() == [False, False, False, True], name
        assert (batch["by weights"] > 0).tolist() == [True, False, False, True]  # GRAD-2: at weight 0 too
        padding = all_of(make(WEIGHTED, "float32", x, targets, weights=[0, 1, 1, 0], z_loss=0.5), grade)
        assert [float(padding[name]) for name in ("loss", "z_loss")] == [0, 0]


def test_rounding_the_result_adds_to_a_bound_and_keeps_0():
    """Fails when a gradient in bfloat16 is held to float32, or an excluded entry may round to something (ACC-5)."""
    bound, size = np.array([0.0, 1e-7, 1e-7, 1e-7]), np.array([1.0, 1.0, 1e-30, np.inf])
    for dtype in DTYPES:
        rounded = with_final_rounding(bound, size, dtype)
        assert rounded[0] == 0 and np.all(rounded[1:] > bound[1:]) and np.all(np.isfinite(rounded))
    coarse, fine = (with_final_rounding(bound, size, dtype)[1] for dtype in ("bfloat16", "float32"))
    assert coarse > fine
