"""The defects that docs/scoreboard.md shows are there, in the versions that are installed."""

import doctest
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scoreboard.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("library", [name for name, text in SECTIONS.items() if ">>>" in text])
def test_what_is_shown_is_printed(library):
    """Fails when an example was not run, or the library has been mended: then the page has to be, too."""
    pytest.importorskip(library)
    test = doctest.DocTestParser().get_doctest(SECTIONS[library], {}, library, None, 0)
    report = []
    outcome = doctest.DocTestRunner().run(test, out=report.append)
    assert outcome.failed == 0, "".join(report)
    assert outcome.attempted >= 3
