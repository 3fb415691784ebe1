"""A result as one page that needs nothing else: no network, no script, no font."""

import base64
import functools
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lossproof.conformance.report._schema import Document
from lossproof.conformance.report.page import view
from lossproof.conformance.report.page._heat import Heat, heat_maps
from lossproof.conformance.report.page._plots import Line, histogram, line_plot
from lossproof.conformance.report.page.text import clean, counted, number

TEMPLATES = Path(__file__).parent / "templates"

# What the survey varies, with the name of the axis.
AXES = {"confidence": "how far the target leads", "offset": "common offset of the logits", "classes": "classes V"}

GRADES = {
    "A": "accurate to a few roundings for every input, also where the target is nearly certain and the loss nearly 0",
    "B": "the error does not grow with a common offset of the logits, but a small loss loses its digits",
    "C": "the error grows with a common offset of the logits, as if it were formed as lse - logit",
    "none": "worse than that, as when it is computed in a narrower type",
}


@dataclass(frozen=True)
class Survey:
    """The plots, each with what it shows, and the tables of one function."""

    function: str
    plots: tuple[tuple[str, Markup], ...]
    heats: tuple[Heat, ...]


def html(document: Document) -> str:
    """Returns the page of a result.

    Args:
      document: a result that `validate` accepts.
    """
    found = view.findings(document, view.BREACHES)
    return render(
        "result.html",
        doc=document,
        found=found,
        own=view.findings(document, view.OWN_FAILURES),
        of_clause=view.by_clause(found),
        histograms=list(_histograms(document)),
        parts=_parts(document),
        surveys=list(_surveys(document)),
    )


def render(template: str, **values: Any) -> str:
    """Returns a page made of one of the templates; every value is escaped."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_writable,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals.update(
        AXES=AXES,
        GRADES=GRADES,
        SYMBOLS=view.SYMBOLS,
        style=Markup(style),  # noqa: S704  the package's own file
        style_digest=digest,
        view=view,
    )
    environment.filters.update(number=number, counted=counted, bits=significant_bits)
    return environment


def _writable(value: object) -> object:
    """A target's message may hold what no file can."""
    return clean(value) if type(value) is str else value


def significant_bits(roundoff: float) -> int:
    """The precision whose unit roundoff is nearest: 2^-24 gives 24."""
    return round(-math.log2(roundoff))


def _parts(document: Document) -> list[str]:
    """The quantiles that the document has, smallest first."""
    return sorted({part for used in document["utilisation"].values() for part in used["quantiles"]}, key=float)


def _histograms(document: Document) -> Iterator[tuple[str, Markup]]:
    for quantity in view.QUANTITIES:
        bins = document["utilisation"][quantity]["histogram"]
        if bins:
            yield quantity, histogram(f"histogram-{quantity}", f"share of the allowed error, {quantity}", bins)


def _surveys(document: Document) -> Iterator[Survey]:
    functions = list(dict.fromkeys(row["function"] for row in document["survey"]))
    for index, function in enumerate(functions):
        rows = [row for row in document["survey"] if row["function"] == function]
        yield Survey(function, tuple(_lines(rows, f"survey-{index}")), heat_maps(rows))


def _lines(rows: list[dict[str, Any]], name: str) -> Iterator[tuple[str, Markup]]:
    for by in ("confidence", "offset"):
        for quantity in view.QUANTITIES:
            chosen = [row for row in rows if row["by"] == by and row["quantity"] == quantity]
            lines = [
                Line(dtype, [(row["at"], row["ulp"]) for row in chosen if row["dtype"] == dtype])
                for dtype in view.DTYPES
            ]
            if chosen:
                title = f"{quantity}: error by {AXES[by]}"
                present = [line for line in lines if line.points]
                yield title, line_plot(f"{name}-{by}-{quantity}", title, AXES[by], present)
