"""Targets that are Python functions, whatever their arrays belong to."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets._target import Offer, Target, TargetRaised, Unsupported
from lossproof.spec import FURTHER, KEYWORDS, LOSSPROOF, SCALARS, TOKEN, Convention


class PythonTarget(Target, ABC):
    """Functions that take and return arrays; a class for each kind of array.

    Args:
      name: as given on the command line.
      functions: the Python functions, by the name of the specification's function that they stand for.
      offers: what each takes and returns.
      convention: what they compute.
      scalars_differentiable: whether their scalars may be traced.

    Attributes:
      array: what they return, in words.
    """

    array: ClassVar[str]

    def __init__(
        self,
        name: str,
        functions: Mapping[str, Callable[..., Any]],
        offers: Mapping[str, Offer],
        convention: Convention = LOSSPROOF,
        *,
        scalars_differentiable: bool = False,
    ) -> None:
        self.name: str = name
        self.functions: Mapping[str, Callable[..., Any]] = functions
        self.offers: Mapping[str, Offer] = offers
        self.convention: Convention = convention
        self.scalars_differentiable: bool = scalars_differentiable

    @classmethod
    @abstractmethod
    def probe(cls, function: Callable[..., Any], arguments: Sequence[Any], device: str) -> Any:
        """What a function returns for NumPy arrays, converted; it may raise anything."""

    @classmethod
    def evaluate(cls, function: Callable[..., Any], arguments: Sequence[Any], device: str) -> Any:
        """The same, with values and not only shapes."""
        return cls.probe(function, arguments, device)

    @classmethod
    def to_numpy(cls, value: Any) -> Any:
        """A result as a NumPy array."""
        return np.asarray(value)

    @classmethod
    @abstractmethod
    def is_array(cls, value: Any) -> bool:
        """Whether this is what the functions should return."""

    def named_results(self, case: Case, results: Any) -> dict[str, Any]:
        """The outputs that the call asks for, by name.

        Raises:
          Violation: they are not there, or there are more.
        """
        results = results if isinstance(results, tuple) else (results,)
        given, fields = self.offer(case.function).outputs, FURTHER if case.function == TOKEN else ()
        outputs = dict(zip((*given, *fields), results, strict=False))
        wanted = (*given, *case.also)
        if len(results) > len(given) + len(fields) or any(outputs.get(name) is None for name in wanted):
            raise Violation(f"{case.function} must return {', '.join(wanted)}, got {len(results)} results")
        return {name: outputs[name] for name in wanted}


@contextlib.contextmanager
def target_code() -> Iterator[None]:
    """For what only runs a target's code: what that raises is the target's doing, and nobody else's.

    Raises:
      TargetRaised: it raised; but for what the suite itself says there of the target.
    """
    try:
        yield
    except (Violation, Unsupported):
        raise
    except (Exception, SystemExit) as error:
        raise TargetRaised(str(error)) from error


def split_arguments(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a call, and its scalars and keywords, which are given as they are."""
    apart = (*SCALARS, *KEYWORDS[case.function])
    arrays = {name: value for name, value in case.inputs.items() if name not in apart and value is not None}
    return arrays, {name: value for name, value in case.inputs.items() if name in apart}
