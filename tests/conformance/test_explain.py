"""`lossproof explain`: SPEC.md's words, claims that a golden vector shows, and examples that print what they say."""

import doctest
import re

import numpy as np
import pytest
from click.testing import CliRunner

from lossproof import golden
from lossproof.conformance.command._explain import book, explain, explained
from lossproof.conformance.running.selection import selected_units
from lossproof.spec import CLAUSES, GROUPS, NOTATION

URL = re.compile(r"https://[^\s;,]+")


def one_line(text):
    return " ".join(text.split())


def prompts(session):
    return sum(line.startswith((">>> ", "... ")) for line in session.splitlines())


def ask(*arguments):
    return CliRunner().invoke(explain, arguments)


def test_every_clause_is_explained():
    """Fails when a clause has no explanation, or one that is empty."""
    assert list(book().of) == list(CLAUSES)
    assert [clause for clause, said in book().of.items() if not said.why.strip()] == []


def test_links_are_those_of_golden_vectors():
    """Fails when a defect is claimed of somebody's loss without an input in the golden files that shows it."""
    shown = {link for case in golden.load() for link in URL.findall(case.provenance)}
    assert {link for said in book().of.values() for link in said.links} - shown == set()


@pytest.mark.parametrize("clause", CLAUSES)
def test_example_prints_what_it_says(clause):
    """Fails when an example is out of date, prints nothing, or is longer than three lines after the common ones."""
    session = book().of[clause].example
    test = doctest.DocTestParser().get_doctest(session, {}, clause, None, 0)
    report = []
    with np.printoptions():  # an example sets them for its reader
        outcome = doctest.DocTestRunner().run(test, out=report.append)
    assert outcome.failed == 0, "".join(report)
    assert test.examples[-1].want or test.examples[-1].exc_msg
    assert 1 <= prompts(session) - prompts(book().setup) <= 3


def test_a_clause_is_explained_in_any_case():
    """Fails when an id in small letters is not found, or a part of the explanation is left out."""
    answer = ask("state-1")
    said = book().of["STATE-1"]
    assert answer.exit_code == 0
    assert answer.output == explained("STATE-1") + "\n"
    for part in (CLAUSES["STATE-1"].text, said.why, *said.links, said.example, book().letters, NOTATION):
        assert one_line(part) in one_line(answer.output)
    assert "-inf is probability 0" in answer.output.splitlines()[0]


def test_the_command_at_the_end_names_units():
    """Fails when an explanation ends in a command that is a usage error."""
    for clause in CLAUSES:
        assert explained(clause).splitlines()[-1].endswith(f"lossproof check TARGET --only {clause}")
        assert selected_units([clause], "standard")


def test_without_a_clause_all_are_listed():
    """Fails when a group or a clause is missing in the list, or the order is not that of SPEC.md."""
    lines = ask().output.splitlines()
    listed = [tuple(line.split(maxsplit=1)) for line in lines if line.startswith("  ")]
    assert listed == [(clause, said.title) for clause, said in CLAUSES.items()]
    assert [line for line in lines if line and not line.startswith("  ")] == [f"{g}: {t}" for g, t in GROUPS.items()]


def test_a_group_lists_its_clauses():
    """Fails when the name of a group is taken for an error, or lists others."""
    assert [line.split()[0] for line in ask("excl").output.splitlines()] == ["EXCL:", "EXCL-1", "EXCL-2", "EXCL-3"]


@pytest.mark.parametrize(
    ("clause", "words"),
    [("stat-1", "STATE-1"), ("VALUE1", "VALUE-1"), ("grads", "GRAD"), ("nothing like it", "`lossproof explain` lists")],
)
def test_an_unknown_clause_is_answered_with_those_near_it(clause, words):
    """Fails when a misspelt clause is a traceback, exit code 0, or leaves the user to guess."""
    answer = ask(clause)
    assert (answer.exit_code, answer.stdout) == (2, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"lossproof: there is no clause {clause!r}") and words in line
