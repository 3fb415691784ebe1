"""What a program computes: the arguments that are known when it is compiled."""

import enum
from typing import Literal, NamedTuple, TypeAlias

Spread: TypeAlias = Literal["others", "uniform"]


class Gaps(enum.Enum):
    """What is wanted of the gaps m - x_j of the classes besides the target."""

    NOTHING = enum.auto()
    SUM = enum.auto()  # if the target's is finite; a loss that has mass on the target needs no other
    EXACT_SUM = enum.auto()


class Form(NamedTuple):
    """The static side of a loss.

    Attributes:
        gaps: what smoothing needs of the classes besides the target.
        has_z_loss: False where the coefficient is known to be 0.
        softcap: the cap c of x = c tanh(y / c), or None.
        smoothing: whether label_smoothing is spread over the "others" or is "uniform".
        subtract_entropy: whether H is part of the loss.
        also: the names of the further results.
        axis_name: the mesh axes that the classes are split over; none for whole rows.
        implementation: the one asked for by name, or None.
    """

    gaps: Gaps = Gaps.NOTHING
    has_z_loss: bool = True
    softcap: float | None = None
    smoothing: Spread = "others"
    subtract_entropy: bool = True
    also: frozenset[str] = frozenset()
    axis_name: tuple[str, ...] = ()
    implementation: str | None = None
