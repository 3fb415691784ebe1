"""Which calls a function takes: what it refuses in so many words, where it takes others."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.targets._limits import Limits, Range
from lossproof.conformance.targets.probing._bound import Bound
from lossproof.conformance.targets.probing._probe import REFUSALS, Probed, adapter, ask, batch
from lossproof.spec import DENSE

# Shapes that a function without limits takes; where one is refused, all of the numbers below are tried.
_TELLING = ((2, 3), (2, 3, 5), (3, 257), (8, 128256))
_CLASSES = (
    *(2, 3, 4, 5, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 257, 384, 512, 640, 768, 1000, 1024, 2048),
    *(3072, 4096, 8192, 16384, 32768, 65536, 131072),
)
_TOKENS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
_RANKS = (1, 2, 3)


def found_limits(function: Callable[..., Any], probed: Probed, device: str) -> Limits:
    """The limits of a function, but for types; what it breaks at without saying that it refuses is none."""
    takes = _asking(function, probed, device)
    if all(map(takes, _TELLING)):
        return Limits()
    *tokens, classes = probed.shape
    good = tuple(tokens)
    limits = Limits(
        classes=_range([(number, takes((*good, number))) for number in _CLASSES]),
        tokens=_range([(number, takes((*[1] * (len(good) - 1), number, classes))) for number in _TOKENS]),
    )
    ranks = tuple(rank for rank in _RANKS if takes(_of_rank(rank, math.prod(good), classes)))
    return limits if ranks == _RANKS else replace(limits, ranks=ranks)


def found_dtypes(function: Callable[..., Any], probed: Probed, device: str) -> tuple[str, ...]:
    """The types of logits that are not refused."""
    takes = _asking(function, probed, device)
    return tuple(name for name in DTYPES if name == "float32" or takes(probed.shape, name))


def _asking(function: Callable[..., Any], probed: Probed, device: str) -> Callable[..., bool]:
    of_framework, bound = adapter(probed.framework), Bound(function, probed.signature)

    def takes(shape: tuple[int, ...], dtype: str = "float32") -> bool:
        given = batch(shape, dense=probed.kind == DENSE, weighted="weights" in probed.signature.parameters)
        given["logits"] = given["logits"].astype(DTYPES[dtype])
        if dtype == "float64":
            given |= {name: value.astype(dtype) for name, value in given.items() if value.dtype == np.float32}
        try:
            ask(of_framework, bound, given, device)
        except REFUSALS as refusal:
            return dtype != "float32" and not _says_so(str(refusal), dtype)
        except Exception:  # noqa: BLE001  it breaks, and the checks say so
            return True
        return True

    return takes


def _says_so(text: str, dtype: str) -> bool:
    """Whether a message says that a type is not taken, and not what went wrong with it: arithmetic has limits, too."""
    return dtype in text and re.search("support|must|expect|only|allowed|unknown", text) is not None


def _of_rank(rank: int, tokens: int, classes: int) -> tuple[int, ...]:
    return (tokens, *[1] * (rank - 1), classes)


def _range(answers: Sequence[tuple[int, bool]]) -> Range:
    """The range that the numbers taken are of."""
    taken = [number for number, is_taken in answers if is_taken]
    if not taken or len(taken) == len(answers):
        return Range()
    multiple = math.gcd(*taken)
    refused = [number for number, is_taken in answers if not is_taken and number % multiple == 0]
    at_least = min(taken) if any(number < min(taken) for number in refused) else 0
    at_most = max(taken) if any(number > max(taken) for number in refused) else None
    return Range(multiple, at_least, at_most)
