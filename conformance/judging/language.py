"""Batches as a language model has them at production shapes, with the exact answers of the fast oracle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import DTYPES, Array, Case
from lossproof.conformance.judging.draw import carried_float, generator
from lossproof.conformance.judging.exact import Exact
from lossproof.reference import oracle
from lossproof.reference.oracle import Bracket
from lossproof.spec import DENSE, WEIGHTED, Convention

BLOCK = 2**20  # logits whose bounds are computed at a time: these take some forty arrays of their size

SMOOTHING, Z_LOSS = 0.1, 1e-4  # t5x's own


@dataclass(frozen=True)
class Batch:
    """A case too large for the reference, and the same question as the oracle takes it.

    Attributes:
      case: what the target gets.
      asked: the arguments of the oracle's functions; dense targets are asked for as the smoothing of hard ones.
      convention: likewise.
    """

    case: Case
    asked: Mapping[str, Any]
    convention: Convention

    def exact_values(self) -> Mapping[str, Bracket]:
        """The outputs."""
        if self.case.function == WEIGHTED:
            totals = oracle.compute_weighted_cross_entropy(**self.asked, convention=self.convention)
            return dict(zip(totals._fields, totals, strict=True))
        tokens = oracle.token_cross_entropy(**self.asked, convention=self.convention)
        return dict(zip(tokens._fields, tokens, strict=True))

    def exact_rows(self) -> Iterator[tuple[slice, Bracket]]:
        """The gradient of the loss by the logits, a few rows at a time."""
        return oracle.logits_gradient_rows(**self.asked, cotangents={"loss": 1.0}, convention=self.convention)

    def part(self, rows: slice) -> Case:
        """The case of some tokens alone."""
        arrays = {name: value[rows] for name, value in self.case.inputs.items() if isinstance(value, np.ndarray)}
        return self.case.with_inputs(**arrays)

    def parts(self) -> Iterator[Case]:
        """The case in blocks of tokens."""
        tokens, classes = self.case.logits.shape
        step = max(1, BLOCK // classes)
        return (self.part(slice(start, start + step)) for start in range(0, tokens, step))


def hard_batch(case: Case, convention: Convention) -> Batch:
    """A case of hard targets."""
    return Batch(case, case.inputs, convention)


def dense_batch(case: Case, convention: Convention, *, smoothed: bool) -> Batch:
    """A case of hard targets as one of dense targets: one-hot, or all mass but a power of 2 per class on the target."""
    classes = case.logits.shape[-1]
    # Between 1/8 and 1/4 of the mass is off the target; float32 holds both weights exactly.
    off = 2.0 ** -((classes - 1).bit_length() + 2) if smoothed else 0.0
    on = 1 - (classes - 1) * off
    targets = np.full(case.logits.shape, off, case.carried)
    targets[np.arange(len(targets)), case.inputs["targets"]] = on
    kept = {name: value for name, value in case.inputs.items() if name in ("logits", "z_loss")}
    asked = {**kept, "targets": case.inputs["targets"], "label_smoothing": Fraction(off) * (classes - 1)}
    plain = replace(convention, smoothing="others", subtract_entropy=False)
    return Batch(Case(DENSE, {**kept, "targets": targets}, case.traced), asked, plain)


def language_inputs(seed: int, tokens: int, classes: int, dtype: str, *, masked: int = 0) -> dict[str, Array]:
    """Logits and targets of hard cases: word frequencies, noise, a few likely words, and targets most of which lead.

    Args:
      seed: equal ones give equal arrays.
      tokens, classes: their numbers.
      dtype: of the logits.
      masked: how many of the last classes are padding of the vocabulary, with logits of -inf.
    """
    rng = generator(seed)
    words = classes - masked
    frequencies = -np.log1p(rng.permutation(words)).astype(np.float32)  # Zipf's law
    logits = np.full((tokens, classes), -np.inf, np.float32).astype(DTYPES[dtype])
    targets = np.empty(tokens, np.int32)
    for row, target in zip(logits, np.ndindex(tokens), strict=True):
        x = frequencies + rng.standard_normal(words, np.float32)
        likely = rng.integers(words, size=8)
        x[likely] += rng.exponential(8.0, likely.size).astype(np.float32)
        x *= np.float32(rng.uniform(0.5, 2.0))
        found = likely[np.argmax(x[likely])] if rng.uniform() < 0.75 else rng.integers(words)
        x[found] += np.float32(rng.exponential(4.0))
        targets[target] = found
        row[:words] = (x + np.float32(rng.normal(0.0, 8.0))).astype(row.dtype)
    return {"logits": logits, "targets": targets}


def scalars(dtype: str, names: Sequence[str], *, used: bool, factor: float) -> dict[str, float]:
    """The scalars among `names` as training has them; or, so that a compiled program serves both, at their defaults."""
    values = {
        "label_smoothing": SMOOTHING if used else 0.0,
        "z_loss": Z_LOSS if used else 0.0,
        "loss_normalizing_factor": factor if used else 1.0,
    }
    return {name: carried_float(value, dtype) for name, value in values.items() if name in names}


def as_exact(bracket: Bracket) -> Exact:
    """The middle of a bracket."""
    return Exact(bracket.high, bracket.low)
