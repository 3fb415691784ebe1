"""Losses in the forms that people write them: each sound one conforms in what it supports, its defective twin not."""

import pytest

from lossproof.conformance import Summary, load_target
from lossproof.conformance.judging.draw import make, unit_cotangents
from lossproof.conformance.judging.result import FAIL, PASS, UNSUPPORTED
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.units import all_units, run_unit
from lossproof.conformance.targets import OutsideLimits, describe, remarks
from lossproof.spec import DENSE, TOKEN, WEIGHTED

HEAD = """
import jax
import jax.numpy as jnp

import lossproof

def per_token(logits, targets, z_loss=0.0):
    return lossproof.token_cross_entropy(logits, targets, z_loss=z_loss)

def totals(logits, targets, weights=None):
    return lossproof.compute_weighted_cross_entropy(logits, targets, weights)
"""

# Of each form: the loss, a defect as the text to be replaced and what replaces it, and what it is recognised as.
REQUIRED = """
def loss(logits, targets, weights):
    total, _, weight_sum = totals(logits, targets, weights)
    return total, weight_sum
"""
MEAN = """
LOSSPROOF = {"reduction": "mean"}

def loss(logits, labels, weights):
    total, _, weight_sum = totals(logits, labels, weights)
    return total / weight_sum
"""
MASKED = """
def loss(logits, labels, mask):
    weights = jnp.where(mask, 1, 0).astype(jnp.float32)
    total, _, weight_sum = totals(logits, labels, weights)
    return total / weight_sum
"""
SUM = """
def loss(logits, label):
    return per_token(logits, label).loss.sum()
"""
BATCH_MEAN = """
def loss(logits, y):
    return per_token(logits, y).loss.mean()
"""
MULTIPLES = """
def loss(logits, targets):
    if logits.shape[-1] % 128:
        raise ValueError(f"V must be a multiple of 128, got logits {logits.shape}")
    return per_token(logits, targets).loss
"""
FLAT = """
def loss(logits, targets):
    if logits.ndim != 2:
        raise ValueError(f"logits must be [N, V], got {logits.shape}, targets {targets.shape}")
    return per_token(logits, targets).loss
"""
SEQUENCES = """
def loss(logits, targets):
    if logits.ndim != 3:
        raise ValueError(f"logits must be [B, T, V], got {logits.shape}, targets {targets.shape}")
    return per_token(logits, targets).loss
"""
NAMED = """
def loss(preds, labels, z_loss_weight=0.0):
    found = per_token(preds, labels, z_loss_weight)
    return found.loss, {"log_z": found.log_z, "z_loss": found.z_loss, "accuracy": jnp.mean(preds.argmax(-1) == labels)}
"""
AUX = """
def loss(logits, labels):
    return per_token(logits, labels).loss, jnp.mean(logits)
"""
KERAS = """
def loss(y_true, y_pred):
    return per_token(y_pred, y_true).loss
"""
NAMELESS = """
def loss(a, b):
    return per_token(b, a).loss
"""
FORMS = {
    "required weights": (REQUIRED, ("targets, weights)\n", "targets, weights**2)\n"), WEIGHTED, "sum", ""),
    "mean over weights": (MEAN, ("total / weight_sum", "total / labels.size"), WEIGHTED, "mean", ""),
    "mean over a mask": (
        MASKED,
        ("/ weight_sum", "/ (weight_sum + 1e-3)"),
        WEIGHTED,
        "mean",
        "weights that are 0 or 1",
    ),
    "sum": (SUM, (".sum()", ".sum() * 1.001"), WEIGHTED, "sum", ""),
    "mean over tokens": (BATCH_MEAN, (".mean()", "[..., 1:].mean()"), WEIGHTED, "batch_mean", ""),
    "multiples of V": (
        MULTIPLES,
        ("% 128:", "% 128 or (logits.shape[-1] == 128 and logits.shape[0] == 4):"),
        TOKEN,
        "sum",
        "V that are multiples of 128",
    ),
    "rank 1": (FLAT, (".loss\n", ".loss * (1 + 1e-3)\n"), TOKEN, "sum", "batches of rank 1"),
    "rank 2": (SEQUENCES, (".loss\n", ".loss[:, ::-1]\n"), TOKEN, "sum", "batches of rank 2"),
    "named results": (NAMED, ("found.log_z,", "found.log_z * 1.001,"), TOKEN, "sum", ""),
    "a further result": (AUX, (".loss,", ".loss + 1e-3,"), TOKEN, "sum", ""),
    "Keras' order": (KERAS, ("y_true).loss", "y_true).loss + 1e-3"), TOKEN, "sum", ""),
    "an order without names": (NAMELESS, (".loss", ".loss + 1e-3"), TOKEN, "sum", ""),
}
OUTPUTS = {
    "required weights": ("loss", "weight_sum"),
    "named results": ("loss", "z_loss", "log_z"),
}

# A few units that are told apart by all of the defects above, and some that have fixed shapes.
CHECKS = ("values.hard_targets", "values.log_z", "gradients.weights", "excluded.target_out_of_range")
CHECKS += ("values.weight_sum", "states.one_class", "shapes.empty_batch")
TELLING = {"named results": CHECKS[1:2], "required weights": CHECKS[2:3], "mean over weights": CHECKS[2:3]}
UNITS = [unit for unit in all_units() if unit.check.id in CHECKS and unit.dtype == "float32" and unit.function != DENSE]


