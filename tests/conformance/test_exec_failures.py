"""Programs that fail: each gets a message that helps, and none takes another's verdict or outlives its run."""

import contextlib
import gc
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lossproof.conformance.judging.draw import unit_cotangents
from lossproof.conformance.suite.units import all_units, run_unit
from lossproof.conformance.targets import TargetError
from lossproof.conformance.targets.programs import program as lines
from lossproof.conformance.targets.programs.exec import ExecTarget
from lossproof.conformance.targets.programs.program import ProgramError, ProgramHangsError
from lossproof.spec import TOKEN

from ._programs import CASE, DECLARED, program, requests

WRITE_PID = "open(__file__ + '.pid', 'w').write(str(os.getpid()))"


def pid(folder):
    """Of the program, by its own account."""
    return int((folder / "program.py.pid").read_text("ascii"))


def is_running(process):
    """Whether a process is there, and no zombie that waits to be fetched."""
    ps = shutil.which("ps")
    assert ps is not None
    words = [ps, "-o", "stat=", "-p", str(process)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip().strip("Z") != ""


def wait_for_end(process):
    """Gives the system a while to end a process that is no child of ours."""
    ends = time.monotonic() + 30
    while is_running(process) and time.monotonic() < ends:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("./no-such-program", "exec:./no-such-program cannot be started: No such file or directory"),
        (__file__, "cannot be started: Permission denied"),
        (str(Path(__file__).parent), "cannot be started: Permission denied"),
        ("", "the command is empty"),
        ("'half", "cannot be read: No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused(command, message):
    """Fails when a misspelt program is a traceback, or a verdict on a loss."""
    with pytest.raises(TargetError, match=re.escape(message)):
        ExecTarget(command)


@pytest.mark.parametrize(
    ("hello", "message"),
    [
        ("answer['protocol'] = 2", r"answered hello with the protocol 2, but this suite speaks 1"),
        ("del answer['protocol']", r"answered hello with the protocol None"),
        ("del answer['dtypes']", r".* wrong at \$: 'dtypes' is a required property"),
        ("answer['dtypes'] = ['float23']", r".* wrong at \$\.dtypes\[0\]: 'float23' is not one of"),
        ("answer['functions'] = {}", r".* wrong at \$\.functions: "),
        ("answer['functions'] = {'loss': {}}", r".* wrong at \$\.functions: .*'loss' was unexpected"),
        (f"answer['functions']['{TOKEN}']['arguments'] = ['logits']", r".* wrong at \S*\.arguments: .*contain"),
        (f"answer['functions']['{TOKEN}']['outputs'] = ['lse']", r".* wrong at \S*\.outputs\[0\]: 'lse' is not one"),
        ("answer['derivative'] = ['logits']", r".*'derivative' was unexpected"),
        ("answer['derivatives'] = ['loss']", r".* wrong at \$\.derivatives\[0\]: 'loss' is not one of"),
        ("answer['convention'] = 'uniformly'", r"answered hello with an unknown convention 'uniformly'"),
        ("answer = [1]", r"wrote '\[1\]', which is no JSON object: stdout is for answers, write logs to stderr"),
        ("print('loading the model')", r"wrote more than one line|wrote 'loading the model', which is no JSON object"),
        ("sys.exit(3)", r"ended with exit status 3 instead of answering"),
        ("raise RuntimeError('no\\ndevice')", r"ended with exit status 1 .*; the last line on its stderr: device"),
    ],
)
def test_a_bad_hello_is_refused(tmp_path, hello, message):
    """Fails when a program that does not speak the protocol gets verdicts, or a message that does not help."""
    with pytest.raises(TargetError, match=rf"^exec:.*program\.py ({message})") as raised:
        ExecTarget(program(tmp_path, hello=hello))
    assert len(str(raised.value).splitlines()) == 1


def test_a_hello_that_never_comes_is_refused(tmp_path):
    """Fails when the command line waits for ever."""
    with pytest.raises(TargetError, match=r"did not answer within 0\.6 s"):
        ExecTarget(program(tmp_path, hello="time.sleep(600)"), seconds=0.2)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("print('epoch 1', flush=True); time.sleep(600)", r"wrote 'epoch 1', which is no JSON object: stdout is for "),
        ("print('epoch 1')", r"wrote (more than one line for one request|'epoch 1', which is no JSON object)"),
        ("print(json.dumps(answer))", r"wrote more than one line for one request: "),
        ("print(flush=True); time.sleep(600)", r"wrote '', which is no JSON object"),
        ("print('[' * 100000, flush=True); time.sleep(600)", r"wrote '\[+', which is no JSON object"),
        ("os.write(1, b'\\xff\\n'); time.sleep(600)", r"wrote '�', which is no JSON object"),
        ("answer['id'] += 1", r"gave its answer the id 2, expected 1"),
        ("del answer['id']", r"gave its answer the id None, expected 1"),
        ("sys.exit(4)", r"ended with exit status 4 instead of answering"),
        ("print('bad kernel', file=sys.stderr); os._exit(7)", r"ended .* status 7 .*on its stderr: bad kernel"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"was killed by SIGSEGV instead of answering"),
        ("os.close(1); time.sleep(600)", r"closed its stdout instead of answering"),
        ("os.write(1, b'{\"id\": 1'); os._exit(0)", r"ended with exit status 0 instead of answering"),
    ],
)
def test_a_failure_is_explained_and_the_next_request_starts_anew(tmp_path, end, message):
    """Fails when one crash or log line takes the other units' verdicts with it, or is not explained."""
    body = end.replace("; ", "\n            ")
    target = ExecTarget(program(tmp_path, f"if starts == 1:\n            {body}"))
    with pytest.raises(ProgramError, match=rf"^exec:.*program\.py {message}.*; {TOKEN}\(logits=") as raised:
        target.values(CASE)
    assert len(str(raised.value).splitlines()) == 1
    assert target.values(CASE)["loss"].tolist() == [1, 1]


