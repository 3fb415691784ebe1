"""Which parameter is what, which shapes are taken, and what is said when it cannot be told."""
# ruff: noqa: ARG005  functions that are never called, for their parameters

import numpy as np
import pytest

from lossproof.conformance import load_target
from lossproof.conformance.judging.draw import make
from lossproof.conformance.suite.checks.shapes import _names
from lossproof.conformance.targets import OutsideLimits, TargetError
from lossproof.conformance.targets._limits import Limits, Range
from lossproof.conformance.targets.probing._signature import read_signature
from lossproof.spec import TOKEN, WEIGHTED


def signature(function, **declared):
    return read_signature("mine", function, declared)


def loaded(folder, source, function="loss"):
    (folder / "mine.py").write_text(f"import functools\n\nimport jax\nimport jax.numpy as jnp\n\n{source}", "utf-8")
    return load_target(f"{folder / 'mine.py'}:{function}")


@pytest.mark.parametrize(
    ("function", "positions", "options"),
    [
        (lambda logits, targets: 0, ("logits", "targets"), ()),
        (lambda y_true, y_pred: 0, ("targets", "logits"), ()),
        (lambda input, target: 0, ("logits", "targets"), ()),  # noqa: A006
        (lambda labels, scores, mask=None: 0, ("targets", "logits"), ("weights",)),
        (lambda a, label: 0, ("logits", "targets"), ()),
        (lambda label, b: 0, ("targets", "logits"), ()),
        (lambda logits, mask, labels: 0, (), ("weights",)),
        (lambda *, logits, labels: 0, (), ()),
        (lambda logits, targets, smoothing=0.1: 0, ("logits", "targets"), ("label_smoothing",)),
        (lambda logits, targets, smoothing="others": 0, ("logits", "targets"), ("smoothing",)),
        (lambda *arrays: 0, ("logits", "targets"), ()),
    ],
)
def test_names_say_what_parameters_are(function, positions, options):
    """Fails when an argument reaches another parameter than the one of its name."""
    found = signature(function)
    assert (found.positions, found.options) == (positions, options)


def test_arguments_reach_their_parameters():
    """Fails when a keyword is passed under the specification's name to a function that has another one for it."""

    def loss(logits, sample_weight, labels, *, z_loss_weight):
        return logits, sample_weight, labels, z_loss_weight

    found = signature(loss)
    assert found.required == ("weights", "z_loss")
    assert found.call(loss, {"logits": 1, "targets": 2, "weights": 3, "z_loss": 4}) == (1, 3, 2, 4)


@pytest.mark.parametrize(
    ("function", "declared", "message"),
    [
        (lambda logits: 0, {}, r"must take logits and targets, but takes \['logits'\]"),
        (
            lambda logits, targets, scale: 0,
            {},
            "needs scale, which no call of the specification has: give a",
        ),
        (lambda logits, targets: 0, {"truth": "targets"}, "names truth, but its parameters are logits, targets"),
    ],
)
def test_what_cannot_be_told_is_said(function, declared, message):
    """Fails when a user is not told how to say what a parameter is."""
    with pytest.raises(TargetError, match=message):
        signature(function, **declared)


def test_parameters_are_declared(tmp_path):
    """Fails when a declaration of parameters is not what the function is called by."""
    source = "def loss(gain, truth): return -jnp.take_along_axis(gain, truth[..., None], -1)[..., 0]\n"
    declared = 'LOSSPROOF = {"arguments": {"truth": "targets"}}\n'
    target = loaded(tmp_path, source + declared)
    case = make(TOKEN, "float32", [[1.0, 2.0, 4.0]], [2])
    np.testing.assert_array_equal(target.values(case)["loss"], [-4.0])


def test_static_scalars_are_not_traced(tmp_path):
    """Fails when a compiled function that must know its scalars fails for it, or a false declaration is believed."""
    source = (
        "@functools.partial(jax.jit, static_argnames=('z_loss', 'label_smoothing'))\n"
        "def token_cross_entropy(logits, targets, *, label_smoothing=0.0, z_loss=0.0):\n"
        "    value = jax.nn.logsumexp(logits, -1)\n"
        "    return value, (value * z_loss if z_loss else 0.0 * value), value\n"
    )
    assert not loaded(tmp_path, source, "").scalars_differentiable
    assert not loaded(tmp_path, source, "token_cross_entropy").scalars_differentiable
    declared = source + "LOSSPROOF = {'scalars_differentiable': True}\n"
    with pytest.raises(TargetError, match=r"is True, but its scalars cannot be traced: .*leave it out"):
        loaded(tmp_path, declared, "token_cross_entropy")


def test_limits_have_nearest_shapes():
    """Fails when a shape that stands for another one is not taken, or differs more than it must."""
    blocks = Limits(classes=Range(128), tokens=Range(8, 8, 64), ranks=(1,))
    assert [blocks.nearest(shape) for shape in ((4, 16), (2, 3, 5), (8, 300), (999, 128))] == [
        (8, 128),
        (8, 128),
        (8, 384),
        (64, 128),
    ]
    assert Limits(ranks=(2,)).nearest((4, 16)) == (4, 1, 16)
    assert Limits().nearest((0, 5)) == (0, 5)
    with pytest.raises(OutsideLimits, match=r"takes V that are multiples of 128; .* this check needs V = 5, N = 6, a "):
        blocks.require_shape((2, 3, 5))


def test_masks_are_given_as_such():
    """Fails when weights that are no mask are given as one, or a mask as numbers."""
    limits = Limits(masks=True)
    case = make(WEIGHTED, "float32", [[1.0, 2.0]] * 2, [0, 1], weights=[1.0, 0.0])
    assert limits.cast(case).inputs["weights"].tolist() == [True, False]
    with pytest.raises(OutsideLimits, match="takes weights that are 0 or 1"):
        limits.require(limits.cast(case.with_inputs(weights=np.float32([0.5, 1.0]))))


@pytest.mark.parametrize(
    ("text", "shape", "is_named"),
    [
        ("got (2, 3, 5)", (2, 3, 5), True),
        ("got float32[2,3,5] and int32[2,4]", (2, 3, 5), True),
        ("got float32[2,3,5] and int32[2,4]", (2, 4), True),
        ("torch.Size([2, 3, 5])", (2, 3, 5), True),
        ("2x3x5", (2, 3, 5), True),
        ("got (2, 3, 5)", (2, 3), False),
        ("got (12, 3, 5)", (2, 3, 5), False),
        ("targets (3,)", (3,), True),
        ("targets [3]", (3,), True),
        ("3 targets", (3,), False),
        ("weights ()", (), True),
        ("float32[]", (), True),
        ("weights", (), False),
    ],
)
def test_shapes_are_read_however_they_are_written(text, shape, is_named):
    """Fails when a message has to be written in Python's way, or names a shape that it does not."""
    assert _names(text, shape) == is_named
