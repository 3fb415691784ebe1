"""Writes docs/traceability.md: for each clause of SPEC.md the code, checks, golden vectors and mutants that cite it.

Run it after a change: python docs/make_traceability.py. A test compares the file with what this makes, and fails where
a clause has no check, no mutant, or no vector without a reason below.
"""  # noqa: INP001  a script, not a package

import ast
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from lossproof import golden
from lossproof.conformance.mutants import MUTANTS
from lossproof.conformance.suite.units import all_units
from lossproof.spec import CLAUSES, GROUPS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "traceability.md"

_ERRORS = "it is about errors, and a vector is a call with an answer"
_KEYWORDS = "the vectors' format has no keywords yet"
_DEVICES = "it is about devices, and a vector is a call with whole rows"
WITHOUT_VECTOR: Mapping[str, str] = {
    "SHAPE-5": _ERRORS,
    "SHAPE-6": _ERRORS,
    "SHAPE-7": _ERRORS,
    "SHAPE-8": _ERRORS,
    "NORM-1": _ERRORS,
    "VALUE-11": _KEYWORDS,
    "VALUE-12": _KEYWORDS,
    "VALUE-13": _KEYWORDS,
    "VALUE-14": _KEYWORDS,
    "VALUE-15": _KEYWORDS,
    "GRAD-12": _KEYWORDS,
    "GRAD-13": _KEYWORDS,
    "CONV-2": _KEYWORDS,
    "GRAD-10": "it is about ways of calling, not about inputs",
    "ACC-6": "it compares two calls, not a call with an answer",
    "CONV-1": "vectors are in the specification's own convention",
    "SPLIT-1": _DEVICES,
    "SPLIT-2": _DEVICES,
    "SPLIT-3": _DEVICES,
    "SPLIT-4": _DEVICES,
    "SPLIT-5": _DEVICES,
}

_INTRODUCTION = """\
# Traceability

For each clause of [SPEC.md](../SPEC.md): the functions of the reference and of the implementation
with its id in their margin or docstring, the checks that fail when it is broken, how many golden
vectors cite it, and the mutants that `lossproof mutants` kills by it. Where a part of the code is
missing, no line there carries the id: the clause is a property of the whole, or of others' code.
`python docs/make_traceability.py` writes this page.

`_token.py: f, g` means the functions `f` and `g` of that file; a file alone, its opening words.
"""

_GROUP = "|".join(GROUPS)
_ID = re.compile(rf"\b({_GROUP})-(\d+)(?: to \1-(\d+))?")

Cited = Mapping[str, list[str]]


def page() -> str:
    """The page's text."""
    reference, implementation = (_in_code(part) for part in ("reference", "impl"))
    checks, vectors, mutants = _by_check(), _by_vector(), _by_mutant()
    lines = [_INTRODUCTION]
    for group, title in GROUPS.items():
        lines.append(f"\n## {group}: {title}\n")
        for clause in (clause for clause in CLAUSES.values() if clause.group == group):
            code = [_DIFFERENCES.get(clause.id) or _cell(part[clause.id]) for part in (reference, implementation)]
            found = {
                "reference": code[0],
                "implementation": code[1],
                "checks": ", ".join(checks[clause.id]),
                "vectors": str(len(vectors[clause.id])),
                "mutants": ", ".join(mutants[clause.id]),
            }
            lines.append(f"- **{clause.id} {clause.title}**")
            lines += [_item(f"{name}: {value}") for name, value in found.items() if value]
    lines += ["\n## Without a vector\n"]
    lines += [f"- {clause}: {reason}." for clause, reason in WITHOUT_VECTOR.items()]
    return "\n".join(lines) + "\n"