def test_a_program_that_hangs_is_killed(tmp_path):
    """Fails when a hang is the end of the run; its kind tells that asking again would take as long."""
    target = ExecTarget(program(tmp_path, f"if starts == 1: {WRITE_PID}; time.sleep(600)"), seconds=0.5)
    with pytest.raises(ProgramHangsError, match=r"did not answer within 0\.5 s"):
        target.values(CASE)
    assert not is_running(pid(tmp_path))
    assert target.values(CASE)["loss"].shape == (2,)


def test_a_program_that_does_not_read_is_killed(tmp_path):
    """Fails when a request larger than a pipe holds waits for ever."""
    path = tmp_path / "deaf.py"
    path.write_text(f"import time\ninput()\nprint({json.dumps(DECLARED)!r}, flush=True)\ntime.sleep(600)", "utf-8")
    target = ExecTarget(shlex.join([sys.executable, "-S", "-E", str(path)]), seconds=0.5)
    with pytest.raises(ProgramHangsError):
        target.values(CASE.with_inputs(logits=np.ones((2, 50000), np.float32)))


def test_a_line_without_end_is_cut_off(tmp_path, monkeypatch):
    """Fails when a program that writes for ever takes all memory."""
    monkeypatch.setattr(lines, "LONGEST", 2**20)
    target = ExecTarget(program(tmp_path, "while True: os.write(1, b'1' * 65536)"))
    with pytest.raises(ProgramError, match="wrote an answer of more than 1048576 bytes"):
        target.values(CASE)


def test_a_large_answer_is_read(tmp_path):
    """Fails when an answer longer than a pipe holds is cut, or waits for ever beside a full stderr."""
    wide = CASE.with_inputs(logits=np.full((2, 50000), 1 / 3, np.float32))
    target = ExecTarget(program(tmp_path, "os.write(2, b'x' * 300000)"))
    for _ in range(2):
        _, gradients = target.differentiate(wide, unit_cotangents(wide))
        assert gradients["logits"].shape == (2, 50000)


