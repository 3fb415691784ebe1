"""Results side by side, and the command `compare`."""

import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from lossproof.conformance import report
from lossproof.conformance.command._compare import compare_command

SAMPLES = runpy.run_path(str(Path(__file__).with_name("_documents.py")))


def shown(*documents):
    """What a wide terminal shows, spaces joined, line by line."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(report.compare(documents))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


@pytest.fixture
def write(tmp_path):
    """Writes a document, or the text given, and returns the file's name."""

    def to_file(name, document):
        path = tmp_path / name
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return str(path)

    return to_file


def compare(*arguments):
    return CliRunner().invoke(compare_command, arguments)


def test_targets_are_side_by_side():
    """Fails when a number or a verdict stands under the wrong target."""
    lines = shown(SAMPLES["conforming"](), SAMPLES["failing"]())
    for line in (
        "lossproof torch",
        "verdict conforms does not conform",
        "clauses passed 82 51",
        "clauses broken 0 4",
        "passed in part 0 0",
        "unsupported 0 27",
        "worst value 0.4 inf",
        "worst gradient 0.2 0.2",
        "token_cross_entropy bfloat16 A / A none / none",
        "compute_weighted_cross_entropy float32 A / A",
        "STATE-1 -inf is probability 0 ✓ pass ✗ fail",
        "SHAPE-4 empty batch ✓ pass ✗ error",
        "78 more clauses are passed, in part or in whole, or unsupported",
    ):
        assert line in lines, line
    assert not any(line.startswith("note:") for line in lines)


def test_verdicts_of_many_targets_stay_whole():
    """Fails when a narrow terminal cuts "unsupported" in two."""
    without = SAMPLES["conforming"]()
    for clause in without["clauses"]:
        clause["verdict"] = "unsupported"
    console = Console(width=110, soft_wrap=True)
    with console.capture() as captured:
        console.print(report.compare([SAMPLES["failing"](), *[without] * 5]))
    rows = [line for line in captured.get().splitlines() if line.startswith("STATE-1 ")]
    assert [row.count("– unsupported") for row in rows] == [5]


def test_all_is_said_when_nothing_is_broken():
    """Fails when targets without a breach leave an empty table."""
    lines = shown(SAMPLES["conforming"](), SAMPLES["conforming"]("mine"))
    assert lines[-1] == "82 clauses are all passed, in part or in whole, or unsupported"


def test_what_passes_in_part_is_counted():
    """Fails when a clause of which a part was compared looks as if it had passed, or not been supported."""
    partial = SAMPLES["conforming"]("partial")
    partial["clauses"][0]["verdict"] = "in part"
    lines = shown(SAMPLES["conforming"](), partial)
    assert "clauses passed 82 81" in lines and "passed in part 0 1" in lines
    assert 'class="verdict v-in"' in report.compare_html([partial, partial])


def test_equal_names_are_told_apart():
    """Fails when two results of one target look like one."""
    assert shown(SAMPLES["conforming"](), SAMPLES["conforming"]())[0] == "lossproof (1) lossproof (2)"


def test_results_that_were_not_run_alike_are_called_so():
    """Fails when a quick look is put beside a full search without a word."""
    quick = SAMPLES["conforming"]("quick")
    quick["settings"] |= {"level": "smoke", "only": ["GRAD"]}
    lines = shown(SAMPLES["conforming"](), quick)
    assert "note: the results have different levels: standard, smoke" in lines
    assert "note: 1 result of only part of the suite" in lines
    page = report.compare_html([SAMPLES["conforming"](), quick])
    assert "the results have different levels: standard, smoke" in page


def test_clauses_of_all_targets_are_listed_in_the_specifications_order():
    """Fails when a clause that applies to one target alone is left out, or shown as if it applied to all."""
    one, other = SAMPLES["failing"](), SAMPLES["failing"]("other")
    one["clauses"] = [clause for clause in one["clauses"] if clause["id"] != "SHAPE-1"]
    lines = shown(one, other)
    rows = [line.split()[0] for line in lines if line.startswith(("SHAPE-", "STATE-", "ACC-"))]
    assert rows == ["SHAPE-1", "SHAPE-4", "STATE-1", "ACC-1"]
    assert "SHAPE-1 shapes ✗ fail" in lines


def test_foreign_text_is_shown_as_text():
    """Fails when a target's name or message is taken for markup, in a terminal or in a page."""
    hostile = SAMPLES["hostile"]()
    hostile["target"]["name"] = "[bold]x[/bold]<b>\x1b[31m"
    assert "[bold]x[/bold]<b>" in " ".join(shown(hostile))
    assert "\x1b[31m" not in " ".join(shown(hostile))
    page = report.compare_html([hostile])
    assert "<script>" not in page and "[bold]x[/bold]&lt;b&gt;" in page


def test_command_prints_and_writes_a_page(write, tmp_path):
    """Fails when `lossproof compare` does not do what its help says."""
    files = [write("a.json", SAMPLES["conforming"]()), write("b.json", SAMPLES["failing"]())]
    page = tmp_path / "page.html"
    answer = compare(*files, "--html", str(page))
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert "does not conform" in answer.stdout
    text = page.read_text(encoding="utf-8")
    assert text.count("does not conform") == 1 and "Content-Security-Policy" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "is not JSON"),
        ('{"format": NaN}', "is not JSON: NaN is no JSON number"),
        ("[" * 100000, "is not JSON"),
        ('{"format": "lossproof-result-9"}', "$.format: expected 'lossproof-result-1', got 'lossproof-result-9'"),
        ('{"format": "lossproof-result-1"}', "is a required property"),
        ("[]", "no result of this version"),
    ],
)
def test_a_bad_file_is_one_line(write, tmp_path, content, said):
    """Fails when a file that is no result is a traceback, or compared all the same."""
    good = write("good.json", SAMPLES["conforming"]())
    bad = str(tmp_path / "bad.json") if content is None else write("bad.json", content)
    refused(compare(good, bad), "bad.json", said)


def test_a_file_in_another_encoding_is_one_line(tmp_path):
    """Fails when bytes that are no text are a traceback."""
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe{")
    refused(compare(str(tmp_path / "bad.json")), "is not JSON")


def test_a_folder_stands_for_the_result_in_it(write, tmp_path):
    """Fails when the folder of a report must be spelled out to its file, or one without a result is a traceback."""
    refused(compare(str(tmp_path)), "result.json cannot be read: No such file or directory")
    write("result.json", SAMPLES["conforming"]())
    assert compare(str(tmp_path)).exit_code == 0


def test_a_page_that_cannot_be_written_is_one_line(write, tmp_path):
    """Fails when an output that cannot be written is a traceback."""
    good = write("good.json", SAMPLES["conforming"]())
    refused(compare(good, "--html", str(tmp_path / "no" / "page.html")), "page.html cannot be written")


def test_no_file_is_a_usage_error():
    """Fails when nothing to compare is answered with an empty table."""
    assert compare().exit_code == 2


def refused(answer, *words):
    """Asserts exit code 2, nothing on standard output and one line on the other."""
    assert (answer.exit_code, answer.stdout) == (2, ""), answer.output
    (line,) = answer.stderr.splitlines()
    assert line.startswith("lossproof: ")
    assert [word for word in words if word not in line] == []
