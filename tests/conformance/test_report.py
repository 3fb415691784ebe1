"""The page of a result."""

import runpy
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lossproof.conformance import report
from lossproof.conformance.report.page import _plots
from lossproof.conformance.report.page.html import significant_bits
from lossproof.conformance.report.page.text import REPLACEMENT, number
from lossproof.conformance.report.page.view import SYMBOLS, findings, headline, leading, repeat_command

SAMPLES = runpy.run_path(str(Path(__file__).with_name("_documents.py")))
VOID_ELEMENTS = {"meta", "br", "link", "img", "hr", "input"}


@pytest.fixture(params=SAMPLES["KINDS"])
def document(request):
    """Each kind of result."""
    return SAMPLES[request.param]()


class Page(HTMLParser):
    """The elements of a page, its text, and whether its tags match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Notes an element, and that it is open."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Notes an element that closes itself."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """Fails when another element is open."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Notes text that is shown."""
        self.text += data if self.open[-1:] != ["style"] else ""

    def words(self):
        """The text, spaces joined."""
        return " ".join(self.text.split())

    def every(self, tag):
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("conforming", "lossproof conforms: all 82 clauses pass"),
        ("failing", "torch does not conform: 4 of 55 tested clauses broken"),
        ("no_verdict", "mine.py:loss: no verdict"),
        ("with_every_verdict", "mixed does not conform: 3 of 8 tested clauses broken"),
    ],
)
def test_headline_says_the_verdict(kind, line):
    """Fails when the first line of the page does not say what came of the run."""
    document = SAMPLES[kind]()
    assert headline(document) == line
    page = Page(report.html(document))
    assert line in page.words() and page.words().startswith(line)  # the title, and then the heading


def test_headline_never_says_more_than_the_run():
    """Fails when what is unsupported, expected or partly run reads like a plain "conforms"."""
    document = SAMPLES["conforming"]()
    document["clauses"][0]["verdict"] = "unsupported"
    assert headline(document) == "lossproof conforms in what it supports: 81 clauses pass, 1 unsupported"
    document["clauses"][1]["verdict"] = "expected-fail"
    assert headline(document) == "lossproof breaks 1 of 81 tested clauses, as expected"
    document["settings"] |= {"level": "smoke", "only": ["GRAD"]}
    words = Page(report.html(document)).words()
    assert "Level smoke is a quick look, no conformance result." in words
    assert "Only part of the suite was run: GRAD." in words
    assert "1 of 82 clauses" in words


def test_page_is_well_formed_and_reachable(document):
    """Fails when tags do not match, ids clash, or a link leads nowhere."""
    page = Page(report.html(document))
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = [attributes["href"][1:] for attributes in page.every("a") if attributes["href"].startswith("#")]
    assert inner and set(inner) <= set(ids)
    for attributes in page.every("th"):
        assert attributes.get("scope") in {"col", "row"}
    for attributes in page.every("svg"):
        assert set(attributes["aria-labelledby"].split()) <= set(ids) and attributes["role"] == "img"


