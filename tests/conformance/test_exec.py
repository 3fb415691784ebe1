"""Programs as targets: what they declare, what they are sent, what is made of their answers."""

import numpy as np
import pytest

from lossproof.conformance.judging.draw import make, unit_cotangents
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets import TargetError, Unsupported
from lossproof.conformance.targets.programs._wire import OFFERED
from lossproof.conformance.targets.programs.exec import MOST_LOGITS, ExecTarget
from lossproof.spec import DENSE, LOSSPROOF, TOKEN, WEIGHTED, Convention

from ._programs import CASE, DECLARED, ROW, TARGETS, program, requests


def test_a_declaration_becomes_a_target(tmp_path):
    """Fails when a program is held to functions, types or a convention that it does not have."""
    declared = DECLARED | {"name": "mine", "convention": "uniform no-entropy", "packages": {"blas": "3.1"}}
    target = ExecTarget(program(tmp_path, declared=declared))
    assert target.name == f"exec:{program(tmp_path, declared=declared)}"
    assert (target.offer(TOKEN).outputs, target.offer(TOKEN).arguments) == (("loss",), ("logits", "targets"))
    assert target.dtypes == ("float32", "float64")
    assert target.convention == Convention("uniform", subtract_entropy=False)
    assert target.packages == {"blas": "3.1"}
    assert tmp_path / "program.py" in target.sources
    assert not target.scalars_differentiable
    with pytest.raises(Unsupported, match=f"has no {DENSE}"):
        target.offer(DENSE)


@pytest.mark.parametrize(
    ("arguments", "derivatives", "expected"),
    [
        ([], ["logits"], False),
        (["z_loss"], ["logits"], False),
        (["z_loss"], ["logits", "z_loss"], True),
        (["z_loss", "label_smoothing"], ["z_loss"], False),
    ],
)
def test_scalars_are_differentiable_if_all_are(tmp_path, arguments, derivatives, expected):
    """Fails when a program is failed for a derivative that it did not declare."""
    offer = {"outputs": ["loss"], "arguments": ["logits", "targets", *arguments]}
    declared = DECLARED | {"functions": {TOKEN: offer}, "derivatives": derivatives}
    assert ExecTarget(program(tmp_path, declared=declared)).scalars_differentiable == expected


def test_without_a_convention_it_is_the_specifications(tmp_path):
    """Fails when a program that says nothing is held to another convention."""
    assert ExecTarget(program(tmp_path)).convention == LOSSPROOF


def test_a_convention_given_twice_is_refused(tmp_path):
    """Fails when --convention is dropped, or overrides what the program says of itself."""
    with pytest.raises(TargetError, match="declares its own convention"):
        ExecTarget(program(tmp_path), Convention("uniform"))


def test_requests_are_what_the_protocol_says(tmp_path):
    """Fails when a member, its order or an argument is not as documented."""
    target = ExecTarget(program(tmp_path))
    target.values(CASE)
    target.differentiate(CASE, {"loss": np.array([0.5, -2.0])})
    hello, values, gradients = requests(tmp_path)
    inputs = {"logits": [*ROW[0], *ROW[1]], "targets": TARGETS}
    common = {"function": TOKEN, "dtype": "float32", "shape": [2, 3], "inputs": inputs}
    assert hello == {"op": "hello", "protocol": 1}
    assert values == {"op": "values", "id": 1} | common
    further = {"cotangents": {"loss": [0.5, -2.0]}, "by": ["logits"]}
    assert gradients == {"op": "gradients", "id": 2} | common | further
    assert list(gradients) == ["op", "id", *common, *further]


