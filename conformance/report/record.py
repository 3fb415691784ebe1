"""The JSON result: everything that came of a run, as plain data (report/schema/result.schema.json).

What differs between two runs of the same units on the same versions is under "environment" alone.
"""

import math
import platform
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lossproof.conformance.diagnosis.cause import Cause
from lossproof.conformance.judging.result import UNBOUNDED, ZERO, Result
from lossproof.conformance.judging.tally import edge
from lossproof.conformance.report import FORMAT
from lossproof.conformance.running.covered import covered
from lossproof.conformance.running.request import Request
from lossproof.conformance.running.summary import Summary
from lossproof.conformance.targets.identity import versions
from lossproof.spec import CLAUSES

_QUANTILES = (0.5, 0.9, 0.99, 1.0)
_WORST = 20  # cases that are listed


def document(
    summary: Summary,
    request: Request,
    identity: Mapping[str, Any],
    *,
    started: str,
    seconds: float,
    expectations: Sequence[Mapping[str, Any]] = (),
    cause: Cause = Cause(),  # noqa: B008  frozen
) -> dict[str, Any]:
    """The JSON result of a run.

    Args:
      summary: of its results.
      request: what was asked for.
      identity: of the target, from `_identity.identity`.
      started: when, in UTC.
      seconds: how long it took.
      expectations: what became of the entries of an expectations file.
      cause: of its failures.
    """
    results = summary.results
    return {
        "format": FORMAT,
        "lossproof": _version(),
        "target": identity["target"],
        "settings": {
            "level": request.level,
            "seed": request.seed,
            "only": list(request.only),
            "dtypes": list(request.dtypes),
            "convention": request.convention,
            "profile": request.profile,
            "command": request.command(),
        },
        "environment": {
            "started": started,
            "seconds": round(seconds, 3),
            "workers": request.workers,
            "host": socket.gethostname(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "device": identity["device"],
            "packages": versions(),
            "unit_seconds": {result.unit: round(result.seconds, 3) for result in results},
        },
        "verdict": {"word": summary.word, "exit_code": summary.exit_code(), "reasons": summary.reasons()},
        "cause": _finite(cause.to_json()),
        "counts": {
            "cases": summary.cases,
            "units": len(results),
            "units_by_verdict": _counts(result.verdict for result in results),
            "clauses_by_verdict": _counts(summary.clause_verdicts().values()),
        },
        "coverage": covered(results, request.level) or None,
        "clauses": list(_clauses(summary)),
        "grades": grades(results),
        "utilisation": {quantity: utilisation(results, quantity) for quantity in ("values", "gradients")},
        "survey": [_finite(row) for result in results for row in result.survey.get("rows", ())],
        "worst": _worst(results, request),
        "expectations": [dict(each) for each in expectations],
        "units": [unit(result) for result in results],
    }


def grades(results: Iterable[Result]) -> list[dict[str, Any]]:
    """The grades of each function and type, as they were measured."""
    return [_finite(result.survey["grade"]) for result in results if "grade" in result.survey]


def utilisation(results: Iterable[Result], quantity: str) -> dict[str, Any]:
    """How the arrays that were judged share out over the bins of utilisation, [low, high, count], and the upper edges
    of the bins in which the quantiles lie; null is beyond all numbers.
    """
    counts: dict[str, int] = {}
    for result in results:
        for name, count in result.histogram.get(quantity, {}).items():
            counts[name] = counts.get(name, 0) + count
    bins = sorted((*_edges(name), count) for name, count in counts.items())
    total, quantiles = sum(counts.values()), {}
    for share in _QUANTILES if bins else ():
        seen = 0
        for _, high, count in bins:
            seen += count
            if seen >= share * total:
                quantiles[f"{share:g}"] = _number(high)
                break
    return {"histogram": [[low, _number(high), count] for low, high, count in bins], "quantiles": quantiles}


def _edges(name: str) -> tuple[float, float]:
    if name == ZERO:
        return 0.0, 0.0
    if name == UNBOUNDED:
        return math.ldexp(1.0, 1023), math.inf
    return edge(int(name) - 1), edge(int(name))


def _clauses(summary: Summary) -> Iterator[dict[str, Any]]:
    for clause, entry in summary.clauses.items():
        yield {
            "id": clause,
            "group": clause.partition("-")[0],
            "title": CLAUSES[clause].title,
            "verdict": entry.verdict,
            "units": entry.units,
            "cases": entry.cases,
            "comparisons": entry.comparisons,
            "compared": dict(entry.compared),
            "missing": list(entry.missing),
            "reason": entry.reason,
        }


def _worst(results: Iterable[Result], request: Request) -> list[dict[str, Any]]:
    def share(result: Result) -> float:
        return max(result.values, result.gradients)

    largest = sorted((result for result in results if result.worst), key=share, reverse=True)[:_WORST]
    return [
        {
            "unit": result.unit,
            "quantity": "values" if result.values >= result.gradients else "gradients",
            "utilisation": _number(share(result)),
            "clauses": list(result.clauses),
            "case": result.worst,
            "call": dict(result.call) or None,
            "command": request.command(only=(result.unit,)),
        }
        for result in largest
    ]


def unit(result: Result) -> dict[str, Any]:
    """A result as one of the document's units."""
    taken = ("clauses", "verdict", "message", "broken", "cases", "values", "gradients", "worst", "calls")
    group, _, name = result.unit.partition("[")[0].rpartition(".")
    vector = name if group.startswith("golden.") else None
    return {"id": result.unit, **_finite({name: getattr(result, name) for name in taken}), "golden": vector}


def _counts(verdicts: Iterable[str]) -> dict[str, int]:
    found = list(verdicts)
    return {verdict: found.count(verdict) for verdict in sorted(set(found))}


def _finite(data: Any) -> Any:
    """The same data with None for every number that JSON does not have."""
    if isinstance(data, Mapping):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return _number(data) if isinstance(data, float) else data


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _version() -> str:
    from importlib.metadata import version

    return version("lossproof")
