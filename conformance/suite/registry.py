"""The registry of checks, and the units of work they are cut into: check x function x dtype, with stable ids."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lossproof.conformance.suite.asking.run import Run
from lossproof.spec import DENSE, FACTOR, TOKEN, WEIGHTED

SHORT = {TOKEN: "token", WEIGHTED: "weighted", DENSE: "dense", FACTOR: "factor"}
LOSSES = (TOKEN, WEIGHTED, DENSE)
HARD = (TOKEN, WEIGHTED)  # whose targets may be numbers of classes

# Most checks leave float16 to those of values, gradients and types: it is carried in float32 like bfloat16.
THREE = ("bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Check:
    """A check and the clauses it tests."""

    id: str
    clauses: tuple[str, ...]
    functions: tuple[str, ...]
    dtypes: tuple[str, ...]
    body: Callable[[Run], None]
    is_quick: bool = True


@dataclass(frozen=True)
class Unit:
    """A check applied to one function and one dtype."""

    check: Check
    function: str
    dtype: str

    @property
    def id(self) -> str:
        """Stable: it does not change when checks are added."""
        return f"{self.check.id}[{SHORT[self.function]}-{self.dtype}]"

    @property
    def is_quick(self) -> bool:
        """Whether level smoke has it."""
        return self.dtype == "float32" and self.check.is_quick


registered: dict[str, Check] = {}


def check(
    id: str,  # noqa: A002  the field's word
    *clauses: str,
    functions: Sequence[str] = LOSSES,
    dtypes: Sequence[str] = THREE,
    is_quick: bool = True,
) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Registers a function as a check of the clauses; level smoke leaves out those that are not quick."""

    def register(body: Callable[[Run], None]) -> Callable[[Run], None]:
        if id in registered:
            raise ValueError(f"two checks are called {id!r}")
        registered[id] = Check(id, clauses, tuple(functions), tuple(dtypes), body, is_quick)
        return body

    return register
