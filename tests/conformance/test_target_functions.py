"""Functions as targets: whose arrays they take, what they return, and what is said when it is something else."""

from pathlib import Path

import numpy as np
import pytest

from lossproof.conformance import load_target
from lossproof.conformance.judging.draw import make, unit_cotangents
from lossproof.conformance.judging.exact import exact_gradients, exact_values
from lossproof.conformance.judging.judge import utilisation
from lossproof.conformance.suite.units import all_units, run_unit
from lossproof.conformance.targets import TargetError, Unsupported
from lossproof.reference.bounds import Bounds
from lossproof.spec import DENSE, TOKEN, WEIGHTED

ROW = [[0.5, -1.0, 2.0], [3.0, 0.0, 0.0]]
TARGETS = [2, 0]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "targets"

NUMPY = """
import numpy as np

def loss(logits, labels):
    shifted = logits - logits.max(-1, keepdims=True)
    picked = np.take_along_axis(shifted, labels[..., None], -1)[..., 0]
    return np.log(np.exp(shifted).sum(-1)) - picked

def loss_grad(logits, labels):
    exps = np.exp(logits - logits.max(-1, keepdims=True))
    return exps / exps.sum(-1, keepdims=True) - (np.arange(logits.shape[-1]) == labels[..., None])

def values_only(logits, labels):
    return loss(logits, labels)

def compute_weighted_cross_entropy(logits, targets, weights=None, label_smoothing=0.0, z_loss=0.0,
                                   loss_normalizing_factor=None):
    weights = np.ones(targets.shape, np.float32) if weights is None else weights
    return np.sum(weights * loss(logits.copy(), targets)), np.float32(0), weights.sum()
"""

TORCH = """
import torch

def loss(logits, labels):
    losses = torch.logsumexp(logits, -1) - torch.gather(logits, -1, labels[..., None])[..., 0]
    return losses

def no_gradient(logits, labels):
    return loss(logits.detach(), labels)

def totals(logits, labels, weights, loss_normalizing_factor=1.0):
    losses = loss(logits, labels) * weights / loss_normalizing_factor
    return losses.sum(), torch.zeros_like(losses.sum()), weights.sum()

def wrong_type(logits, labels):
    return loss(logits, labels).tolist()

def wrong_call(logits, labels):
    return torch.gather(logits, 7, labels)
"""


@pytest.fixture
def module(tmp_path):
    """Writes a module and returns the name of one of its functions as a target."""

    def write(source, function):
        (tmp_path / "mine.py").write_text(source, encoding="utf-8")
        return f"{tmp_path / 'mine.py'}:{function}"

    return write


def shares(target, case, cotangents):
    """The utilisations of grade C's bounds by loss and by the gradient by the logits."""
    bounds = Bounds(case, target.convention, "C")
    values, gradients = target.differentiate(case, cotangents)
    of_loss = utilisation(values["loss"], exact_values(case, target.convention)["loss"], bounds.values()["loss"])
    exact = exact_gradients(case, cotangents, target.convention)["logits"]
    return np.max(of_loss), np.max(utilisation(gradients["logits"], exact, bounds.gradients(cotangents)["logits"]))


def test_a_numpy_function_is_found_out(module):
    """Fails when a NumPy function is refused because JAX cannot trace it."""
    target = load_target(module(NUMPY, "loss"))
    case = make(TOKEN, "float32", ROW, TARGETS)
    assert type(target).__name__ == "NumpyTarget"
    assert np.max(shares(target, case, {"loss": np.array([1.0, -0.5])})) <= 1


def test_a_numpy_function_has_no_derivative_of_its_own(module):
    """Fails when a NumPy target is failed, or passed, for derivatives that it does not have."""
    case = make(TOKEN, "float32", ROW, TARGETS)
    target = load_target(module(NUMPY, "values_only"))
    assert set(target.values(case)) == {"loss"}
    with pytest.raises(Unsupported, match="has no derivatives: NumPy knows none"):
        target.differentiate(case, unit_cotangents(case))
    with pytest.raises(Unsupported, match="has a gradient of loss only"):
        load_target(module(NUMPY, "loss")).differentiate(case, {"loss": np.zeros(2), "z_loss": np.ones(2)})


def test_a_module_of_numpy_functions_declares_them(module):
    """Fails when a module's functions are given JAX arrays although it declares NumPy."""
    source = NUMPY + "\nLOSSPROOF = {'framework': 'numpy'}\n"
    target = load_target(module(source, ""))
    case = make(WEIGHTED, "float32", ROW, TARGETS, weights=[1, 0.5])
    assert (type(target).__name__, set(target.offers)) == ("NumpyTarget", {WEIGHTED})
    assert target.values(case)["weight_sum"] == 1.5


