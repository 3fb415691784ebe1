"""How much of the model a run has looked at."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from lossproof.conformance.coverage.model import AXES, Cell
from lossproof.conformance.coverage.stored import pairs, stored
from lossproof.conformance.coverage.triples import told, triples
from lossproof.conformance.judging.result import Result

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
      judged ones of those that the target's cells have; "axes": for each value of each axis how many cells passed,
      failed, and were unsupported; "triples", counted likewise, at level exhaustive, else None.
    """
    cells = [entry for result in results for entry in result.coverage.get("cells", ())]
    if not cells:
        return {}
    found = [entry["verdict"] for entry in cells]
    seen = [entry["cell"] for entry in cells if entry["verdict"] != "unsupported"]
    unseen = [entry["cell"] for entry in cells if entry["verdict"] == "unsupported"]
    possible, judged = pairs(stored("standard")), pairs(seen)
    model = possible if level == "exhaustive" else pairs(stored(level))
    return {
        "cells": {verdict: found.count(verdict) for verdict in ("pass", "fail", "unsupported")},
        "pairs": _counted(2, len(possible), len(model), len(judged), len(pairs(unseen) - judged)),
        "triples": _triples(seen, unseen) if level == "exhaustive" else None,
        "axes": _by_axis(cells),
    }


def _triples(seen: Sequence[Cell], unseen: Sequence[Cell]) -> dict[str, Any]:
    """The counts of triples."""
    model = [cell for function in AXES["function"] for cell in triples(function)]
    values = dict.fromkeys(item for cell in (*model, *seen, *unseen) for item in cell.items())
    number = {value: index for index, value in enumerate(values)}
    possible, judged, left = (told(cells, number) for cells in (model, seen, unseen))
    counts = [int(np.count_nonzero(table)) // 6 for table in (possible, judged, left & ~judged)]
    return _counted(3, counts[0], *counts)


def _counted(strength: int, possible: int, model: int, judged: int, unsupported: int) -> dict[str, Any]:
    every = sum(math.prod(map(len, values)) for values in combinations(AXES.values(), strength))
    return {
        "all": every,
        "excluded": every - possible,
        "model": model,
        "judged": judged,
        "unsupported": unsupported,
        "share": round(judged / max(1, judged + unsupported), 4),
    }


def too_little(coverage: Mapping[str, Any]) -> str:
    """Why there is no verdict; "" where enough was judged."""
    if not coverage or coverage["pairs"]["share"] >= FLOOR:
        return ""
    share = math.floor(100 * coverage["pairs"]["share"])
    least = round(100 * FLOOR)
    return f"too little was looked at: {share} % of the pairs of values in the cells, where {least} % are asked for"


def _by_axis(cells: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """For each value of each axis how many cells passed, failed, and were unsupported."""
    table = {axis: {value: [0, 0, 0] for value in values} for axis, values in AXES.items()}
    for entry in cells:
        for axis, value in entry["cell"].items():
            table[axis].setdefault(value, [0, 0, 0])[("pass", "fail", "unsupported").index(entry["verdict"])] += 1
    return {axis: {value: counts for value, counts in values.items() if any(counts)} for axis, values in table.items()}
