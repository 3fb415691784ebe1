"""Reports on results: the schema, one page of HTML, JUnit XML, and several targets side by side.

A result is a JSON document of the format `FORMAT`; everything here is made of it alone.
"""

from lossproof.conformance.report._cli import compare_command as compare_command
from lossproof.conformance.report._compare import compare as compare, compare_html as compare_html
from lossproof.conformance.report._html import html as html
from lossproof.conformance.report._junit import junit as junit
from lossproof.conformance.report._schema import (
    FORMAT as FORMAT,
    DocumentError as DocumentError,
    read as read,
    validate as validate,
)
