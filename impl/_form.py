"""What a program computes: the arguments that are known when it is compiled."""

from typing import Literal, NamedTuple, TypeAlias

from lossproof.impl._row_sums import Gaps

Spread: TypeAlias = Literal["others", "uniform"]


class Form(NamedTuple):
    """The static side of a loss.

    Attributes:
        gaps: what smoothing needs of the classes besides the target.
        softcap: the cap c of x = c tanh(y / c), or None.
        smoothing: whether label_smoothing is spread over the "others" or is "uniform".
        subtract_entropy: whether H is part of the loss.
        also: the names of the further results.
    """

    gaps: Gaps = Gaps.NOTHING
    softcap: float | None = None
    smoothing: Spread = "others"
    subtract_entropy: bool = True
    also: frozenset[str] = frozenset()