def test_values_and_gradients_come_back_in_shape(tmp_path):
    """Fails when arrays are permuted, or get another shape or type."""
    end = 'answer |= {"outputs": {"loss": [*range(6)]}, "gradients": {"logits": [*range(30)]}}'
    target = ExecTarget(program(tmp_path, end))
    case = make(TOKEN, "float64", np.zeros((2, 3, 5)), np.zeros((2, 3)))
    outputs, gradients = target.differentiate(case, unit_cotangents(case))
    np.testing.assert_array_equal(outputs["loss"], np.arange(6.0).reshape(2, 3), strict=True)
    np.testing.assert_array_equal(gradients["logits"], np.arange(30.0).reshape(2, 3, 5), strict=True)
    np.testing.assert_array_equal(target.values(case)["loss"], outputs["loss"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_survives_the_way_there_and_back(tmp_path, dtype):
    """Fails when a float is not the same bits afterwards: the target would be judged on another input."""
    target = ExecTarget(program(tmp_path, 'answer["gradients"] = {"logits": inputs["logits"]}'))
    info = np.finfo(dtype)
    edges = [np.nan, np.inf, -np.inf, -0.0, info.max, info.min, info.tiny, info.smallest_subnormal, info.eps, 1 / 3]
    size = 8 * info.dtype.itemsize
    bits = np.random.default_rng(0).integers(0, 2**size, 999, np.uint64).astype(f"uint{size}").view(dtype)
    logits = np.concatenate([np.array(edges, dtype), bits[np.isfinite(bits)]])[None]
    case = CASE.with_inputs(logits=logits, targets=np.array([0]))
    back = target.differentiate(case, {"loss": np.ones(1)})[1]["logits"]
    np.testing.assert_array_equal(back, logits, strict=True)
    assert np.signbit(back[0, 3])


def test_further_arguments_are_sent(tmp_path):
    """Fails when weights, scalars or keywords do not reach the program, or an absent argument does."""
    offer = {"outputs": ["loss", "weight_sum"], "arguments": list(OFFERED[WEIGHTED])}
    declared = DECLARED | {"functions": {WEIGHTED: offer}, "derivatives": ["logits", "targets", "weights", "z_loss"]}
    gradients = {"logits": [0] * 6, "weights": [1, 2], "z_loss": 3}
    end = f'answer |= {{"outputs": {{"loss": 1.5, "weight_sum": 2}}, "gradients": {gradients}}}'
    target = ExecTarget(program(tmp_path, end, declared=declared))
    case = make(WEIGHTED, "float32", ROW, TARGETS, weights=[0.5, np.inf], z_loss=0.1, smoothing="uniform")
    case = case.with_inputs(subtract_entropy=False, logit_softcap=None, label_smoothing=float("nan"))
    outputs, found = target.differentiate(case, {"loss": 1.0, "weight_sum": np.array(0.0)})
    assert outputs == {"loss": 1.5, "weight_sum": 2}
    assert {name: value.tolist() for name, value in found.items()} == gradients | {"logits": [[0] * 3] * 2}
    request = requests(tmp_path)[-1]
    assert {name: value for name, value in request["inputs"].items() if name not in ("logits", "targets")} == {
        "weights": [0.5, "Infinity"],
        "z_loss": 0.1,
        "smoothing": "uniform",
        "subtract_entropy": False,
        "label_smoothing": "NaN",
    }
    assert (request["cotangents"], request["by"]) == ({"loss": 1, "weight_sum": 0}, ["logits", "weights", "z_loss"])


def test_class_numbers_keep_64_bits(tmp_path):
    """Fails when a target of 2^32 + 1 or 2^63 - 1 becomes another class on the way (SHAPE-2)."""
    far = np.array([2**32 + 1, 2**63 - 1])
    ExecTarget(program(tmp_path)).values(CASE.with_inputs(targets=far))
    assert requests(tmp_path)[1]["inputs"]["targets"] == far.tolist()


@pytest.mark.parametrize("words", ["nan", "-nan", "NaN", "inf", "-inf", "Infinity", "-Infinity"])
def test_what_is_not_finite_may_be_written_as_languages_do(tmp_path, words):
    """Fails when a C, JavaScript or Python program must translate its own special values."""
    target = ExecTarget(program(tmp_path, f'answer["outputs"] = {{"loss": ["{words}", 1]}}'))
    np.testing.assert_array_equal(target.values(CASE)["loss"], [float(words), 1.0])


def test_bare_words_of_pythons_json_are_read(tmp_path):
    """Fails when a Python program's NaN, which json writes without quotes, is garbage."""
    target = ExecTarget(program(tmp_path, 'answer["outputs"] = {"loss": [math.nan, -math.inf]}'))
    np.testing.assert_array_equal(target.values(CASE)["loss"], [np.nan, -np.inf])


@pytest.mark.parametrize("value", ["null", "true", '"0.5"', '"1e5"', "[1]", "{}", "1" + "0" * 400])
def test_what_is_no_number_is_a_violation(tmp_path, value):
    """Fails when JavaScript's null counts as NaN or 0, or text as a number."""
    text = f'{{"id": 1, "outputs": {{"loss": [{value}, 1]}}}}'
    target = ExecTarget(program(tmp_path, f"print({text!r}, flush=True); continue"))
    with pytest.raises(Violation, match="loss must be numbers, "):
        target.values(CASE)


@pytest.mark.parametrize(("loss", "dtype"), [("[0.5, 0.25]", "float32"), ("[0.5, 0.1]", "float64")])
def test_numbers_tell_their_type(tmp_path, loss, dtype):
    """Fails when the suite itself rounds a loss that is no float32 number: SHAPE-3 would pass for free."""
    target = ExecTarget(program(tmp_path, f'answer["outputs"] = {{"loss": {loss}}}'))
    assert target.values(CASE)["loss"].dtype == dtype


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ('{"loss": [1, 2, 3]}', r"loss must have 2 numbers, for the shape \(2,\), got 3"),
        ('{"loss": []}', r"loss must have 2 numbers, for the shape \(2,\), got 0"),
        ('{"loss": 1}', r"loss must be a list, for the shape \(2,\), got one value"),
        ('{"los": [1, 2]}', r"outputs must be loss, got los$"),
        ('{"loss": [1, 2], "z_loss": [0, 0]}', r"outputs must be loss, got loss, z_loss"),
        ("{}", r"outputs must be loss, got none"),
        ("[1, 2]", r"outputs must be loss, got no such member"),
    ],
)
def test_other_outputs_are_violations(tmp_path, outputs, message):
    """Fails when an array of another shape is broadcast, cut or an error of the suite."""
    target = ExecTarget(program(tmp_path, f'answer["outputs"] = {outputs}'))
    with pytest.raises(Violation, match=message):
        target.values(CASE)
    with pytest.raises(Violation, match=message):
        target.differentiate(CASE, unit_cotangents(CASE))


