"""How much of the model a run has looked at."""

import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from lossproof.conformance._result import Result
from lossproof.conformance.coverage._model import AXES
from lossproof.conformance.coverage._stored import pairs, stored

# The part of the pairs in the cells that a target can be called in, that must be judged for a verdict.
FLOOR = 0.5


def covered(results: Iterable[Result], level: str) -> dict[str, Any]:
    """What the cells of a run cover, as plain data; empty where no cell was run.

    Args:
      results: of the run.
      level: whose cells they are.

    Returns:
      "cells": how many by verdict; "pairs": of values: "all" that axes could have, "excluded" by the rules, in the
      "model" of the level, "judged" in cells that passed or failed, "unsupported" in others alone, and "share", the
      judged ones of those that the target's cells have.
    """
    cells = [entry for result in results for entry in result.coverage.get("cells", ())]
    if not cells:
        return {}
    found = [entry["verdict"] for entry in cells]
    judged = pairs(entry["cell"] for entry in cells if entry["verdict"] != "unsupported")
    unsupported = pairs(entry["cell"] for entry in cells if entry["verdict"] == "unsupported") - judged
    possible = pairs(stored("standard"))
    all_pairs = sum(len(a) * len(b) for a, b in combinations(AXES.values(), 2))
    return {
        "cells": {verdict: found.count(verdict) for verdict in ("pass", "fail", "unsupported")},
        "pairs": {
            "all": all_pairs,
            "excluded": all_pairs - len(possible),
            "model": len(pairs(stored(level))),
            "judged": len(judged),
            "unsupported": len(unsupported),
            "share": round(len(judged) / max(1, len(judged | unsupported)), 4),
        },
        "axes": _by_axis(cells),
    }


def too_little(coverage: Mapping[str, Any]) -> str:
    """Why there is no verdict; "" where enough was judged."""
    if not coverage or coverage["pairs"]["share"] >= FLOOR:
        return ""
    share = math.floor(100 * coverage["pairs"]["share"])
    return f"too little was looked at: {share} % of the pairs of values in the cells, where {100 * FLOOR:.0f} % are asked for"


def _by_axis(cells: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """For each value of each axis how many cells passed, failed, and were unsupported."""
    table = {axis: {value: [0, 0, 0] for value in values} for axis, values in AXES.items()}
    for entry in cells:
        for axis, value in entry["cell"].items():
            table[axis].setdefault(value, [0, 0, 0])[("pass", "fail", "unsupported").index(entry["verdict"])] += 1
    return {axis: {value: counts for value, counts in values.items() if any(counts)} for axis, values in table.items()}