def _item(text: str) -> str:
    return textwrap.fill(f"  - {text}", 100, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def gaps() -> list[str]:
    """What is missing, one line each."""
    checks, vectors, mutants = _by_check(), _by_vector(), _by_mutant()
    found = [f"{clause} has no check" for clause in CLAUSES if not checks[clause]]
    found += [f"{clause} has no mutant" for clause in CLAUSES if not mutants[clause]]
    for clause in CLAUSES:
        if not vectors[clause] and clause not in WITHOUT_VECTOR:
            found.append(f"{clause} has no golden vector, and WITHOUT_VECTOR gives no reason")
        if vectors[clause] and clause in WITHOUT_VECTOR:
            found.append(f"{clause} has a golden vector: take it out of WITHOUT_VECTOR")
    return found


def _by_clause(pairs: Iterable[tuple[str, str]]) -> Cited:
    """The names for each clause, each once, in the order of their coming."""
    found: dict[str, list[str]] = {clause: [] for clause in CLAUSES}
    for clause, name in pairs:
        if clause in found and name not in found[clause]:
            found[clause].append(name)
    return found


def _by_check() -> Cited:
    """The checks that cite each clause; where there are no others, the topics of the golden vectors that do."""
    checks = {unit.check.id: unit.check for unit in all_units()}
    golden_checks = {id_: check for id_, check in checks.items() if id_.startswith("golden.")}
    drawn = _by_clause((c, id_) for id_, check in checks.items() for c in check.clauses if id_ not in golden_checks)
    stored = _by_clause((c, id_.rpartition(".")[0]) for id_, check in golden_checks.items() for c in check.clauses)
    return {clause: drawn[clause] or stored[clause] for clause in CLAUSES}


def _by_vector() -> Cited:
    return _by_clause((clause, case.id) for case in golden.load() for clause in case.clauses)


def _by_mutant() -> Cited:
    return _by_clause((clause, edit.name) for edit in MUTANTS for clause in edit.clauses)


def _in_code(part: str) -> Cited:
    """The places of a part that cite each clause, as "file: function"."""
    folder = ROOT / part

    def pairs() -> Iterator[tuple[str, str]]:
        for path in sorted(folder.rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            place = _enclosing(ast.parse(text))
            for number, line in enumerate(text.splitlines(), 1):
                for clause in _cited(line):
                    yield clause, f"{path.relative_to(folder).as_posix()}: {place(number)}"

    return _by_clause(pairs())


def _cited(line: str) -> Iterator[str]:
    """The clauses that a line names: one by one, in ranges, and under References (where SPEC.md is named) by group."""
    if "SPEC.md" in line and " but " in line:  # all clauses but some: too broad to lead anywhere
        return
    for group, first, last in _ID.findall(line):
        yield from (f"{group}-{number}" for number in range(int(first), int(last or first) + 1))
    if "SPEC.md" in line:
        for group in re.findall(rf"\b({_GROUP})\b(?!-)", line):
            yield from (clause for clause in CLAUSES if clause.startswith(f"{group}-"))


def _enclosing(tree: ast.Module) -> Callable[[int], str]:
    """The outermost function around a line, with its class if it has one; nothing for the module's own lines."""
    spans: list[tuple[int, int, str]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                spans.append((child.lineno, child.end_lineno or child.lineno, child.name))
                visit(child, f"{child.name}.")
            elif isinstance(child, ast.FunctionDef):
                spans.append((child.lineno, child.end_lineno or child.lineno, prefix + child.name))

    visit(tree, "")
    return lambda line: max((s for s in spans if s[0] <= line <= s[1]), default=(0, 0, ""))[2]


def _cell(places: list[str]) -> str:
    """Places in one cell, those of a file together."""
    by_file: dict[str, list[str]] = {}
    for place in places:
        file, _, function = place.partition(": ")
        by_file.setdefault(file, []).extend([function] if function else [])
    cells = [f"{file}: {', '.join(functions)}" if functions else file for file, functions in by_file.items()]
    return f"`{'; '.join(cells)}`" if cells else ""


def _differences() -> dict[str, str]:
    """For each difference from t5x the clauses that it comes to."""
    differences = [clause for clause in CLAUSES.values() if clause.group == "DIFF"]
    return {clause.id: f"as {', '.join(_cited(clause.text.rpartition('Here: ')[2]))}" for clause in differences}


_DIFFERENCES = _differences()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
