"""Targets: what a function offers, and the adapters of other libraries."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from lossproof.conformance import load_target
from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.draw import Options, cases, make, unit_cotangents
from lossproof.conformance.judging.exact import exact_gradients, exact_values
from lossproof.conformance.judging.judge import Violation, utilisation
from lossproof.conformance.targets import (
    TargetError,
    Unsupported,
    convention_words,
    function_target,
    module_target,
    parse_convention,
)
from lossproof.reference.bounds import Bounds
from lossproof.spec import DENSE, FACTOR, FURTHER, LOSSPROOF, TOKEN, WEIGHTED, Convention

ROW = np.float32([[0.5, -1.0, 2.0], [3.0, 0.0, 0.0]])
TARGETS = [2, 0]
DENSE_CASE = make(DENSE, "float32", ROW, np.eye(3)[TARGETS])


def skip_without(package):
    """Not importorskip: Keras must not be imported before its backend is chosen."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def assert_right(target, case, arguments=("logits",)):
    """Values and gradients of a case within grade C."""
    bounds = Bounds(case, target.convention, "C")
    values, expected = target.values(case), exact_values(case, target.convention)
    for name, value in values.items():
        assert np.all(utilisation(value, expected[name], bounds.values()[name]) <= 1), name
    cotangents = unit_cotangents(case)
    again, gradients = target.differentiate(case, cotangents)
    assert again.keys() == values.keys()
    allowed, exact = bounds.gradients(cotangents), exact_gradients(case, cotangents, target.convention)
    for name in arguments:
        assert np.all(utilisation(gradients[name], exact[name], allowed[name]) <= 1), name


@pytest.mark.parametrize(
    ("signature", "returns", "function", "outputs", "arguments"),
    [
        ("x, y", "x[..., 0]", TOKEN, ("loss",), ("logits", "targets")),
        (
            "logits, labels, label_smoothing=0.0",
            "x[..., 0]",
            TOKEN,
            ("loss",),
            ("logits", "targets", "label_smoothing"),
        ),
        ("x, y, z_loss=0.0", "(x[..., 0], x[..., 1])", TOKEN, ("loss", "z_loss"), ("logits", "targets", "z_loss")),
        ("x, y, chunk=8", "(x[..., 0],) * 3", TOKEN, ("loss", "z_loss", "log_z"), ("logits", "targets")),
        ("x, weights_of_classes", "(x * weights_of_classes).sum(-1)", DENSE, ("loss",), ("logits", "targets")),
        (
            "x, y, weights=None, label_smoothing=0.0, z_loss=0.0, loss_normalizing_factor=None",
            "(0.0,) * 3",
            WEIGHTED,
            ("loss", "z_loss", "weight_sum"),
            ("logits", "targets", "weights", "label_smoothing", "z_loss", "loss_normalizing_factor"),
        ),
        (
            "x, y, also=(), logit_softcap=None",
            "(x[..., 0],) * 3 + (None,) * 3",
            TOKEN,
            ("loss", "z_loss", "log_z"),
            ("logits", "targets", "logit_softcap", "also"),
        ),
        ("x, y, weights", "(0.0,) * 3", WEIGHTED, ("loss", "z_loss", "weight_sum"), ("logits", "targets", "weights")),
    ],
)
def test_a_function_offers_what_its_signature_says(signature, returns, function, outputs, arguments):
    """Fails when a parameter is overlooked: its clauses are then unsupported; or one is made up."""
    first = signature.partition(",")[0]
    made = eval(f"lambda {signature}: {returns.replace('x', first)}")  # noqa: S307  the strings above
    target = function_target("mine", made)
    assert set(target.offers) == {function}
    offer = target.offer(function)
    assert (offer.outputs, offer.arguments) == (outputs, arguments)
    assert not target.scalars_differentiable
    with pytest.raises(Unsupported, match=f"mine has no {FACTOR}"):
        target.offer(FACTOR)


def test_a_module_offers_the_functions_it_has():
    """Fails when a module with one of the functions is asked for the others, or loses its own."""

    class Module:
        @staticmethod
        def token_cross_entropy(logits, targets, *, label_smoothing=0.0, z_loss=0.0):
            del targets, label_smoothing, z_loss
            return (logits[..., 0],) * 3

    target = module_target("mine", Module)
    assert set(target.offers) == {TOKEN}
    with pytest.raises(TargetError, match="has none of the functions token_cross_entropy, "):
        module_target("mine", object())


