"""Every pair of values that a call can have: the cells of a covering array, each against the reference.

Level smoke has the pairs of a core, standard those of the whole model, exhaustive its triples.
"""

import time
from collections.abc import Iterator
from typing import Any

from lossproof.conformance.coverage.cases import FUNCTIONS, simplified
from lossproof.conformance.coverage.model import AXES, Cell, broken_rule
from lossproof.conformance.coverage.stored import stored
from lossproof.conformance.coverage.triples import triples
from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.pairs._offered import adapted, lacking
from lossproof.conformance.suite.pairs.cells import Deviation, Seen, look
from lossproof.conformance.suite.pairs.speaking import ALL, broken, charged
from lossproof.conformance.suite.registry import check
from lossproof.conformance.targets import Unsupported

_SHORT = {function: name for name, function in FUNCTIONS.items()}

# A failing cell is simplified, for as long: the first of each unit, because each step may have to compile.
_SECONDS = 30.0

# Where the plain value will not do: what is plainer, and as wrong if it is not this way of being called that is.
_PLAINER = {
    ("derivative", "vjp twice"): ("vjp",),
    ("cotangent", "z_loss"): ("loss",),
    ("cotangent", "third"): ("loss",),
    ("cotangent", "further"): ("loss",),
    ("cotangent", "together"): ("loss", "further"),
}


@check("calls.pairs", *ALL, dtypes=tuple(DTYPES))
def pairs(run: Run) -> None:
    """Whatever two features meet."""
    run.target.offer(run.function)
    failures: list[tuple[Cell, Deviation]] = []
    for cell in _cells(run):
        seen = _looked(run, cell)
        if seen is not None:
            failures += [(cell, deviation) for deviation in seen.deviations[:1]]
    if not failures:
        if run.tally.cases == 0:
            raise Unsupported(f"{run.target.name} can be called as no cell of the model says")
        return
    (cell, deviation), *others = failures
    cell, deviation = _simplest(run, cell, deviation)
    clauses = broken(cell, deviation.subject, is_small=deviation.is_small)
    for other, its in others:
        clauses += broken(other, its.subject, is_small=its.is_small)[:1] if its.subject != deviation.subject else ()
    more = f"; {len(others)} more of {run.tally.cases} cells are wrong" if others else ""
    message = f"{deviation.message}, {_words(cell)}{more}; {deviation.case.describe()}"
    raise Violation(message, [deviation.subject], case=deviation.case, clauses=tuple(dict.fromkeys(clauses)))


def _cells(run: Run) -> Iterator[Cell]:
    """Those of the unit, as far as the target offers them; none twice."""
    offer = run.target.offer(run.function)
    dense = run.takes_dense_targets
    done = set()
    function = _SHORT[run.function]
    cells = triples(function) if run.level == "exhaustive" else stored(run.level)
    for number, cell in enumerate(cell for cell in cells if cell["function"] == function):
        declared = run.target.dtypes
        heir = cell["logits"] if cell["logits"] in declared else declared[number % len(declared)]
        if run.level == "smoke":  # whose cells are of one type
            heir = run.dtype
        if heir != run.dtype:
            continue
        kept = adapted({**cell, "logits": heir}, run.target, offer, dense=dense)
        if kept is None:
            run.tally.cells.append(
                {"cell": dict(cell), "verdict": "unsupported", "reason": "the target has no such call"}
            )
        elif tuple(kept.values()) not in done:
            done.add(tuple(kept.values()))
            yield kept


def _looked(run: Run, cell: Cell) -> Seen | None:
    entry: dict[str, Any] = {"cell": dict(cell), "verdict": "pass"}
    run.tally.cells.append(entry)
    run.calls.begin_draw()
    run.calls.renew()
    try:
        seen = look(run, cell, run.seed)
    except Unsupported as reason:
        entry |= {"verdict": "unsupported", "reason": str(reason)}
        return None
    run.tally.cases += 1
    if seen.deviations:
        first = seen.deviations[0]
        entry |= {"verdict": "fail", "subjects": [first.subject], "reason": first.message[:300]}
        return seen
    for clause, subjects in charged(cell, seen.compared).items():
        for subject, count in subjects.items():
            run.tally.charge((clause,), subject, count)
    return seen


def _simplest(run: Run, cell: Cell, deviation: Deviation) -> tuple[Cell, Deviation]:
    """The cell with plain values wherever it is as wrong with them."""
    ends, without = time.monotonic() + _SECONDS, lacking(run.target.offer(run.function))
    for axis, values in reversed(tuple(AXES.items())):
        for value in (values[0], *_PLAINER.get((axis, cell[axis]), ())):
            simpler = simplified(cell, axis, value)
            if axis in ("function", "logits") or cell[axis] == value or time.monotonic() > ends:
                continue
            if broken_rule(simpler, without) is not None:
                continue
            run.calls.renew()
            try:
                seen = look(run, simpler, run.seed)
            except Unsupported:
                continue
            same = [d for d in seen.deviations if (d.subject, d.is_small) == (deviation.subject, deviation.is_small)]
            if value == "values":  # of values that are wrong, the derivatives are, too
                same = same or list(seen.deviations)
            if same:
                cell, deviation = simpler, same[0]
                break
    run.calls.begin_draw()
    again = [d for d in look(run, cell, run.seed).deviations if d.subject == deviation.subject]
    return cell, again[0] if again else deviation


def _words(cell: Cell) -> str:
    """What is not plain about a cell."""
    words = [
        value if axis in ("transform", "derivative") else f"{axis} {value}"
        for axis, value in cell.items()
        if value != AXES[axis][0] and axis not in ("function", "logits")
    ]
    return f"called so: {', '.join(words) or 'plainly'}"
