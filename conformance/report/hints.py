"""What a run that failed may be about besides errors: types of logits that the loss is not meant for."""

import re
from collections.abc import Iterable

from lossproof.conformance.judging.result import BREACHES, Result
from lossproof.conformance.suite.registry import SHORT
from lossproof.spec import FACTOR

# How a check says that a result is of another type: the one that was wanted, and the one that came.
_OTHER_TYPE = re.compile(r"must be (\w+), got (\w+);|\(returned as (?P<came>\w+), not (?P<wanted>\w+)\)")


def types_hint(results: Iterable[Result]) -> str:
    """What to do where every failure with some type of logits is a result of another type; "" where there is none."""
    failures: dict[str, list[str]] = {}
    passing = set()
    for result in results:
        function, _, dtype = result.unit.partition("[")[2].rstrip("]").partition("-")
        if function == SHORT[FACTOR] or not result.clauses:
            continue
        if result.verdict in BREACHES:
            failures.setdefault(dtype, []).append(result.message)
        elif result.verdict == "pass":
            passing.add(dtype)
    foreign = {dtype: types for dtype, said in failures.items() if (types := _types(said))}
    if not foreign:
        return ""
    meant = [dtype for dtype in sorted(passing | set(failures)) if dtype not in foreign]
    said = "; ".join(f"of {dtype} logits, {types}" for dtype, types in sorted(foreign.items()))
    if not meant:
        return ""
    kept = ", ".join(f'"{dtype}"' for dtype in meant)
    return (
        f"all that fails is results of another type: {said}. If the loss is not meant for "
        f'{" and ".join(sorted(foreign))}, say so in its module, LOSSPROOF = {{"dtypes": [{kept}]}}, or here, '
        f"--dtypes {','.join(meant)}"
    )


def _types(messages: Iterable[str]) -> str:
    """The type that results came in, and the one that they should have; "" if a message says something else."""
    found = [_OTHER_TYPE.search(message) for message in messages]
    types = {(m["came"] or m[2], m["wanted"] or m[1]) for m in found if m}
    return "" if None in found else " and ".join(f"{came} for {wanted}" for came, wanted in sorted(types))
