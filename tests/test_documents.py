"""The documents as pages: what a reader of Markdown sees of their examples."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "docs", "examples", "golden", "spec")
WIDTH = 100  # of a line of prose
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
FENCE = re.compile(r" {0,3}```")
QUOTED = re.compile(r" {0,3}>>>")  # to Markdown a quotation in a quotation in a quotation, whose lines are run together


def quoted(text: str) -> list[int]:
    """The numbers of the lines that begin an example outside a fenced or indented block."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and QUOTED.match(line):
            found.append(number)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_are_code_to_markdown(path):
    """Fails when a document shows an example as nested quotations, its lines run together."""
    assert quoted(path.read_text(encoding="utf-8")) == []


def test_an_example_outside_a_fence_is_found():
    """Fails when the test above cannot fail."""
    assert quoted("```python\n>>> 1\n1\n\n```\n\n>>> 2\n2\n\n    >>> 3\n    3\n") == [7]


def lost(text: str) -> list[str]:
    """The files of the project's own folders that a text names in code, and that are not there; * stands for any."""
    named = re.findall(r"`((?:benchmarks|conformance|docs|examples|golden|impl|reference|spec|tests)/[\w./*-]+)`", text)
    return [name for name in named if not list(ROOT.glob(name))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_are_there(path):
    """Fails when a file has moved, and a document sends its reader to where it was."""
    assert lost(path.read_text(encoding="utf-8")) == []


def test_a_lost_file_is_found():
    """Fails when the test above cannot fail."""
    text = "`impl/_xla_*.py`, `docs/running.md`, `conformance/_charges.py`, `golden/vectors/*.xml` and `token_loss.py`"
    assert lost(text) == ["conformance/_charges.py", "golden/vectors/*.xml"]


def wide(text: str) -> list[int]:
    """The numbers of the lines of prose that are too wide: not of code, not of tables, and of more than one word."""
    found, fenced, block = [], False, True  # what is indented after an empty line is code, up to the next paragraph
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        block = line.startswith("    ") if block else not line
        is_prose = not (fenced or (block and line.startswith("    ")) or line.lstrip().startswith("|"))
        if is_prose and len(line) > WIDTH and len(line.split()) > 1:
            found.append(number)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_prose_is_no_wider_than_a_page(path):
    """Fails when a line of a document has to be scrolled to, or hides what a change did to it."""
    assert wide(path.read_text(encoding="utf-8")) == []


def test_a_wide_line_is_found():
    """Fails when the test above cannot fail, or takes code and tables for prose."""
    words = " ".join(["word"] * 25)
    text = f"{words}\n\n    {words}\n    {words}\n\n- {words}\n    {words}\n\n| {words} |\n\n```\n{words}\n```\n"
    assert wide(text) == [1, 6, 7]