def test_other_gradients_are_violations(tmp_path):
    """Fails when a missing derivative is unsupported although it was declared."""
    target = ExecTarget(program(tmp_path, 'answer["gradients"] = {}'))
    with pytest.raises(Violation, match=r"gradients must be logits, got none"):
        target.differentiate(CASE, unit_cotangents(CASE))


def test_a_total_is_one_number(tmp_path):
    """Fails when a list passes for a scalar."""
    functions = {WEIGHTED: {"outputs": ["loss"], "arguments": ["logits", "targets"]}}
    target = ExecTarget(program(tmp_path, declared=DECLARED | {"functions": functions}))
    with pytest.raises(Violation, match=r"loss must be one number, for the shape \(\), got a list"):
        target.values(make(WEIGHTED, "float32", ROW, TARGETS))


def test_an_error_is_a_violation_and_unsupported_is_not(tmp_path):
    """Fails when a program that refuses an input fails the check, or one that fails goes unnoticed."""
    target = ExecTarget(program(tmp_path, 'answer = {"id": 1, "error": "ValueError: no,\\n  no"}'))
    with pytest.raises(Violation, match=rf"{TOKEN} answered an error: ValueError: no, no; {TOKEN}\(logits="):
        target.values(CASE)
    target = ExecTarget(program(tmp_path, 'answer = {"id": 1, "unsupported": "too wide"}'))
    with pytest.raises(Unsupported, match=r"program\.py: too wide"):
        target.values(CASE)


def test_without_derivatives_there_are_no_gradients(tmp_path):
    """Fails when a program is asked for what it did not declare."""
    target = ExecTarget(program(tmp_path, declared=DECLARED | {"derivatives": []}))
    with pytest.raises(Unsupported, match="declares no derivatives"):
        target.differentiate(CASE, unit_cotangents(CASE))
    assert len(requests(tmp_path)) == 1


def test_what_is_too_large_is_unsupported(tmp_path):
    """Fails when a production shape is sent as gigabytes of text."""
    target = ExecTarget(program(tmp_path))
    with pytest.raises(Unsupported, match=f"{MOST_LOGITS} logits at most"):
        target.values(CASE.with_inputs(logits=np.zeros((2, MOST_LOGITS // 2 + 1), np.float32)))
    assert len(requests(tmp_path)) == 1
