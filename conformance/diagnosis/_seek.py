"""The process that compares a failing target with known defects (`cause.py` starts it)."""

import functools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lossproof.conformance.diagnosis import cause
from lossproof.conformance.diagnosis._likeness import is_gross, is_right, resembles
from lossproof.conformance.diagnosis._replay import RAISED, Answers, Replay, UnknownCallError
from lossproof.conformance.judging.exact import Exact, exact_gradients, exact_values
from lossproof.conformance.mutants import BENIGN, MUTANTS, Edit
from lossproof.conformance.mutants.load import load
from lossproof.conformance.mutants.meetings.meetings import MUTANTS as OF_MEETINGS
from lossproof.conformance.suite.asking.calls import exact
from lossproof.conformance.targets import Target, Unsupported, load_target, parse_convention
from lossproof.spec import LOSSPROOF, TOKEN, WEIGHTED, Convention

_LARGEST = 4096  # logits of an input whose exact answer is told


@dataclass(frozen=True)
class Input:
    """An input with a wrong answer.

    Attributes:
      failing: where it is from.
      replay: the call.
      found: what the target answers.
      right: what a sound implementation answers.
      gross: whether they differ by more than digits.
    """

    failing: cause.Failing
    replay: Replay
    found: Answers
    right: Answers
    gross: bool


@dataclass
class Search:
    """Compares known defects with a target.

    Args:
      target: that fails.
      seed: of the run.
      passing: clauses that it keeps.
      until: when to stop, by `time.monotonic`.
    """

    target: Target
    seed: int
    passing: frozenset[str]
    until: float
    _matches: dict[tuple[str, int], bool] = field(default_factory=dict)
    _losses: dict[str, Target] = field(default_factory=dict)

    def inputs(self, failing: Sequence[Sequence[cause.Failing]]) -> list[Input]:
        """Those that a sound implementation answers otherwise, of few kinds; what is off by more than digits first."""
        found: list[Input] = []
        kinds = 0
        for kind in failing[: 2 * cause.KINDS]:
            told = [each for each in map(self.told, kind[: cause.ALIKE]) if each]
            found, kinds = found + told, kinds + bool(told)
            if len(found) >= cause.INPUTS or kinds == cause.KINDS or time.monotonic() > self.until:
                break
        ordinary = [kind[0] for kind in failing if kind[0].calls and not kind[0].tells_little]
        smallest = min(ordinary, key=cause.size_of, default=None)
        if smallest is not None and all(each.failing is not smallest for each in found):
            found = [each for each in [self.told(smallest)] if each] + found
        # Lost digits are a cause, too, but not while something is wrong beside them.
        return sorted(found[: cause.INPUTS], key=lambda each: not each.gross)

    def told(self, each: cause.Failing) -> Input | None:
        """An input with both answers; None if they are the same, or the call cannot be made again."""
        makers: list[Callable[[], Replay]] = [functools.partial(Replay.of_call, call) for call in reversed(each.calls)]
        if each.cell:
            makers = [lambda: Replay.of_cell(each.cell, self.seed, self.target)]
        for make in makers:
            try:
                replay = make()
                found = replay.asked(self.target)
                right = self._answers(BENIGN[0], replay)
            except (UnknownCallError, Unsupported):
                continue
            case = replay.cases[0]
            if not is_right(found, right):
                return Input(each, replay, found, right, is_gross(case, found, right))
        return None

    def best(self, inputs: Sequence[Input], *, everywhere: bool = False) -> tuple[Edit | None, set[int]]:
        """The defect that answers most inputs as the target does, and which; those count most that are off by more than
        digits, and of equal defects that which is one everywhere, then that which breaks the fewest clauses that the
        target keeps.
        """
        ranked: list[tuple[tuple[int, ...], Edit, set[int]]] = []
        for order, edit in enumerate(MUTANTS):
            own = [each for each in inputs if set(each.failing.clauses) & set(edit.clauses)]
            first = inputs[: cause.FIRST] if everywhere else own
            if any(self.is_like(edit, each) for each in first):
                alike = {place for place, each in enumerate(inputs) if self.is_like(edit, each)}
                gross = sum(inputs[place].gross for place in alike)
                kept = len(self.passing & set(edit.clauses))
                ranked.append(((-gross, -len(alike), edit in OF_MEETINGS, kept, order), edit, alike))
        if not ranked:
            return None, set()
        _, edit, alike = min(ranked, key=lambda each: each[0])
        return edit, alike

    def is_like(self, edit: Edit, each: Input) -> bool:
        """Whether a defect answers an input as the target does."""
        key = (edit.name, id(each))
        if key not in self._matches:
            if time.monotonic() > self.until:
                return False
            try:
                other = self._answers(edit, each.replay)
                self._matches[key] = resembles(each.replay.cases[0], each.found, each.right, other)
            except Unsupported:
                self._matches[key] = False
        return self._matches[key]

    def _answers(self, edit: Edit, replay: Replay) -> Answers:
        if edit.name not in self._losses:
            self._losses[edit.name] = in_convention(load(edit), self.target.convention)
        return replay.asked_at_once(self._losses[edit.name])


