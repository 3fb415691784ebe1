"""`lossproof explain`: what a clause says, why it matters, and an example."""

import functools
import textwrap
import tomllib
from dataclasses import dataclass
from importlib import resources

import click

from lossproof.conformance.command.console import fail_usage
from lossproof.conformance.judging.nearest import nearest
from lossproof.spec import CLAUSES, GROUPS, NOTATION

_WIDTH = 100  # of lines that are long enough to be hard to read beyond


@dataclass(frozen=True)
class Explanation:
    """What there is to say about a clause besides its text.

    Attributes:
      why: what goes wrong where it is broken.
      example: a session of Python, with what it prints.
      links: where it was broken.
    """

    why: str
    example: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Book:
    """All explanations.

    Attributes:
      letters: the arguments that letters in the clauses' texts stand for.
      setup: the first line of every example.
      of: the explanations by clause.
    """

    letters: str
    setup: str
    of: dict[str, Explanation]


@functools.cache
def book() -> _Book:
    """What explanations.toml says."""
    data = tomllib.loads(resources.files(__package__).joinpath("explanations.toml").read_text("utf-8"))
    letters, setup = (data.pop(name) for name in ("letters", "setup"))
    of = {
        clause: Explanation(said["why"], f"{setup}\n{said['example']}", tuple(said.get("links", ())))
        for clause, said in data.items()
    }
    return _Book(letters, setup, of)


@click.command()
@click.argument("clause", default="")
def explain(clause: str) -> None:
    """Explains CLAUSE: what it says, why it matters, an example.

    CLAUSE is an id, STATE-1 for instance, or a group of clauses, which is listed; without it all are.
    """
    name = clause.upper()
    if name in CLAUSES:
        click.echo(explained(name))
    elif name in GROUPS or not name:
        click.echo("\n\n".join(_listed(group) for group in GROUPS if name in ("", group)))
    else:
        hint = nearest(clause, [*CLAUSES, *GROUPS]) or ": `lossproof explain` lists them"
        fail_usage(f"there is no clause {clause!r}{hint}")


def explained(clause: str) -> str:
    """All that there is to say about a clause."""
    said, group = book().of[clause], clause.partition("-")[0]
    return "\n\n".join(
        [
            f"{clause}: {CLAUSES[clause].title} ({GROUPS[group]})",
            _paragraph(CLAUSES[clause].text),
            "Why it matters",
            "\n".join([_paragraph(said.why), *(f"  {link}" for link in said.links)]),
            "Example",
            textwrap.indent(said.example.rstrip(), "  "),
            "Letters",
            "\n".join([_paragraph(book().letters), textwrap.indent(textwrap.dedent(NOTATION), "  ")]),
            f"Check a loss: lossproof check TARGET --only {clause}",
        ]
    )


def _paragraph(text: str) -> str:
    wrapped = textwrap.fill(" ".join(text.split()), _WIDTH, break_on_hyphens=False, break_long_words=False)
    return textwrap.indent(wrapped, "  ")


def _listed(group: str) -> str:
    clauses = [f"  {clause.id:<9} {clause.title}" for clause in CLAUSES.values() if clause.group == group]
    return "\n".join([f"{group}: {GROUPS[group]}", *clauses])
