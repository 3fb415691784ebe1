"""What a framework does to a target, and a target to its inputs; second calls; and whose error is whose."""

from functools import partial

import numpy as np
import pytest

from lossproof.conformance import load_target
from lossproof.conformance.coverage import AXES
from lossproof.conformance.coverage.way import Buffers, given_as
from lossproof.conformance.judging.draw import make, unit_cotangents
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.judging.result import FAIL, INTERNAL, PASS
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.pairs.cells import look
from lossproof.conformance.suite.units import all_units, run_unit
from lossproof.conformance.targets.frameworks._layouts import LAYOUTS, laid_out, layout_of
from lossproof.spec import TOKEN

NUMPY = """
import numpy as np

calls = []

def loss(logits, targets):
    calls.append(1)
    before
    shifted = logits - logits.max(-1, keepdims=True)
    picked = np.take_along_axis(shifted, targets[..., None], -1)[..., 0]
    return np.log(np.exp(shifted).sum(-1)) - picked
"""

JAX = """
import jax
import jax.numpy as jnp

kept = {}

def loss(logits, targets):
    before
    picked = jnp.take_along_axis(jnp.asarray(logits), jnp.asarray(targets)[..., None], -1)[..., 0]
    return jax.nn.logsumexp(jnp.asarray(logits), axis=-1) - picked
"""

TORCH = """
import torch

class Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets):
        p = torch.softmax(logits, -1)
        ctx.save_for_backward(p, targets)
        forward
        return torch.logsumexp(logits, -1) - torch.gather(logits, -1, targets[..., None])[..., 0]

    @staticmethod
    def backward(ctx, by_loss):
        p, targets = ctx.saved_tensors
        backward
        return (p - torch.nn.functional.one_hot(targets, p.shape[-1])) * by_loss[..., None], None

def loss(logits, targets):
    return Loss.apply(logits, targets)
"""
(HARD,) = [unit for unit in all_units() if unit.id == "values.hard_targets[token-float32]"]
(GRADIENT,) = [unit for unit in all_units() if unit.id == "gradients.logits[token-float32]"]


@pytest.fixture
def loaded(tmp_path):
    """Loads a loss with some lines of its text replaced."""

    def load(source, **lines):
        for name in ("before", "forward", "backward"):
            source = source.replace(f"    {name}\n", f"    {lines.get(name, 'pass')}\n")
        (tmp_path / "mine.py").write_text(source, "utf-8")
        return load_target(f"{tmp_path / 'mine.py'}:loss")

    return load


def forget_calls(target):
    """From here on the loss is as if it had just been loaded."""
    target.functions[TOKEN].function.__globals__["calls"].clear()


def test_equal_arrays_have_equal_layouts_and_all_layouts_come_up():
    """Fails when equal calls are laid out differently, so that their bits may differ, or a layout is never tried."""
    arrays = [{"logits": np.full((4, 16), n, np.float32)} for n in range(40)]
    assert {layout_of(each) for each in arrays} == set(LAYOUTS)
    assert all(layout_of(each) == layout_of({"logits": each["logits"].copy()}) for each in arrays)
    array = np.arange(12.0).reshape(3, 4)
    views = {layout: laid_out(array, layout) for layout in LAYOUTS}
    assert all(np.array_equal(view, array) for view in views.values())
    assert not views["strided"].flags.c_contiguous and not views["by columns"].flags.c_contiguous
    assert views["whole"].flags.writeable and not views["read-only"].flags.writeable


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("logits.flags.writeable and logits.fill(0.0)", "has changed its argument logits"),
        ("targets.flags.writeable and targets.fill(0)", "has changed its argument targets"),
        ("logits -= 0.0", "raised ValueError: output array is read-only"),
        ("logits = logits * (1 + 1e-3 * (len(calls) > 9))", ""),
        ("logits = logits + (logits.strides[-1] != 4) * np.arange(logits.shape[-1], dtype=np.float32)", ""),
    ],
    ids=["logits", "targets", "read-only", "first call only", "strided"],
)
def test_a_numpy_loss_leaves_its_inputs_alone_and_answers_the_same_again(loaded, line, words):
    """Fails when a loss passes that writes into the caller's arrays, takes one layout only, or is right at first."""
    assert run_unit(HARD, loaded(NUMPY), "standard", 0).verdict == PASS
    found = run_unit(HARD, loaded(NUMPY, before=line), "standard", 0)
    assert found.verdict == FAIL and words in found.message