def test_a_torch_function_is_found_out(module):
    """Fails when a torch function is refused, or differentiated otherwise than by torch."""
    pytest.importorskip("torch")
    target = load_target(module(TORCH, "loss"))
    case = make(TOKEN, "float32", ROW, TARGETS)
    assert type(target).__name__ == "TorchTarget"
    assert np.max(shares(target, case, {"loss": np.array([1.0, -0.5])})) <= 1
    with pytest.raises(Unsupported, match="what it returns does not require grad"):
        load_target(module(TORCH, "no_gradient")).differentiate(case, unit_cotangents(case))


def test_a_torch_function_of_totals_is_differentiated_by_weights_too(module):
    """Fails when a floating-point argument of a torch function has no derivative, or an output without one stops the
    others.
    """
    pytest.importorskip("torch")
    target = load_target(module(TORCH, "totals"))
    assert target.offer(WEIGHTED).arguments == ("logits", "targets", "weights", "loss_normalizing_factor")
    case = make(WEIGHTED, "float64", ROW, TARGETS, weights=[1, 0.5], loss_normalizing_factor=2.0)
    cotangents = unit_cotangents(case)
    _, gradients = target.differentiate(case, cotangents)
    exact, bounds = exact_gradients(case, cotangents, target.convention), Bounds(case, target.convention, "C")
    for name in ("logits", "weights"):
        assert np.all(utilisation(gradients[name], exact[name], bounds.gradients(cotangents)[name]) <= 1), name


def test_what_rejects_class_numbers_is_dense():
    """Fails when a loss of dense targets, given by name, is refused or judged on class numbers."""
    pytest.importorskip("optax")
    assert set(load_target("optax:softmax_cross_entropy").offers) == {DENSE}


ANY_RESULT = "def loss(logits, targets): return {}\n"


@pytest.mark.parametrize(
    ("source", "function", "message"),
    [
        (ANY_RESULT.format("{'accuracy': logits[..., 0]}"), "loss", "must return a JAX array .* but returns a dict"),
        (ANY_RESULT.format("[logits[..., 0]]"), "loss", "must return a JAX array .* but returns a list"),
        (ANY_RESULT.format("None"), "loss", "must return a JAX array .* but returns a NoneType"),
        (ANY_RESULT.format("()"), "loss", "must return a JAX array .* but returns a tuple of nothing"),
        (ANY_RESULT.format("(logits[..., 0], 'text')"), "loss", "must accept .* but raised TypeError: "),
        (ANY_RESULT.format("(logits[..., 0],) * 5"), "loss", "must return loss, z_loss, log_z, but returns 5 results"),
        (
            "def loss(logits, targets, weights): return (logits.sum(),) * 4\n",
            "loss",
            "weight_sum, but returns 4 results",
        ),
        ("loss = max\n", "loss", "does not say what it takes"),
        (TORCH, "wrong_type", "must return a torch tensor or a tuple of such, but returns a list"),
        (TORCH, "wrong_call", "must accept logits .* but raised IndexError: Dimension out of range"),
        (NUMPY, "losss", "mine.py has no function 'losss'; its functions are: loss, loss_grad, "),
    ],
)
def test_a_function_of_another_form_is_refused(module, source, function, message):
    """Fails when a function that cannot be judged is run, or the message does not say what is wrong with it."""
    if "torch" in source:
        pytest.importorskip("torch")
    with pytest.raises(TargetError, match=message) as refused:
        load_target(module(source, function))
    assert "\n" not in str(refused.value)


def test_a_function_of_a_large_module_is_answered_with_what_is_like_it():
    """Fails when a misspelt function of a library is answered with a page of names, or with nothing."""
    with pytest.raises(TargetError, match=r"has no function 'arccosn'; did you mean arccos, .*\?$"):
        load_target("numpy:arccosn")


@pytest.mark.parametrize("name", ["numpy_loss.py:loss", "torch_loss.py:fused_loss"])
@pytest.mark.parametrize("unit", ["values.hard_targets[token-float32]", "gradients.logits[token-float32]"])
def test_the_examples_do_what_they_show(name, unit):
    """Fails when a reader who starts from an example gets no verdict."""
    if name.startswith("torch"):
        pytest.importorskip("torch")
    (found,) = [each for each in all_units() if each.id == unit]
    result = run_unit(found, load_target(str(EXAMPLES / name)), "smoke", 0)
    assert (result.verdict, result.message) == ("pass", "")
