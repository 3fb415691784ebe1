"""The names that may have been meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """What to say about a name that is not there: those most like it in any case, as the end of a message, or ""."""
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), folded)
    return f"; did you mean {', '.join(folded[known] for known in near)}?" if near else ""