def test_a_program_without_stderr_is_no_failure(tmp_path):
    """Fails when a closed stderr counts as the end of the program."""
    target = ExecTarget(program(tmp_path, hello="os.close(2)"))
    assert target.values(CASE)["loss"].shape == target.values(CASE)["loss"].shape == (2,)


def test_a_program_that_declares_something_else_after_a_restart_is_refused(tmp_path):
    """Fails when a program changes what it is in the middle of a run."""
    target = ExecTarget(program(tmp_path, "sys.exit(1)", hello="answer['name'] = str(starts)"))
    with pytest.raises(ProgramError, match="exit status 1"):
        target.values(CASE)
    with pytest.raises(ProgramError, match="declares something else than when it was first started"):
        target.values(CASE)


def test_an_interrupt_leaves_no_answer_behind(tmp_path, monkeypatch):
    """Fails when the answer to an interrupted request is taken for that to the next."""
    target = ExecTarget(program(tmp_path, "if starts == 1: answer['outputs'] = {'loss': [5, 5]}"))

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lossproof.conformance.targets.programs.exec.read_answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            target.values(CASE)
    assert target.values(CASE)["loss"].tolist() == [1, 1]


def test_the_program_ends_with_its_target(tmp_path):
    """Fails when a run leaves processes, open files or zombies behind."""
    target = ExecTarget(program(tmp_path, hello=WRITE_PID))
    assert target.values(CASE)
    assert is_running(pid(tmp_path))
    del target
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid(tmp_path), 0)
    assert len(requests(tmp_path)) == 2


def test_what_the_program_started_ends_with_it(tmp_path):
    """Fails when a wrapper's child, here one that does not read its stdin, outlives the run."""
    path = tmp_path / "wrapper.sh"
    path.write_text(f"sleep 600 & echo $! > {path}.pid\nread line\necho '{json.dumps(DECLARED)}'\nread line\n", "utf-8")
    target = ExecTarget(f"/bin/sh {path}")
    child = int(Path(f"{path}.pid").read_text("ascii"))
    assert is_running(child)
    target.close()
    wait_for_end(child)
    assert not is_running(child)


def test_the_program_ends_with_its_process(tmp_path):
    """Fails when a process that is killed leaves the program running."""
    script = f"""if True:
        import os, signal
        from lossproof.conformance.targets.programs.exec import ExecTarget
        target = ExecTarget({program(tmp_path, hello=WRITE_PID)!r})
        os.kill(os.getpid(), signal.SIGKILL)"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    wait_for_end(pid(tmp_path))
    assert not is_running(pid(tmp_path))


def test_a_crash_leaves_the_other_units_their_verdicts(tmp_path):
    """Fails when a program that dies of one kind of request loses a whole run."""
    right = """V = request["shape"][-1]
        rows = [inputs["logits"][i : i + V] for i in range(0, len(inputs["logits"]), V)]
        log_z = [max(row) + math.log(sum(math.exp(x - max(row)) for x in row)) for row in rows]
        answer["outputs"]["loss"] = [z - row[t] for z, row, t in zip(log_z, rows, inputs["targets"])]"""
    target = ExecTarget(program(tmp_path, f"{right}\n        if request['op'] == 'gradients': sys.exit(9)"))
    units = {unit.id: unit for unit in all_units()}
    with contextlib.closing(target):
        crashed = run_unit(units["gradients.logits[token-float32]"], target, "smoke", 0)
        judged = run_unit(units["values.hard_targets[token-float32]"], target, "smoke", 0)
    assert crashed.verdict in ("fail", "error")
    assert "ended with exit status 9" in crashed.message
    assert "logits=float32" in crashed.message
    assert (judged.verdict, judged.message) == ("pass", "")