def test_page_loads_nothing(document):
    """Fails when the page needs a network, or would let a browser use one."""
    text = report.html(document)
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image"}
    assert not [a for _, a in page.elements if {"src", "srcset", "style", "background", "action"} & set(a)]
    assert "@import" not in text and "url(" not in text
    policy = next(a["content"] for a in page.every("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_page_shows_foreign_text_as_text():
    """Fails when a target's message can put elements, links or scripts into the page."""
    text = report.html(SAMPLES["hostile"]())
    page = Page(text)
    assert "<script>alert(1)</script>" in page.text  # as text
    assert "{{ 7 * 7 }}" in page.text
    outside = {a["href"] for a in page.every("a") if not a["href"].startswith("#")}
    assert outside == {"https://example.org/7"}
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    text.encode("utf-8")
    assert REPLACEMENT in text and "\0" not in text and "\x1b" not in text


def test_page_shows_what_is_broken_with_its_input_and_its_command():
    """Fails when a reader cannot repeat a failure from the page alone."""
    page = Page(report.html(SAMPLES["failing"]()))
    words = page.words()
    for said in (
        "ACC-1 (confident tokens)",
        "loss[0] is 0.0, exactly 4.1223072448771157e-09: 1.28e+07 times the allowed error, 3.2e-16",
        "the input token_cross_entropy(logits=float32[1, 3](0x1.4p+4, 0x0p+0, 0x0p+0), targets=int32[1](0))",
        "to see it again lossproof check torch --level standard --seed 0 --only 'acc.confident_tokens[token-float32]'",
        "fails in float32, bfloat16, passes in float64",
        "✗ error SHAPE-4 (empty batch)",
        "killed by SIGSEGV",
    ):
        assert said in words, said


def test_page_shows_the_numbers_of_a_failure_in_decimal_and_in_bits():
    """Fails when a reader must convert the input of a failure by hand, or cannot look up its golden vector."""
    document = SAMPLES["failing"]()
    for unit in document["units"]:
        if unit["verdict"] == "fail":
            unit |= {"calls": SAMPLES["calls_of"]("token_cross_entropy"), "golden": "7adc781ef04032a1"}
    report.validate(document)
    words = Page(report.html(document)).words()
    assert (
        "logits float32[1, 3] = 0.100000001, 2, -inf exactly 0x1.99999ap-4, 0x1p+1, -inf targets int32[1] = 0" in words
    )
    assert "lossproof golden show 7adc781ef04032a1" in words
    assert "exactly 0x1.99999ap-4, 0x1p+1, -inf" in report.junit(document)


def test_page_says_what_was_not_run():
    """Fails when what a run left out looks as if it had passed, or been broken."""
    document = SAMPLES["with_every_verdict"]()
    words = Page(report.html(document)).words()
    assert "1 clause not run, or not in whole, because the run ended before." in words and "○ not run" in words


def test_findings_are_one_for_each_check_and_function():
    """Fails when one defect fills the page once for each dtype, or a defect is left out."""
    document = SAMPLES["failing"]()
    found = findings(document, ("fail", "error"))
    assert [finding.clauses for finding in found] == [("SHAPE-1",), ("SHAPE-4",), ("STATE-1",), ("ACC-1",)]
    assert [finding.unit.rpartition("-")[2] for finding in found] == ["float32]"] * 4
    assert [finding.blamed for finding in found] == [False, False, True, True]
    assert "; token_cross_entropy" not in found[-1].message
    assert [finding.given.partition("(")[0] for finding in found] == ["", "", *["token_cross_entropy"] * 2]


def test_a_failure_without_an_input_of_its_own_shows_the_one_with_the_largest_error():
    """Fails when the page blames an input that the failure did not happen on, or shows none."""
    document = SAMPLES["failing"]()
    unit = next(unit for unit in document["units"] if unit["id"] == "shape.shapes[token-float32]")
    unit["worst"] = "loss: token_cross_entropy(logits=float32[1, 1](0x0p+0))"
    (finding, *_) = findings(document, ("fail",))
    assert (finding.given, finding.blamed) == (unit["worst"], False)
    assert "the input with the largest error in this unit loss: token" in Page(report.html(document)).words()


def test_the_first_failure_of_each_clause_is_open_and_the_others_are_there():
    """Fails when a clause that many units break hides the others, or one of its failures is not in the page at all."""
    document = SAMPLES["failing"]()
    again = SAMPLES["unit"]("ACC-1", "dense", "float32", "fail", "also dense")
    document["units"] = [again, *document["units"]]
    first, others = leading(findings(document, ("fail", "error")))
    assert [finding.clauses for finding in first] == [("ACC-1",), ("SHAPE-1",), ("SHAPE-4",), ("STATE-1",)]
    assert [finding.unit for finding in others] == ["acc.confident_tokens[token-float32]"]
    assert "1 more failure of the same clauses" in Page(report.html(document)).words()


@pytest.mark.parametrize(
    ("command", "repeated"),
    [
        ("lossproof check torch --seed 0", "lossproof check torch --seed 0 --only 'a[b-c]'"),
        ("lossproof check torch --dtypes float32 --fail-fast", "lossproof check torch --only 'a[b-c]'"),
        ("lossproof check --only GRAD 'my file.py:f' --only X", "lossproof check 'my file.py:f' --only 'a[b-c]'"),
    ],
)
def test_the_command_that_repeats_a_unit_is_the_runs_own(command, repeated):
    """Fails when the command in a report runs another unit, or more than one."""
    assert repeat_command({"settings": {"command": command}}, "a[b-c]") == repeated


def test_every_verdict_has_a_symbol_and_is_shown():
    """Fails when a verdict is told by colour alone, or breaks the page."""
    document = SAMPLES["with_every_verdict"]()
    words = Page(report.html(document)).words()
    assert {one["verdict"] for one in document["units"] + document["clauses"]} == set(SYMBOLS)
    for verdict, symbol in SYMBOLS.items():
        assert f"{symbol} {verdict}" in words


def test_a_page_with_nothing_measured_leaves_those_parts_out():
    """Fails when an empty survey, no grades or an empty histogram is an error or an empty plot."""
    document = SAMPLES["conforming"]()
    document["survey"], document["grades"] = [], []
    for used in document["utilisation"].values():
        used |= {"histogram": [], "quantiles": {}}
    report.validate(document)
    page = Page(report.html(document))
    assert page.every("svg") == []
    assert "How accurate" not in page.words() and "Errors by input" not in page.words()


def test_what_is_infinite_is_drawn_and_said():
    """Fails when a null of the document vanishes from the plots and tables: it is the worst there is."""
    text = report.html(SAMPLES["failing"]())
    assert "float32 inf ulp at 80" in text  # the description of a plot
    assert '<td class="h5">inf <span class="small">inf<span class="unit"> ulp</span></span></td>' in text
    plot = _plots.line_plot("p", "t", "x", [_plots.Line("float32", [(1.0, None), (2.0, 0.0), (3.0, 1e7)])])
    assert ">inf</text>" in plot and ">0</text>" in plot
    (line,) = [element.get("points") for element in ET.fromstring(plot).iter("polyline")]  # noqa: S314  our own
    infinite, exact, large = (float(point.split(",")[1]) for point in line.split())
    assert infinite < large < exact  # from the top
    bars = _plots.histogram("h", "t", [(0, 0, 5), (0.5, 1.0, 3), (64.0, 90.5, 2), (None, None, 4)])
    assert "too large: 6" in bars and "beyond any bound: 4" in bars and "no error at all: 5" in bars


@pytest.mark.parametrize(
    "bins", [[(0, 0, 5)], [(None, None, 5)], [(1.0, None, 5)], [(0, 0.5, 1)], [(0.5, 1, 0)], [(1e-300, 1e300, 1)]]
)
def test_a_histogram_of_odd_bins_is_drawn(bins):
    """Fails when a run whose arrays all fall into one bin has no page."""
    root = ET.fromstring(_plots.histogram("h", "t", bins))  # noqa: S314  our own
    sizes = [float(rect.get(name)) for rect in root.iter("rect") for name in ("x", "y", "width", "height")]
    assert all(0 <= size <= 440 for size in sizes)


def test_a_plot_of_one_point_is_drawn():
    """Fails when a survey with one point divides by the distance to the next."""
    assert "polyline" in _plots.line_plot("p", "t", "x", [_plots.Line("float32", [(0.0, 0.0)])])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "inf"),
        (0, "0"),
        (0.4, "0.4"),
        (1.28e7, "1.3e7"),
        (1e-30, "1e-30"),
        (4096.0, "4.1e3"),
        (12.74, "13"),
        (257.0, "257"),
    ],
)
def test_numbers_are_short(value, text):
    """Fails when a table shows digits that mean nothing, or hides an infinite number."""
    assert number(value) == text


def test_roundoff_is_told_in_bits():
    """Fails when the page names a wrong precision."""
    assert [significant_bits(2.0**-24), significant_bits(2.0**-8)] == [24, 8]
