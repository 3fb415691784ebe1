"""A result as JUnit XML."""

import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lossproof.conformance import report
from lossproof.conformance.report.page.text import REPLACEMENT, clean

SAMPLES = runpy.run_path(str(Path(__file__).with_name("_documents.py")))


@pytest.fixture(params=SAMPLES["KINDS"])
def document(request):
    """Each kind of result."""
    return SAMPLES[request.param]()


def test_junit_has_a_case_for_each_unit(document):
    """Fails when a server that shows the run counts other units, or other failures, than there are."""
    root = ET.fromstring(report.junit(document))  # noqa: S314  our own
    suite = root.find("testsuite")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [clean(unit["id"]) for unit in document["units"]]
    assert int(suite.get("tests")) == len(document["units"])
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.get(attribute)) == len(suite.findall(f"testcase/{kind}"))
        assert root.get(attribute) == suite.get(attribute)


def test_junit_says_what_came_of_each_unit():
    """Fails when a breach is counted as skipped or passed, or the suite's own failure as a failure of the target."""
    document = SAMPLES["with_every_verdict"]()
    root = ET.fromstring(report.junit(document))  # noqa: S314  our own
    kinds = [[child.tag for child in case] for case in root.iter("testcase")]
    expected = {
        "pass": [],
        "fail": ["failure"],
        "unexpected-pass": ["failure"],
        "error": ["error"],
        "void": ["error"],
        "internal": ["error"],
        "expected-fail": ["skipped"],
        "unsupported": ["skipped"],
        "not run": ["skipped"],
        "not applicable": ["skipped"],
    }
    assert kinds == [expected[unit["verdict"]] for unit in document["units"]]
    case = next(case for case in root.iter("testcase") if case.find("failure") is not None)
    assert case.get("classname") == "shape.input_types"
    assert case.find("failure").get("message") == "fail: it is fail"
    assert "--only 'shape.input_types[token-float32]'" in case.find("failure").text
    assert [case.get("time") for case in root.iter("testcase")][:2] == ["0.000", "0.250"]


def test_junit_replaces_what_xml_forbids():
    """Fails when a control character in a target's message makes the file unreadable."""
    text = report.junit(SAMPLES["hostile"]())
    root = ET.fromstring(text.encode("utf-8"))  # noqa: S314  our own
    message = next(root.iter("failure")).get("message")
    assert "<script>alert(1)</script>" in message and REPLACEMENT in message