def test_further_results_are_asked_for_by_name():
    """Fails when a result is mistaken for another, or the one without a derivative gets in the way of the others'."""

    def tokens(logits, targets, *, also=()):
        del targets
        results = {name: logits[..., i] for i, name in enumerate(also)}
        if "predicted_class" in results:
            results["predicted_class"] = jnp.full(logits.shape[:-1], 7, jnp.int32)
        return (logits[..., 0],) * 3 + tuple(results.get(name) for name in FURTHER)

    target = function_target("mine", tokens)
    case = make(TOKEN, "float32", ROW, TARGETS, also=("entropy", "predicted_class"))
    values, gradients = target.differentiate(case, {"entropy": np.array([1.0, 2.0])})
    assert set(values) == {"loss", "z_loss", "log_z", "entropy", "predicted_class"}
    assert values["predicted_class"].tolist() == [7, 7]
    np.testing.assert_array_equal(values["entropy"], ROW[:, 0])
    np.testing.assert_array_equal(gradients["logits"], np.eye(3)[[0, 0]] * [[1], [2]])


def test_a_result_that_is_missing_is_named():
    """Fails when a function that returns too little is judged on other results, or fails without a reason."""

    class Module:
        @staticmethod
        def token_cross_entropy(logits, targets, *, also=()):
            del targets, also
            return (logits[..., 0],) * 3

    with pytest.raises(Violation, match="must return loss, z_loss, log_z, entropy, got 3 results"):
        module_target("mine", Module).values(make(TOKEN, "float32", ROW, TARGETS, also=("entropy",)))


def test_a_result_too_many_is_refused():
    """Fails when what a function returns besides its results is dropped without a word."""

    class Module:
        @staticmethod
        def compute_weighted_cross_entropy(logits, targets, weights=None):
            del targets, weights
            return (logits.sum(),) * 4

    with pytest.raises(Violation, match="must return loss, z_loss, weight_sum, got 4 results"):
        module_target("mine", Module).values(make(WEIGHTED, "float32", ROW, TARGETS))


@pytest.mark.parametrize("name", ["lossproof:token_cross_entropy", "lossproof:", "lossproof"])
def test_lossproof_is_a_target_in_every_form(name):
    """Fails when the implementation cannot be had by module:function, module: or its own name."""
    case = make(TOKEN, "float32", ROW, TARGETS)
    assert_right(load_target(name), case)


def test_a_file_is_a_target(loss_file):
    """Fails when file.py:function is not run, or not differentiated."""
    target = load_target(loss_file("good"))
    assert (target.convention, target.name) == (LOSSPROOF, loss_file("good"))
    assert_right(target, make(TOKEN, "float32", ROW, TARGETS))


@pytest.mark.parametrize(
    ("name", "package", "cases"),
    [
        ("optax", "optax", [make(TOKEN, "float32", ROW, TARGETS)]),
        ("optax-dense", "optax", [DENSE_CASE]),
        ("optax:softmax_cross_entropy_with_integer_labels", "optax", [make(TOKEN, "float32", ROW, TARGETS)]),
        ("optax:safe_softmax_cross_entropy", "optax", [DENSE_CASE]),
        (
            "torch",
            "torch",
            [make(TOKEN, dtype, ROW, TARGETS, label_smoothing=0.25) for dtype in ("float32", "float64")],
        ),
        ("keras", "keras", [make(TOKEN, "float32", ROW, TARGETS)]),
        ("keras-dense", "keras", [DENSE_CASE, make(TOKEN, "float32", ROW, TARGETS, label_smoothing=0.25)]),
        ("tokamax", "tokamax", [make(TOKEN, "float32", ROW, TARGETS)]),
    ],
)
def test_a_peer_is_right_about_a_plain_case(name, package, cases):
    """Fails when a library's loss is called in another way than it is meant, or its convention is declared wrongly."""
    skip_without(package)
    for case in cases:
        assert_right(load_target(name), case)


def test_torch_ignores_minus_100():
    """Fails when an ignored target is a class that torch refuses."""
    pytest.importorskip("torch")
    ignored = load_target("torch").values(make(TOKEN, "float32", ROW, [2, -100]))["loss"]
    assert ignored[1] == 0 and ignored[0] > 0


def test_torch_keeps_bfloat16():
    """Fails when bfloat16 is widened on the way, so that torch is judged on another type's arithmetic."""
    pytest.importorskip("torch")
    case = make(TOKEN, "bfloat16", ROW, TARGETS)
    values, gradients = load_target("torch").differentiate(case, unit_cotangents(case))
    assert (values["loss"].dtype.name, gradients["logits"].dtype.name) == ("bfloat16", "bfloat16")


def test_torch_takes_probabilities_of_classes():
    """Fails when dense targets do not reach torch as such: VALUE-12 would be unsupported although torch has it."""
    pytest.importorskip("torch")
    case = Case(TOKEN, {"logits": ROW, "targets": np.eye(3, dtype=np.float32)[TARGETS]})
    dense = load_target("torch").values(case)["loss"]
    np.testing.assert_array_equal(dense, load_target("torch").values(make(TOKEN, "float32", ROW, TARGETS))["loss"])


