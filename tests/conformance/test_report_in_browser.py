"""The pages in a real browser, headless Chromium; nothing is looked at where none is installed."""

import json
import re
import runpy
import shutil
import struct
import subprocess
import zlib
from html import escape, unescape
from pathlib import Path

import pytest

from lossproof.conformance import report

SAMPLES = runpy.run_path(str(Path(__file__).with_name("_documents.py")))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Runs headless Chromium with some options on a file, and returns what it prints."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]

    def run(path, *options):
        command = [program, *flags, *options, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return run


# A page around the page: scripts are forbidden inside, so it is looked at from outside, with everything unfolded.
AROUND = """<!DOCTYPE html><iframe id="inner" width="{width}" height="800" srcdoc="{page}"></iframe>
<pre id="seen"></pre>
<script>
onload = () => {{
  const page = document.getElementById("inner").contentDocument, root = page.documentElement;
  const paper = inner.contentWindow.getComputedStyle(page.body).backgroundColor;
  page.querySelectorAll("details").forEach(one => one.open = true);
  const heights = [...page.querySelectorAll("svg")].map(one => one.getBoundingClientRect().height);
  const h1 = page.querySelector("h1"), heading = h1.checkVisibility() && h1.innerText;
  const overflow = root.scrollWidth - root.clientWidth;
  document.getElementById("seen").textContent = JSON.stringify({{heading, overflow, paper, heights}});
}};</script>"""


@pytest.fixture
def look(browser, tmp_path):
    """What a browser makes of a page at some width."""

    def at(page, width, *options):
        around = tmp_path / "around.html"
        around.write_text(AROUND.format(width=width, page=escape(page)), encoding="utf-8")
        dumped = browser(around, "--window-size=1600,900", *options, "--dump-dom")
        return json.loads(unescape(re.findall('<pre id="seen">(.*?)</pre>', dumped)[-1]))

    return at


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("kind", ["failing", "hostile", "comparison"])
def test_page_fits_into_the_window(look, kind, width):
    """Fails when a reader must scroll sideways, the style sheet is refused, or a plot has no height."""
    page = report.compare_html([SAMPLES["conforming"](), SAMPLES["failing"]()]) if kind == "comparison" else None
    seen = look(page or report.html(SAMPLES[kind]()), width)
    assert seen["overflow"] == 0
    assert seen["paper"] == "rgb(255, 255, 255)"  # transparent without the style sheet
    assert all(height > 100 for height in seen["heights"])
    assert (len(seen["heights"]) > 5) == (kind != "comparison")


def test_page_is_dark_where_the_reader_wants_it(look):
    """Fails when the page is white in dark mode."""
    seen = look(report.html(SAMPLES["conforming"]()), 1000, "--blink-settings=preferredColorScheme=0")
    assert seen["paper"] == "rgb(13, 17, 23)"
    assert "lossproof conforms" in seen["heading"]


def test_page_is_rendered(browser, tmp_path):
    """Fails when a browser shows an empty page instead of the report."""
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(report.html(SAMPLES["failing"]()), encoding="utf-8")
    browser(page, "--window-size=1200,1600", f"--screenshot={picture}")
    size, lines = picture_lines(picture)
    assert size == (1200, 1600)
    assert len(set(lines)) > size[1] / 4  # an empty page has two or three kinds of lines
    assert "torch does not conform: 4 of 55 tested clauses broken" in browser(page, "--dump-dom")


def picture_lines(path):
    """The size of a PNG picture, and its lines of pixels as they are stored."""
    data, place, packed = path.read_bytes(), 8, b""
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        packed += data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    size = struct.unpack(">II", data[16:24])
    stored = zlib.decompress(packed)
    stride = len(stored) // size[1]
    return size, [stored[start : start + stride] for start in range(0, len(stored), stride)]
