"""What a module declares, and whether it is true."""

import importlib.util

import numpy as np
import pytest

from lossproof.conformance import load_target
from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.judging.draw import make
from lossproof.conformance.suite.units import all_units, run_unit
from lossproof.conformance.targets import (
    TargetError,
    Unsupported,
    convention_words,
    fitting_conventions,
    function_target,
    hint,
    parse_convention,
)
from lossproof.spec import LOSSPROOF, TOKEN, WEIGHTED, Convention

# Every convention from one formula, as its users would write it.
SOURCE = """
import jax
import jax.numpy as jnp

def loss(logits, targets, label_smoothing=0.0, z_loss=0.0):
    classes = logits.shape[-1]
    log_z = jax.nn.logsumexp(logits, axis=-1)
    off = label_smoothing / ({classes})
    is_target = jax.nn.one_hot(targets, classes, dtype=bool)
    q = jnp.where(is_target, 1 - label_smoothing + ({extra}), off)
    value = jnp.sum(q * (log_z[..., None] - logits), axis=-1)
    entropy = -jnp.sum(jax.scipy.special.xlogy(q, q), axis=-1)
    z = z_loss * log_z**2
    return value - ({entropy}) * entropy + ({z}) * z, z

LOSSPROOF = {declared}
"""


@pytest.fixture
def declaring(tmp_path):
    """Writes a loss of the convention that the first words say, with a declaration, and loads it."""

    def write(computes, declared, given=""):
        convention = parse_convention(computes)
        source = SOURCE.format(
            classes="classes - 1" if convention.smoothing == "others" else "classes",
            extra="0" if convention.smoothing == "others" else "off",
            entropy=int(convention.subtract_entropy),
            z=int(convention.add_z_loss),
            declared=repr(declared),
        )
        (tmp_path / "mine.py").write_text(source, encoding="utf-8")
        return load_target(f"{tmp_path / 'mine.py'}:loss", parse_convention(given))

    return write


def test_a_declaration_is_kept_to(declaring):
    """Fails when what a module declares is not what it is judged by."""
    declared = {"convention": "uniform", "dtypes": ["bfloat16"], "outputs": ["loss", "log_z"]}
    target = declaring("others", declared | {"scalars_differentiable": True})
    assert target.convention == Convention("uniform")
    assert (target.dtypes, target.scalars_differentiable) == (("bfloat16",), True)
    assert target.offer(TOKEN).outputs == ("loss", "log_z")
    assert declaring("others", declared, "no-entropy").convention == Convention(subtract_entropy=False)


def test_a_module_that_declares_nothing_is_the_specifications(declaring):
    """Fails when the defaults are not SPEC.md's."""
    target = declaring("others", {})
    assert (target.convention, target.dtypes) == (LOSSPROOF, tuple(DTYPES))
    assert target.offer(TOKEN).outputs == ("loss", "z_loss")


def test_types_that_are_not_declared_are_unsupported(declaring):
    """Fails when a target is failed for logits of a type that it does not take."""
    target = declaring("others", {"dtypes": ["float64"]})
    for dtype, verdict in (("float32", "unsupported"), ("float64", "pass")):
        (unit,) = [each for each in all_units() if each.id == f"values.hard_targets[token-{dtype}]"]
        assert run_unit(unit, target, "smoke", 0).verdict == verdict


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("uniform", "LOSSPROOF must be a dictionary, got str"),
        ({"dtype": ["float32"]}, "LOSSPROOF has no key 'dtype': choose from framework, device, convention, dtypes, "),
        ({"convention": "unifrm"}, r"LOSSPROOF\['convention'\] has an unknown convention 'unifrm': choose from others"),
        ({"convention": None}, r"LOSSPROOF\['convention'\] must be a text, got None"),
        ({"dtypes": "float32"}, r"LOSSPROOF\['dtypes'\] must be a list of some of bfloat16, .*, got 'float32'"),
        ({"dtypes": []}, r"LOSSPROOF\['dtypes'\] must be a list of some of"),
        ({"dtypes": ["float8"]}, r"LOSSPROOF\['dtypes'\] must be a list of some of .* got \['float8'\]"),
        ({"dtypes": ["float32", "float32"]}, r"LOSSPROOF\['dtypes'\] must be a list of some of"),
        ({"dtypes": [["float32"]]}, r"LOSSPROOF\['dtypes'\] must be a list of some of"),
        ({"outputs": ["losses"]}, r"LOSSPROOF\['outputs'\] must be a list of some of loss, z_loss, log_z, weight_sum"),
        ({"outputs": ["loss", "weight_sum"]}, r"LOSSPROOF\['outputs'\] names weight_sum, but token_cross_entropy"),
        ({"outputs": ["loss"]}, "must return loss, but returns 2 results"),
        ({"outputs": ["loss", "z_loss", "log_z"]}, "must return loss, z_loss, log_z, but returns 2 results"),
        ({"scalars_differentiable": "yes"}, r"LOSSPROOF\['scalars_differentiable'\] must be True or False, got 'yes'"),
        ({"framework": "mxnet"}, r"LOSSPROOF\['framework'\] must be one of jax, numpy, torch, got 'mxnet'"),
        ({"framework": "numpy"}, "must return a NumPy array or a tuple of such, but returns a tuple of ArrayImpl"),
    ],
)
def test_a_declaration_that_cannot_be_is_named(declaring, declared, message):
    """Fails when a wrong key or value of a declaration is ignored: the target is then judged as another one."""
    with pytest.raises(TargetError, match=message):
        declaring("others", declared)