@pytest.fixture
def written(tmp_path):
    """Writes a loss and loads it."""

    def write(source, name="mine.py"):
        (tmp_path / name).write_text(HEAD + source, "utf-8")
        return load_target(f"{tmp_path / name}:loss")

    return write


def results_of(target, checks=CHECKS):
    """What came of the units, by the names of their checks; of those that are of the target's function."""
    units = [unit for unit in UNITS if unit.function in target.offers and unit.check.id in checks]
    return {unit.check.id: run_unit(unit, target, "smoke", 0) for unit in units}


@pytest.mark.parametrize("form", FORMS)
def test_a_sound_loss_conforms_in_what_it_supports(written, form):
    """Fails when a right loss is failed for the form that it is written in, or judged by another one."""
    source, _, kind, reduction, limits = FORMS[form]
    target = written(source)
    (offered,) = target.offers
    assert (offered, target.convention.reduction, target.limits.words) == (kind, reduction, limits)
    assert target.offer(kind).outputs == OUTPUTS.get(form, ("loss",))
    results = results_of(target, CHECKS[:4])
    failed = {name: result.message for name, result in results.items() if result.verdict not in (PASS, UNSUPPORTED)}
    assert not failed
    told = ("values.hard_targets", "excluded.target_out_of_range")
    assert [results[name].verdict for name in told] == [PASS, PASS]


@pytest.mark.parametrize("form", FORMS)
def test_its_defective_twin_does_not_conform(written, form):
    """Fails when what makes a form fit to be judged makes a defect fit, too."""
    source, (text, defect), *_ = FORMS[form]
    assert source.count(text) == 1
    target = written(source.replace(text, defect))
    assert Summary(list(results_of(target, TELLING.get(form, CHECKS[:1])).values())).exit_code() == 1


def test_what_is_required_is_given_and_what_is_about_its_absence_is_unsupported(written):
    """Fails when a count without weights is asked of a loss that needs them, or claimed for it."""
    target = written(REQUIRED)
    assert target.offer(WEIGHTED).required == ("weights",)
    found = results_of(target, ["values.weight_sum"])["values.weight_sum"]
    assert found.verdict == UNSUPPORTED and "needs weights" in found.message
    declared = 'LOSSPROOF = {"outputs": ["loss", "weight_sum"]}\n'
    broken = written(declared + REQUIRED.replace("total, weight_sum", "total, weight_sum * 1.001"), "broken.py")
    assert results_of(broken, ["values.weight_sum"])["values.weight_sum"].verdict == FAIL


def test_what_is_outside_the_limits_is_unsupported_with_its_reason(written):
    """Fails when a limit is charged as a failure, or hides what a check was about."""
    target = written(MULTIPLES)
    found = results_of(target, ["states.one_class"])["states.one_class"]
    assert (found.verdict, found.message) == (UNSUPPORTED, "takes V that are multiples of 128; this check needs V = 1")
    assert remarks(describe(target)) == ["takes V that are multiples of 128; nothing beyond was asked of it"]


def test_nothing_outside_the_limits_is_asked(written):
    """Fails when a case of a fixed shape reaches a target that does not take it."""
    run = Run(written(MULTIPLES), TOKEN, "float32", "smoke", 0)
    case = make(TOKEN, "float32", [[1.0, 2.0, 3.0]], [0])
    with pytest.raises(OutsideLimits, match="this check needs V = 3"):
        run.values(case)
    with pytest.raises(OutsideLimits, match="this check needs V = 3"):
        run.differentiate(case, unit_cotangents(case))


def test_a_declared_limit_is_held_to(written):
    """Fails when a refusal of what the declaration says is taken counts as a limit."""
    declared = 'LOSSPROOF = {"limits": {"classes": {"multiple_of": 64}, "tokens": {"at_most": 512}}}\n'
    target = written(declared + MULTIPLES.replace("% 128", "% 64"))
    assert target.limits.words == "V that are multiples of 64; N that are 512 at most"
    assert results_of(target, ["values.hard_targets"])["values.hard_targets"].verdict == PASS
    narrower = written(declared + MULTIPLES.replace("% 128", "% 64 or logits.shape[0] == 4"), "narrower.py")
    found = results_of(narrower, ["values.hard_targets"])["values.hard_targets"]
    assert found.verdict == FAIL and "raised ValueError: V must be a multiple" in found.message


def test_a_mean_is_said(written):
    """Fails when a reader is not told that a mean was judged as such."""
    assert remarks(describe(written(BATCH_MEAN))) == [
        "judged as a mean, divided by the number of tokens (reduction batch_mean)"
    ]


def test_a_file_imports_what_is_beside_it(tmp_path, check):
    """Fails when a loss in several files is loaded in one process and not in the next, or imports nothing later."""
    (tmp_path / "beside_it.py").write_text(HEAD, "utf-8")
    (tmp_path / "later_on.py").write_text("OFFSET = 0\n", "utf-8")
    (tmp_path / "mine.py").write_text(
        "from beside_it import per_token\n\ndef loss(logits, targets):\n    import later_on\n\n"
        "    return per_token(logits, targets).loss + later_on.OFFSET\n",
        "utf-8",
    )
    answer = check(f"{tmp_path / 'mine.py'}:loss", only=["values.hard_targets[token-float32]"], workers=2)
    assert answer.exit_code == 0, answer.output