@pytest.mark.parametrize("given", ["numpy", "fortran", "strided"])
def test_a_buffer_that_is_filled_anew_is_read_anew(loaded, given):
    """Fails when a JAX loss passes that knows arrays by where they are, as no loader of data lets it."""
    cell = {axis: values[0] for axis, values in AXES.items()} | {"transform": "eager", "given": given}
    sound, keeps = (
        look(Run(loaded(JAX, before=line), TOKEN, "float32", "standard", 0), cell, 0)
        for line in ("pass", "logits = kept.setdefault(id(logits), (logits, jnp.array(logits)))[1]")
    )
    assert sound.compared["loss"] > 1
    wrong, kept = (
        {deviation.subject for deviation in each.deviations if not deviation.is_small} for each in (sound, keeps)
    )
    assert (wrong, kept) == (set(), {"loss"})  # confident tokens have lost digits, here as in most losses


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (f"kept = {{}}\n{NUMPY}", {"before": "logits = kept.setdefault(id(logits), (logits, logits.copy()))[1]"}),
        (f"kept = {{}}\n{TORCH}", {"forward": "logits = kept.setdefault(logits.data_ptr(), logits.clone())"}),
    ],
    ids=["numpy", "torch"],
)
def test_so_is_one_of_numpy_or_torch(loaded, source, line):
    """Fails when arrays are new ones in each call."""
    if "torch" in source:
        pytest.importorskip("torch")
    sound, keeps = loaded(source), loaded(source, **line)
    cases = [make(TOKEN, "float32", [[0.5, -1.0, n]], [2]) for n in range(8)]
    right = [sound.values(case)["loss"].item() for case in cases]
    assert len(set(right)) == len(cases)
    assert [keeps.values(case)["loss"].item() for case in cases] != right


@pytest.mark.parametrize("given", ["numpy", "fortran", "strided", "read-only", "big-endian"])
@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 3)])
def test_what_is_given_is_a_copy(given, shape):
    """Fails when what a target is given, or what fills that anew, is what it is compared with."""
    array = np.ones(shape, np.float32)
    copy = given_as(array, given)
    assert np.array_equal(copy, array)
    assert not np.shares_memory(copy, array)


@pytest.mark.parametrize("given", ["read-only", "numpy"])
def test_only_what_may_be_written_to_is_filled_anew(given):
    """Fails when a view that must not change does, or when buffers are new each time."""
    buffers = Buffers(partial(given_as, given=given))
    first = buffers.filled({"logits": np.zeros((2, 3), np.float32)})["logits"]
    again = buffers.filled({"logits": np.ones((2, 3), np.float32)})["logits"]
    other = buffers.filled({"logits": np.ones((2, 4), np.float32)})["logits"]
    assert (first is again) == (given == "numpy")
    assert np.all(again == 1) and other.shape == (2, 4)


def test_a_later_answer_must_be_the_first_one(loaded):
    """Fails when nothing is asked twice with other calls in between."""
    target = loaded(NUMPY, before="logits = logits * (1 + 0.5 * (len(calls) > 3))")
    forget_calls(target)
    cases = [make(TOKEN, "float32", [[0.5, -1.0, n]], [2]) for n in range(8)]
    with pytest.raises(Violation, match="differs when the same is asked again after 2 other calls"):
        list(map(target.values, cases))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({}, ""),
        ({"forward": "logits.mul_(1.0)"}, ""),
        ({"forward": "logits.copy_(p)"}, "has changed its argument logits"),
        (
            {"backward": "ctx.n = getattr(ctx, 'n', 0) + 1; p = p * ctx.n"},
            "the derivative by logits differs when it is asked for twice",
        ),
    ],
    ids=["sound", "writes the same", "writes into logits", "right once"],
)
def test_a_torch_loss_leaves_its_inputs_alone_and_is_pulled_back_twice(loaded, lines, words):
    """Fails when a kernel passes that has its gradient or softmax in the caller's logits, or a gradient for one use."""
    pytest.importorskip("torch")
    target = loaded(TORCH, **lines)
    case = make(TOKEN, "float32", [[0.5, -1.0, 2.0], [3.0, 0.0, 0.0]], [2, 0])
    if words:
        with pytest.raises(Violation, match=words):
            target.differentiate(case, unit_cotangents(case))
        return
    target.differentiate(case, unit_cotangents(case))
    assert run_unit(GRADIENT, target, "smoke", 0).verdict == PASS


def test_an_error_of_an_adapter_is_the_suites(loaded, monkeypatch):
    """Fails when the suite's own error becomes the target's failure."""
    target = loaded(NUMPY)

    def broken(*_):
        raise KeyError("the adapter")

    monkeypatch.setattr(type(target), "named_results", broken)
    found = run_unit(HARD, target, "smoke", 0)
    assert found.verdict == INTERNAL and "KeyError: 'the adapter'" in found.message


def test_results_that_are_not_there_are_the_targets(loaded):
    """Fails when a target that returns something else than it did at first is a failure of the suite."""
    target = loaded(NUMPY.replace("return np.log", "return () if asked else np.log") + "\nasked = []\n")
    target.functions[TOKEN].function.__globals__["asked"].append(1)
    found = run_unit(HARD, target, "standard", 0)
    assert found.verdict == FAIL and "token_cross_entropy must return loss, got 0 results" in found.message
