"""Reports on results: the schema, one page of HTML, JUnit XML, and several targets side by side.

A result is a JSON document of the format `FORMAT` (`record.py`); the pages here are made of it
alone. `terminal.py` is the summary on a terminal, `hints.py` what else a failure may be about.
"""

from lossproof.conformance.report._junit import junit as junit
from lossproof.conformance.report._schema import (
    FORMAT as FORMAT,
    DocumentError as DocumentError,
    read as read,
    validate as validate,
)
from lossproof.conformance.report.compare import compare as compare, compare_html as compare_html
from lossproof.conformance.report.page.html import html as html
