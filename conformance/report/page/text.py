"""Numbers and foreign text, as reports show them."""

import re

# Neither XML nor UTF-8 can hold these, and a target's messages may.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """The text with a mark in place of every character that XML forbids."""
    return _FORBIDDEN.sub(REPLACEMENT, text)


def number(value: float | None) -> str:
    """Two digits, or three; what is not finite is null in a document, and "inf" here."""
    if value is None:
        return "inf"
    plain = f"{value:.3g}" if abs(value) >= 100 else f"{value:.2g}"
    mantissa, e, exponent = plain.partition("e")
    return f"{float(mantissa):.2g}e{int(exponent)}" if e else plain


def counted(count: int, noun: str) -> str:
    """The count with its noun: "1 clause", "2 clauses"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