CONVENTIONS = ["others entropy", "others no-entropy", "uniform entropy", "uniform no-entropy"]


@pytest.mark.parametrize("z_loss", ["", " no-z-loss"])
@pytest.mark.parametrize("computes", CONVENTIONS)
def test_one_convention_fits(declaring, computes, z_loss):
    """Fails when a target's convention is not recognised, or two are taken for each other."""
    target = declaring(computes + z_loss, {})
    assert fitting_conventions(target, TOKEN) == [computes + z_loss]


@pytest.mark.parametrize(
    ("computes", "declared", "advice"),
    [
        ("uniform no-entropy", "others entropy", "declared others, entropy; behaves like uniform, no-entropy: "),
        ("others entropy", "uniform no-entropy", "declared uniform, no-entropy; behaves like others, entropy: "),
        ("others entropy no-z-loss", "others entropy", "declared others, entropy; behaves like others, entropy, no-z-"),
    ],
)
def test_a_wrong_declaration_is_found_out(declaring, computes, declared, advice):
    """Fails when a target that is right by another convention gets no hint, or one that does not help."""
    found = hint(declaring(computes, {"convention": declared}))
    assert found.startswith(advice) and found.endswith(f"give --convention '{computes}'")
    assert hint(declaring(computes, {"convention": declared}, computes)) == ""


def test_what_fits_nothing_or_cannot_be_told_gets_no_hint():
    """Fails when a loss that is wrong is excused as one of another convention, or a broken one ends the run."""

    def wrong(logits, targets, label_smoothing=0.0):
        del targets, label_smoothing
        return logits[..., 0]

    def plain(logits, targets):
        del targets
        return logits[..., 0]

    def raising(logits, targets, label_smoothing=0.0):
        if label_smoothing:
            raise RuntimeError
        return logits[..., 0] + targets.astype(logits.dtype)

    for function in (wrong, plain, raising):
        target = function_target("mine", function)
        assert fitting_conventions(target, TOKEN) == []
        assert hint(target) == ""


@pytest.mark.parametrize("name", ["lossproof", "torch", "keras-dense"])
def test_a_built_in_target_declares_what_it_does(name):
    """Fails when an adapter declares another convention than its library keeps to."""
    if importlib.util.find_spec(name.partition("-")[0]) is None:
        pytest.skip(f"{name} is not installed")
    target = load_target(name)
    functions = [function for function in (TOKEN, WEIGHTED) if function in target.offers]
    for function in functions:
        assert fitting_conventions(target, function) == [convention_words(target.convention)]
    assert hint(target) == ""


def test_further_outputs_reach_their_names(declaring):
    """Fails when a declared order of outputs is not the order that results are read in."""
    target = declaring("others", {"outputs": ["z_loss", "loss"]})
    case = make(TOKEN, "float32", [[1.0, 2.0, 3.0]], [0])
    values = target.values(case)
    assert values["loss"] == 0 and values["z_loss"] > 0
    with pytest.raises(Unsupported):
        target.offer(WEIGHTED)
    assert np.shape(values["loss"]) == (1,)
