"""Reading an expectations file: TOML, an [[expect]] table for each entry."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossproof.conformance.judging.nearest import nearest
from lossproof.conformance.judging.result import ERROR, FAIL, Result
from lossproof.conformance.suite.units import all_units
from lossproof.spec import CLAUSES

_KEYS = ("clause", "unit", "reason", "link", "verdict")


class ExpectationError(Exception):
    """The file cannot be read, or says something that cannot be."""


@dataclass(frozen=True)
class Expectation:
    """One entry.

    Attributes:
      name: of a clause, a unit or a check.
      reason: why it is broken.
      link: where that is discussed.
      verdict: "fail" or "error".
    """

    name: str
    reason: str
    link: str = ""
    verdict: str = FAIL

    @property
    def is_of_clause(self) -> bool:
        """Whether it is about a clause, wherever it is broken."""
        return self.name in CLAUSES

    def concerns(self, unit: str, clauses: Iterable[str]) -> bool:
        """Whether it is about a unit with these clauses."""
        return self.name in (*clauses, unit, unit.partition("[")[0])

    def is_met_by(self, result: Result) -> bool:
        """Whether the result is what the entry says."""
        return result.verdict == self.verdict and self.concerns(result.unit, result.broken or result.clauses)

    def __str__(self) -> str:
        return f"{self.reason} {self.link}".rstrip()


@dataclass(frozen=True)
class Expectations:
    """The entries of a file."""

    path: Path
    entries: tuple[Expectation, ...]


def load_expectations(path: Path) -> Expectations:
    """The expectations in a file.

    Raises:
      ExpectationError: it cannot be read, or an entry is wrong.
      GoldenError: the golden set is broken, so that the units are not known.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExpectationError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise ExpectationError(f"{path} must be a TOML file: {error}") from error
    tables = data.pop("expect", [])
    if data:
        raise ExpectationError(f"{path} must hold [[expect]] tables alone, got {', '.join(map(repr, data))}")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ExpectationError(f"{path}: write [[expect]], in two pairs of brackets, above every entry")
    entries: dict[tuple[str, str], Expectation] = {}
    for number, table in enumerate(tables, start=1):
        where = f"{path}, entry {number}"
        entry = _entry(table, where)
        if (entry.name, entry.verdict) in entries:
            raise ExpectationError(f"{where}: {entry.name} is there a second time: join the reasons in one entry")
        entries[entry.name, entry.verdict] = entry
    return Expectations(path, tuple(entries.values()))


def _entry(table: Mapping[str, Any], where: str) -> Expectation:
    _check_keys(table, where)
    kind = "clause" if "clause" in table else "unit"
    name, link, verdict = table[kind], table.get("link", ""), table.get("verdict", FAIL)
    units = {name: None for unit in all_units() for name in (unit.check.id, unit.id)}
    known = list(CLAUSES if kind == "clause" else units)
    if name not in known:
        raise ExpectationError(f"{where}: there is no {kind} {name!r}{nearest(name, known)}")
    if link and not link.startswith(("https://", "http://")):  # a report makes it a link, which may be clicked
        raise ExpectationError(f"{where}: link must begin with https:// or http://, got {link!r}")
    if verdict not in (FAIL, ERROR):
        raise ExpectationError(f"{where}: verdict must be {FAIL!r} or {ERROR!r}, got {verdict!r}")
    return Expectation(name, " ".join(table["reason"].split()), link, verdict)


def _check_keys(table: Mapping[str, Any], where: str) -> None:
    for key, value in table.items():
        if key not in _KEYS:
            hint = nearest(key, _KEYS) or f": the keys are {', '.join(_KEYS)}"
            raise ExpectationError(f"{where}: there is no key {key!r}{hint}")
        if not isinstance(value, str) or not value.strip():
            raise ExpectationError(f"{where}: {key} must be a text that is not empty, got {value!r}")
    if ("clause" in table) == ("unit" in table):
        raise ExpectationError(f"{where}: give either a clause or a unit")
    if "reason" not in table:
        raise ExpectationError(f"{where}: a reason is missing: say why this is expected")
