"""Several results side by side, as text and as a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lossproof.conformance.judging.result import EXPECTED_FAIL, PART, PASS, UNSUPPORTED
from lossproof.conformance.report._schema import Document
from lossproof.conformance.report.page import view
from lossproof.conformance.report.page.html import render
from lossproof.conformance.report.page.text import clean, counted, number

_WIDEST_WORD = len(f"{view.SYMBOLS[UNSUPPORTED]} {UNSUPPORTED}")
_STYLES = {**dict.fromkeys(view.BREACHES, "bold red"), PASS: "green", PART: "green", UNSUPPORTED: "dim"}


@dataclass(frozen=True)
class Column:
    """One target of a comparison.

    Attributes:
      name: of the target; numbered where two have the same.
      document: its result.
      verdicts: by clause; a clause that does not apply is missing.
      grades: by function, dtype and quantity.
    """

    name: str
    document: Document
    verdicts: Mapping[str, str]
    grades: Mapping[tuple[str, str, str], str]

    def count(self, *verdicts: str) -> int:
        """How many clauses have one of the verdicts."""
        return sum(verdict in verdicts for verdict in self.verdicts.values())

    def largest(self, quantity: str) -> str:
        """The largest share of the allowed error."""
        shares = [unit[quantity] for unit in self.document["units"]]
        return number(None if None in shares else max(shares, default=0.0))


@dataclass(frozen=True)
class Comparison:
    """What is shown: rows of texts, each with one text per column.

    Attributes:
      columns: the targets.
      facts: name and texts.
      grades: function, dtype and texts such as "A / B", values first.
      clauses: id, title and verdicts; "" where the clause does not apply.
      remarks: what makes the results hard to compare.
    """

    columns: tuple[Column, ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    grades: tuple[tuple[str, str, tuple[str, ...]], ...]
    clauses: tuple[tuple[str, str, tuple[str, ...]], ...]
    remarks: tuple[str, ...]


def compare(documents: Sequence[Document]) -> RenderableType:
    """Returns what rich prints of the results, side by side.

    Args:
      documents: results that `validate` accepts.
    """
    comparison = _comparison(documents)
    telling = [row for row in comparison.clauses if set(row[2]) - {PASS, PART, UNSUPPORTED, ""}]
    silent = len(comparison.clauses) - len(telling)
    clauses = _table("clause", "about", comparison=comparison)
    for clause, title, verdicts in telling:
        words = (Text(f"{view.SYMBOLS[v]} {v}" if v else "", style=_STYLES.get(v, "")) for v in verdicts)
        clauses.add_row(clause, Text(clean(title)), *words)
    facts = _table("", comparison=comparison)
    for name, texts in comparison.facts:
        facts.add_row(name, *map(Text, texts))
    parts: list[RenderableType] = [facts, Text("")]
    if comparison.grades:
        grades = _table("grade: values / gradients", "dtype", comparison=comparison)
        for function, dtype, texts in comparison.grades:
            grades.add_row(Text(clean(function)), dtype, *map(Text, texts))
        parts += [grades, Text("")]
    if telling:
        parts += [clauses]
    rest = "more clauses are" if telling else "clauses are all"
    parts += [Text(f"{silent} {rest} passed, in part or in whole, or unsupported")] if silent else []
    parts += [Text(f"note: {clean(remark)}") for remark in comparison.remarks]
    return Group(*parts)


def compare_html(documents: Sequence[Document]) -> str:
    """Returns a page of the results, side by side.

    Args:
      documents: results that `validate` accepts.
    """
    return render("compare.html", comparison=_comparison(documents))


def _table(*headings: str, comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "about")
    for column in comparison.columns:
        table.add_column(Text(clean(column.name)), overflow="fold", min_width=_WIDEST_WORD)
    return table


def _comparison(documents: Sequence[Document]) -> Comparison:
    columns = tuple(_columns(documents))
    titles = {id_: title for document in documents for id_, title in view.titles(document).items()}
    order = list(view.CLAUSES)
    ids = sorted(titles, key=lambda id_: order.index(id_) if id_ in order else len(order))
    graded = list(dict.fromkeys((function, dtype) for column in columns for function, dtype, _ in column.grades))
    return Comparison(
        columns,
        tuple((name, tuple(str(fact(column)) for column in columns)) for name, fact in _FACTS.items()),
        tuple((*key, tuple(_graded(column, *key) for column in columns)) for key in graded),
        tuple((id_, titles[id_], tuple(column.verdicts.get(id_, "") for column in columns)) for id_ in ids),
        tuple(_remarks(documents)),
    )


_FACTS: Mapping[str, Any] = {
    "verdict": lambda column: column.document["verdict"]["word"],
    "clauses passed": lambda column: column.count(PASS),
    "clauses broken": lambda column: column.count(*view.BREACHES),
    "broken as expected": lambda column: column.count(EXPECTED_FAIL),
    "passed in part": lambda column: column.count(PART),
    "unsupported": lambda column: column.count(UNSUPPORTED),
    "worst value": lambda column: column.largest("values"),
    "worst gradient": lambda column: column.largest("gradients"),
    "cases": lambda column: f"{column.document['counts']['cases']:,}",
}


def _columns(documents: Sequence[Document]) -> Iterator[Column]:
    names = [document["target"]["name"] for document in documents]
    for index, document in enumerate(documents):
        again = names[: index + 1].count(names[index])
        name = f"{names[index]} ({again})" if names.count(names[index]) > 1 else names[index]
        verdicts = {clause["id"]: clause["verdict"] for clause in document["clauses"]}
        grades = {(row["function"], row["dtype"], row["quantity"]): row["grade"] for row in document["grades"]}
        yield Column(name, document, verdicts, grades)


def _graded(column: Column, function: str, dtype: str) -> str:
    found = [column.grades.get((function, dtype, quantity), "") for quantity in view.QUANTITIES]
    return f"{found[0] or '–'} / {found[1] or '–'}" if any(found) else ""


def _remarks(documents: Sequence[Document]) -> Iterator[str]:
    """What differs besides the targets."""
    for name, came in (
        ("levels", [document["settings"]["level"] for document in documents]),
        ("seeds", [document["settings"]["seed"] for document in documents]),
        ("error profiles", [document["settings"]["profile"] for document in documents]),
        ("versions of lossproof", [document["lossproof"] for document in documents]),
    ):
        if len(set(came)) > 1:
            yield f"the results have different {name}: {', '.join(map(str, came))}"
    narrowed = sum(bool(document["settings"]["only"] or document["settings"]["dtypes"]) for document in documents)
    if narrowed:
        yield f"{counted(narrowed, 'result')} of only part of the suite"
