"""Asking the same again after other calls: a loss that is right the first time only is wrong."""

from collections.abc import Callable

import numpy as np

from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets._target import Arrays

_LARGEST = 2**16  # logits of a call that is kept


class Recall:
    """The first call of each function and type, and what came of it; asked again after 2, 4, 8, ... others."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[Case, Arrays]] = {}
        self._calls: dict[tuple[str, str], int] = {}

    def check(self, case: Case, answer: Arrays, ask: Callable[[Case], Arrays]) -> None:
        """Notes a call, and asks the first one again if its turn has come.

        Args:
          case: what was asked.
          answer: what came.
          ask: asks the target.

        Raises:
          Violation: the first call has another answer now.
        """
        key = case.function, case.dtype
        if key not in self._first:
            if case.logits.size <= _LARGEST:
                copies = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in case.inputs.items()}
                self._first[key] = (case.with_inputs(**copies), {n: np.array(v) for n, v in answer.items()})
            return
        self._calls[key] = calls = self._calls.get(key, 0) + 1
        if calls & (calls - 1):
            return
        first, before = self._first[key]
        for name, value in ask(first).items():
            if np.asarray(value).tobytes() != before[name].tobytes():
                raise Violation(
                    f"{name} differs when the same is asked again after {calls} other calls; {first.describe()}"
                )