def test_keras_must_run_on_jax(monkeypatch):
    """Fails when Keras on another backend is judged as if it were JAX."""
    skip_without("keras")
    load_target("keras")
    monkeypatch.setattr("keras.backend.backend", lambda: "torch")
    with pytest.raises(TargetError, match="needs Keras on JAX, but KERAS_BACKEND is 'torch': set it to 'jax'"):
        load_target("keras")


def test_t5x_is_its_module_losses(monkeypatch, tmp_path):
    """Fails when t5x, which no registry has, is looked for elsewhere than where its checkout puts it."""
    if importlib.util.find_spec("t5x"):
        pytest.skip("t5x itself is installed")
    formula = Path(__file__).resolve().parents[2] / "examples" / "t5x_formula.py"
    (tmp_path / "t5x").mkdir()
    (tmp_path / "t5x" / "__init__.py").touch()
    shutil.copy(formula, tmp_path / "t5x" / "losses.py")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("t5x", "t5x.losses"):
        monkeypatch.setitem(sys.modules, module, None)  # so that what is loaded goes away again
        del sys.modules[module]
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        target = load_target("t5x")
        assert set(target.offers) == {WEIGHTED, DENSE}
        weighted = make(WEIGHTED, "float32", ROW, TARGETS, weights=[1, 0.5], label_smoothing=0.1, z_loss=0.25)
        assert_right(target, weighted)


@pytest.mark.parametrize(("name", "advice"), [("t5x", "pip install git+https://"), ("tokamax", "pip install tokamax")])
def test_a_peer_that_is_not_here_says_how_to_get_it(name, advice):
    """Fails when a package that is missing is a traceback."""
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed")
    with pytest.raises(TargetError, match=re.escape(f"the target needs the package {name}: {advice}")):
        load_target(name)


def test_a_peer_that_cannot_be_imported_says_why(monkeypatch):
    """Fails when a broken installation is a traceback."""
    monkeypatch.setitem(sys.modules, "lossproof.conformance.targets.libraries._optax", None)
    with pytest.raises(TargetError, match="optax is installed, but the target 'optax' cannot be had: ModuleNotFound"):
        load_target("optax")


def test_the_uniform_convention_is_torchs_cross_entropy():
    """Fails when Convention(uniform, no entropy) is not what torch computes: its users would be judged unfairly."""
    torch = pytest.importorskip("torch")
    convention = Convention("uniform", subtract_entropy=False, add_z_loss=False, ignore_index=-100)

    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases(TOKEN, "float64", Options(smoothing=True)))
    def examine(case):
        classes = case.logits.shape[-1]
        actual = torch.nn.functional.cross_entropy(
            torch.from_numpy(case.logits.reshape(-1, classes).copy()),
            torch.from_numpy(case.inputs["targets"].reshape(-1).astype(np.int64)),
            label_smoothing=case.inputs["label_smoothing"],
            reduction="none",
        )
        expected = exact_values(case, convention)["loss"]
        bound = Bounds(case, convention, "C").values()["loss"]
        assert np.all(utilisation(actual.numpy().reshape(bound.shape), expected, bound) <= 1)

    examine()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", None),
        ("others", LOSSPROOF),
        ("uniform", Convention("uniform")),
        ("no-entropy", Convention(subtract_entropy=False)),
        ("uniform no-entropy", Convention("uniform", subtract_entropy=False)),
        ("  no-entropy   uniform ", Convention("uniform", subtract_entropy=False)),
        ("others entropy", LOSSPROOF),
        ("no-z-loss ignore_index=-100", Convention(add_z_loss=False, ignore_index=-100)),
        ("z-loss ignore_index=7", Convention(ignore_index=7)),
    ],
)
def test_conventions_are_words(words, expected):
    """Fails when a declared convention is another one, or what is advised is not what was found."""
    assert parse_convention(words) == expected
    if expected is not None:
        assert parse_convention(convention_words(expected)) == expected


@pytest.mark.parametrize("word", ["ignore_index=", "ignore_index=x", "ignore_index=--1", "ignore_index"])
def test_an_ignored_index_is_a_number(word):
    """Fails when a convention that cannot be read is a traceback, or dropped."""
    with pytest.raises(TargetError, match=f"unknown convention '{word}': choose from others, .*ignore_index=NUMBER"):
        parse_convention(word)


def test_arguments_reach_a_target_at_their_own_type(loss_file):
    """Fails when bfloat16 logits are widened before the target sees them: ACC-5 and SHAPE-3 would pass for free."""
    target = load_target(loss_file("return value.astype(logits.dtype)"))
    for dtype in ("bfloat16", "float16", "float32", "float64"):
        assert target.values(make(TOKEN, dtype, ROW, TARGETS))["loss"].dtype.name == dtype
    assert jnp.zeros(1).dtype == jnp.float32  # 64 bits are off again
