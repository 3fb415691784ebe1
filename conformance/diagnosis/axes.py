"""On which properties calls that fail differ from those that pass: a short list of rules, or nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lossproof.conformance.diagnosis._features import FEATURES, Facts, Feature

RULES = 3
_FEWEST, _SHARE = 3, 0.05  # calls that a rule must speak of, and of all calls
_ROWS = 8  # calls that say anything at all
_GAIN = 0.25  # of the entropy of the verdicts, that a rule with exceptions must explain


@dataclass(frozen=True)
class Rule:
    """One line of a list of rules, which is read from the top.

    Attributes:
      where: the property of the calls that it speaks of.
      wrong: how many of them fail.
      right: how many pass.
    """

    where: str
    wrong: int
    right: int


def rules(rows: Sequence[tuple[Facts, bool]], *, exceptions: bool = True) -> list[Rule]:
    """The simplest list of at most `RULES` rules, and a last one for all others, that tells failing calls from passing
    ones; [] where none does.

    Args:
      rows: what is known of each call, and whether it fails.
      exceptions: whether more than one property may be needed, or some calls be exceptions.
    """
    wrong = sum(fails for _, fails in rows)
    if len(rows) < _ROWS or min(wrong, len(rows) - wrong) < _FEWEST:
        return []
    table = _Table([fails for _, fails in rows], _columns(rows))
    found = table.separated()
    return found if found or not exceptions else table.listed() or table.inclined()


def told(found: Sequence[Rule]) -> str:
    """The rules in a sentence; "" of none."""
    if not found:
        return ""
    total = sum(rule.wrong + rule.right for rule in found)
    exceptions = sum(min(rule.wrong, rule.right) for rule in found)
    parts = []
    for rule in found:
        verdict = "wrong" if rule.wrong > rule.right else "right"
        count = f" ({max(rule.wrong, rule.right)} of {rule.wrong + rule.right})" if rule.wrong and rule.right else ""
        parts.append(f"{verdict} {rule.where}{count}")
    exact = f" ({total} calls of {total})" if not exceptions else ""
    return "; ".join(parts) + exact


@dataclass(frozen=True)
class _Column:
    feature: Feature
    values: tuple[bool, ...]


class _Table:
    """The verdicts, and the features that are known of every call."""

    def __init__(self, fails: list[bool], columns: list[_Column]) -> None:
        self.fails, self.columns = fails, columns
        self.fewest: int = max(_FEWEST, round(_SHARE * len(fails)))

    def separated(self) -> list[Rule]:
        """Two rules without exceptions, by the first feature that gives them."""
        for column in self.columns:
            if list(column.values) == self.fails or [not value for value in column.values] == self.fails:
                return self._rules(column)
        return []

    def listed(self) -> list[Rule]:
        """Up to `RULES` rules without exceptions, the one that speaks of most calls first, and one for what is left."""
        left = list(range(len(self.fails)))
        found: list[Rule] = []
        while len(found) < RULES:
            pure = [self._pure(column, value, left) for column in self.columns for value in (True, False)]
            if not any(pure):
                return []
            size, _, where, covered = max(filter(None, pure), key=lambda each: each[0])
            fails = self.fails[covered[0]]
            found.append(Rule(where, size * fails, size * (not fails)))
            left = [row for row in left if row not in covered]
            verdicts = {self.fails[row] for row in left}
            if len(verdicts) == 1:
                rest = verdicts.pop()
                return [*found, Rule("elsewhere", len(left) * rest, len(left) * (not rest))]
        return []

    def _pure(self, column: _Column, value: bool, left: Sequence[int]) -> tuple[int, bool, str, list[int]] | None:
        """The calls left that have a feature, or lack it, if their verdict is one, and there are others."""
        covered = [row for row in left if column.values[row] is value]
        if len(covered) < self.fewest or len(covered) == len(left) or len({self.fails[row] for row in covered}) > 1:
            return None
        where = column.feature.has if value else column.feature.lacks
        return len(covered), value, where, covered

    def inclined(self) -> list[Rule]:
        """Two rules with exceptions, by the feature that says most about the verdicts; none if that is little."""
        whole = _entropy(sum(self.fails), len(self.fails))
        best: list[Rule] = []
        most = _GAIN * whole
        for column in self.columns:
            split = self._rules(column)
            if min(rule.wrong + rule.right for rule in split) < self.fewest:
                continue
            rest = sum(_entropy(rule.wrong, rule.wrong + rule.right) * (rule.wrong + rule.right) for rule in split)
            gain = whole - rest / len(self.fails)
            if gain > most + 1e-9:
                best, most = split, gain
        return best

    def _rules(self, column: _Column) -> list[Rule]:
        has = [fails for fails, value in zip(self.fails, column.values, strict=True) if value]
        lacks = [fails for fails, value in zip(self.fails, column.values, strict=True) if not value]
        found = [
            Rule(column.feature.has, sum(has), len(has) - sum(has)),
            Rule(column.feature.lacks, sum(lacks), len(lacks) - sum(lacks)),
        ]
        return sorted(found, key=lambda rule: rule.wrong > rule.right)


def _columns(rows: Sequence[tuple[Facts, bool]]) -> list[_Column]:
    """The features that are known of every call and differ between them."""
    found = []
    for feature in FEATURES:
        values = [feature.of(facts) for facts, _ in rows]
        if None not in values and len(set(values)) == 2:
            found.append(_Column(feature, tuple(map(bool, values))))
    return found


def _entropy(count: int, total: int) -> float:
    if count in (0, total):
        return 0.0
    share = count / total
    return -(share * math.log2(share) + (1 - share) * math.log2(1 - share))
