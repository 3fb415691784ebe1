"""The folder of a report: finished units are kept, an interrupted run goes on, the files are whole."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lossproof.conformance import Request
from lossproof.conformance.command._output import Output, OutputError
from lossproof.conformance.command._plan import Plan
from lossproof.conformance.judging.result import INTERNAL, PASS, Result
from lossproof.conformance.report import read
from lossproof.conformance.running.journal import Journal
from lossproof.conformance.targets.identity import identity

from .conftest import LOSS

RUN = {"target": "mine", "seed": 0}
VOLATILE = "environment"
CHECKS = ("values.hard_targets", "values.log_z", "values.z_loss", "gradients.logits", "excluded.target_out_of_range")


def result(name, verdict=PASS):
    return Result(name, ("VALUE-1",), verdict, cases=3, values=0.25, histogram={"values": {"-4": 3}}, seconds=0.5)


def left(path, run=RUN):
    journal = Journal(path, run)
    journal.close()
    return journal.results


def test_a_journal_gives_back_what_was_added(tmp_path):
    """Fails when a result is lost, or comes back as another one."""
    path = tmp_path / "units.jsonl"
    journal = Journal(path, RUN)
    for name in ("a", "b"):
        journal.add(result(name))
    assert left(path) == {name: result(name) for name in ("a", "b")}  # without closing: as after a kill
    journal.close()


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_was_cut_off_is_no_result(tmp_path, cut):
    """Fails when a run that was killed while it wrote cannot go on, or takes half a result."""
    path = tmp_path / "units.jsonl"
    journal = Journal(path, RUN)
    journal.add(result("a"))
    journal.add(result("b"))
    journal.close()
    path.write_bytes(path.read_bytes()[:-cut])
    assert set(left(path)) == ({"a"} if cut > 1 else {"a", "b"})  # without its last newline the line is whole
    journal = Journal(path, RUN)
    journal.add(result("c"))
    journal.close()
    assert "c" in left(path)


@pytest.mark.parametrize("run", [RUN | {"seed": 1}, RUN | {"target": "other"}])
def test_results_of_another_run_are_not_taken(tmp_path, run):
    """Fails when another seed's, target's or version's results are counted."""
    path = tmp_path / "units.jsonl"
    journal = Journal(path, RUN)
    journal.add(result("a"))
    journal.close()
    assert left(path, run) == {}


def test_what_the_suite_failed_in_is_run_again(tmp_path):
    """Fails when an internal error outlives its cause."""
    path = tmp_path / "units.jsonl"
    journal = Journal(path, RUN)
    journal.add(result("a", INTERNAL))
    journal.close()
    assert left(path) == {}


def test_a_narrower_run_leaves_what_an_interrupted_one_had(tmp_path, check):
    """Fails when looking at one unit costs the results of hours."""
    quick, other = "shapes.mismatch[token-float32]", "values.one_value[token-float32]"
    request = Request("lossproof", level="smoke", only=(quick, other))
    with Plan.made(request, None, tmp_path).output as interrupted:
        interrupted.keep(result(other))
    assert check("lossproof", "--report", str(tmp_path), only=[quick]).exit_code == 0
    with Plan.made(request, None, tmp_path).output as again:
        assert again.finished == {other: result(other)}


def test_a_folder_that_cannot_be_written_to_is_found_out_first(tmp_path, check):
    """Fails when an hour's run ends with "permission denied"."""
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(OutputError, match="cannot write to the report folder"):
        Output(tmp_path / "file" / "report", RUN, ())
    answer = check("lossproof", "--report", str(tmp_path / "file"), only=["values.log_z[token-float32]"])
    assert answer.exit_code == 2, answer.output
    assert answer.stderr.startswith("lossproof: cannot write to the report folder")


def test_the_files_of_a_run(tmp_path, check):
    """Fails when a report lacks a file, or leaves what only the run needed."""
    folder = tmp_path / "deep" / "report"
    answer = check("lossproof", "--report", str(folder), only=["values.log_z[token-float32]"])
    assert answer.exit_code == 0, answer.output
    assert {path.name for path in folder.iterdir()} == {"result.json", "junit.xml", "report.html"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert read(folder / "result.json")["verdict"]["word"] == "conforms"  # it fits the schema


def test_what_a_target_imports_makes_another_run(tmp_path, loss_file):
    """Fails when results from before a change of a module that the target imports are kept."""
    (tmp_path / "helper").mkdir()
    target = loss_file("good", f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport helper.maths\n{LOSS}")
    seen = []
    for text in ("x = 1", "x = 2"):
        (tmp_path / "helper" / "maths.py").write_text(text, "utf-8")
        request = Request(target, level="smoke", only=("values.hard_targets[token-float32]",))
        with Plan.made(request, None, tmp_path / "report").output as output:
            seen.append(dict(output.finished))
            output.keep(result("values.hard_targets[token-float32]"))
    with Plan.made(request, None, tmp_path / "report").output as again:
        assert set(again.finished) == {"values.hard_targets[token-float32]"}
    assert seen == [{}, {}]


def test_what_belongs_to_a_target_is_told_from_what_is_installed(tmp_path, loss_file):
    """Fails when the hash of a target takes in libraries, or misses a file of its own."""
    (tmp_path / "helper").mkdir()
    for name in ("__init__", "maths"):
        (tmp_path / "helper" / f"{name}.py").write_text("", "utf-8")
    target = loss_file("good", f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport helper.maths, wave\n{LOSS}")
    sources = identity(target, "")["target"]["sources"]
    assert set(sources) == {"mine.py", "helper/__init__.py", "helper/maths.py"}
    assert identity("lossproof", "")["target"]["sources"] == {}


def steady(path):
    """The result without what may differ between two runs."""
    document = json.loads(path.read_text("utf-8"))
    document.pop(VOLATILE)
    return json.dumps(document)


@pytest.mark.thorough
def test_an_interrupted_run_goes_on_and_gives_the_same_result(tmp_path):
    """Fails when a killed run loses what it had, counts it twice, or ends with another result."""
    words = [sys.executable, "-m", "lossproof", "check", "--level", "smoke", "-n", "1"]
    words += [word for name in CHECKS for word in ("--only", f"{name}[token-float32]")]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*words, "--report", whole], check=True, capture_output=True)
    process = subprocess.Popen(
        [*words, "--report", broken], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    while process.poll() is None:
        journals = list(broken.glob("units-*.jsonl"))
        if journals and journals[0].read_bytes().count(b"\n") > 2:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (journal,) = broken.glob("units-*.jsonl")  # none: the run was over before it could be killed
    kept = journal.read_bytes().count(b"\n") - 1
    again = subprocess.run([*words, "--report", broken], check=True, capture_output=True, text=True)
    assert f"{kept} kept from before" in again.stderr
    assert steady(broken / "result.json") == steady(whole / "result.json")
    assert not journal.exists()