def in_convention(loss: Target, convention: Convention) -> Target:
    """A loss that keeps to the specification, computed by another convention."""
    if convention != LOSSPROOF:
        functions: Mapping[str, Callable[..., Any]] = loss.functions  # type: ignore[attr-defined]
        loss.functions = {  # type: ignore[attr-defined]
            name: functools.partial(_by, convention, name, function) if name in (TOKEN, WEIGHTED) else function
            for name, function in functions.items()
        }
    return loss


def _by(convention: Convention, name: str, function: Callable[..., Any], **arguments: Any) -> Any:
    import jax.numpy as jnp

    defaults = {"smoothing": convention.smoothing, "subtract_entropy": convention.subtract_entropy}
    arguments = {**defaults, **arguments}
    targets = jnp.asarray(arguments["targets"])
    is_counted = jnp.issubdtype(targets.dtype, jnp.integer)
    if convention.ignore_index is not None and is_counted:
        arguments["targets"] = jnp.where(targets == convention.ignore_index, -1, targets.astype(jnp.int32))
    loss, z, third, *further = function(**arguments)
    loss = loss if convention.add_z_loss else loss - z
    if name == WEIGHTED and convention.reduction != "sum":
        divisor = third if convention.reduction == "mean" else max(targets.size, 1)
        loss, z = loss / divisor, z / divisor
    return (loss, z, third, *further)


def sought(question: Mapping[str, Any], seconds: float = cause.ENOUGH) -> dict[str, Any]:
    """The answer to a question of `cause.cause`, as plain data."""
    target = load_target(question["target"], parse_convention(question["convention"]))
    failing = [[_failing(each) for each in kind] for kind in question["failing"]]
    search = Search(target, question["seed"], frozenset(question["passing"]), time.monotonic() + seconds)
    inputs = search.inputs(failing)
    if not inputs:
        return {}
    kinds = {each.failing.kind for each in inputs}
    more = [each for kind in failing for each in kind[cause.ALIKE : 2 * cause.ALIKE] if each.kind in kinds]
    left = list(inputs)
    defects: list[dict[str, Any]] = []
    while len(left) >= (cause.TELLING if defects else 1) and len(defects) < cause.MOST:
        edit, alike = search.best(left)
        if edit is None and not defects:
            edit, alike = search.best(left, everywhere=True)
        if edit is None or (defects and len(alike) < cause.TELLING):
            break
        defects.append(_defect(search, edit, inputs, more))
        left = [each for place, each in enumerate(left) if place not in alike]
    units = set(defects[0]["units"] if defects else ())
    explained = [each for each in inputs if units & set(each.failing.units)]
    return {"defects": defects, "simplest": _simplest(search, explained or inputs)}


def _defect(search: Search, edit: Edit, inputs: Sequence[Input], more: Sequence[cause.Failing]) -> dict[str, Any]:
    matching = [each for each in inputs if search.is_like(edit, each)]
    digits = not any(each.gross for each in matching)
    alike = [each for each in matching if each.gross is not digits]
    explained = [*matching, *(each for each in filter(None, map(search.told, more)) if search.is_like(edit, each))]
    return {
        "name": edit.name,
        "what": edit.what,
        "clauses": list(edit.clauses),
        "matches": len(alike),
        "inputs": sum(each.gross is not digits for each in inputs),
        "digits": digits,
        "units": sorted({unit for each in explained for unit in each.failing.units}),
    }


def _failing(data: Mapping[str, Any]) -> cause.Failing:
    return cause.Failing(tuple(data["units"]), tuple(data["clauses"]), data["calls"], data["cell"])


def _simplest(search: Search, inputs: Sequence[Input]) -> dict[str, Any] | None:
    """The input with the fewest logits, then classes, whose answer is an array."""
    arrays = [each for each in inputs if RAISED not in each.found] or list(inputs)

    def logits(each: Input) -> tuple[bool, int, int]:
        array = each.replay.cases[0].logits
        return not _is_ordinary(each), array.size, array.shape[-1]

    each = min(arrays, key=logits)
    return {
        "unit": each.failing.units[0],
        "call": each.replay.to_json(),
        "answer": _plain(each.found),
        "right": _plain({**each.right, **_exactly(each, search.target.convention)}, each.found),
    }


def _exactly(each: Input, convention: Convention) -> Answers:
    """The exact values and derivatives of a plain call of few logits, rounded to float64."""
    case, method = each.replay.cases[0], each.replay.method
    if not _is_ordinary(each) or case.logits.size > _LARGEST or RAISED in each.right:
        return {}
    declared = convention if case.function == WEIGHTED else replace(convention, reduction="sum")
    found: dict[str, Exact] = dict(exact_values(case, declared))
    if method == "differentiate":
        gradients = exact_gradients(case, each.replay.further["cotangents"], declared)
        found |= {f"by {name}": gradient for name, gradient in gradients.items()}
    return {name: value.high for name, value in found.items()}


def _is_ordinary(each: Input) -> bool:
    """Whether it is a call for values and gradients, of some logits."""
    return each.replay.method in ("values", "differentiate") and each.replay.cases[0].logits.size > 0


def _plain(answers: Answers, like: Answers | None = None) -> dict[str, Any]:
    return {name: exact(value) for name, value in answers.items() if like is None or name in like or name == RAISED}


def main(asked: Path, answer: Path) -> None:
    """Answers the question in a file."""
    found = sought(json.loads(asked.read_text("utf-8")))
    unfinished = answer.with_suffix(".part")
    unfinished.write_text(json.dumps(found), "utf-8")
    unfinished.replace(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
