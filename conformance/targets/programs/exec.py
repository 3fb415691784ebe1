"""Programs in any language as targets, over JSON lines; docs/exec-protocol.md is the protocol."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import Case, argument_dtype
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.targets._convention import parse_convention
from lossproof.conformance.targets._limits import Limits
from lossproof.conformance.targets._target import Arrays, Offer, Target, TargetError, Unsupported
from lossproof.conformance.targets.probing.declaration import read_limits
from lossproof.conformance.targets.programs._wire import (
    PROTOCOL,
    check_declaration,
    decode,
    encode,
    one_line,
    read_answer,
)
from lossproof.conformance.targets.programs.program import Program, ProgramError
from lossproof.spec import FORMATS, LOSSPROOF, SCALARS, WEIGHTED, Convention

MOST_LOGITS = 2**21  # of a request: about 50 MB of text
SECONDS = 20.0  # for an answer
_FIRST = 3  # times as long for the first one, which may have to import something


class ExecTarget(Target):
    """A program that is asked on its stdin and answers on its stdout. After a failure it is started anew.

    Args:
      command: as in a shell, without the shell.
      convention: None, as the program declares its own.
      seconds: for an answer; three times as many for the first.

    Attributes:
      packages: versions by name, as the program declares them.
      sources: the words of the command that are files: the program, or what runs it and its source.

    Raises:
      TargetError: it cannot be started, or does not declare itself as the protocol says.
    """

    def __init__(self, command: str, convention: Convention | None = None, seconds: float = SECONDS) -> None:
        self.name: str = f"exec:{command}"
        if convention is not None:
            raise TargetError(f"{self.name} declares its own convention: leave the convention options out")
        self._words: Sequence[str] = _words(command)
        self._seconds: float = seconds
        self._asked: int = 0
        self._declaration: Mapping[str, Any] = {}
        try:
            self._program: Program | None = self._started()
        except ProgramError as error:
            raise TargetError(f"{self.name} {error}") from error
        declared = self._declaration
        self.dtypes: Sequence[str] = tuple(declared["dtypes"])
        self.offers: Mapping[str, Offer] = {
            function: Offer(tuple(offer["outputs"]), tuple(offer["arguments"]), tuple(offer.get("required", ())))
            for function, offer in declared["functions"].items()
        }
        self.packages: Sequence[str] | Mapping[str, str] = declared.get("packages", {})
        self.sources: Sequence[Path] = tuple(Path(word) for word in self._words if Path(word).is_file())
        self._derivatives: Sequence[str] = declared.get("derivatives", ())
        scalars = {name for offer in self.offers.values() for name in offer.arguments if name in SCALARS}
        self.scalars_differentiable: bool = bool(scalars) and scalars <= set(self._derivatives)

    def values(self, case: Case) -> Arrays:
        return self._outputs(case, self._request("values", case))

    def differentiate(self, case: Case, cotangents: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
        by = [name for name in self._derivatives if name in case.inputs and _is_floating(case.inputs[name])]
        if not by:
            raise Unsupported(f"{self.name} declares no derivatives")
        coded = {name: encode(np.asarray(value)) for name, value in cotangents.items()}
        answer = self._request("gradients", case, cotangents=coded, by=by)
        expected = {name: (np.shape(case.inputs[name]), argument_dtype(case, name)) for name in by}
        return self._outputs(case, answer), decode("gradients", answer, expected)

    def close(self) -> None:
        """Ends the program; another request starts it again."""
        if self._program is not None:
            self._program.close()
            self._program = None

    def _outputs(self, case: Case, answer: Mapping[str, Any]) -> Arrays:
        shape = () if case.function == WEIGHTED else case.logits.shape[:-1]
        return decode("outputs", answer, dict.fromkeys(self.offer(case.function).outputs, (shape, case.carried)))

    def _request(self, op: str, case: Case, **further: Any) -> Mapping[str, Any]:
        if case.logits.size > MOST_LOGITS:
            raise Unsupported(f"{self.name} is sent {MOST_LOGITS} logits at most")
        self._asked += 1
        request = {
            "op": op,
            "id": self._asked,
            "function": case.function,
            "dtype": case.dtype,
            "shape": list(case.logits.shape),
            "inputs": {name: encode(value) for name, value in self._completed(case).items() if value is not None},
            **further,
        }
        try:
            self._program = self._program or self._started()
            answer = _exchange(self._program, request, self._seconds)
        except BaseException as error:  # an interrupt, too, leaves a program that still owes an answer
            self._program = None
            if isinstance(error, ProgramError):
                raise type(error)(f"{self.name} {error}; {case.describe()}") from error
            raise
        if "unsupported" in answer:
            raise Unsupported(f"{self.name}: {one_line(answer['unsupported'])}")
        if "error" in answer:
            raise Violation(f"{case.function} answered an error: {one_line(answer['error'])}; {case.describe()}")
        return answer

    def _completed(self, case: Case) -> Mapping[str, Any]:
        """The arguments, those that the program requires filled in with what changes nothing."""
        neutral = {"weights": np.ones(case.logits.shape[:-1]), "loss_normalizing_factor": 1.0}
        missing = [name for name in self.offer(case.function).required if name not in case.inputs]
        return {**case.inputs, **{name: neutral.get(name, 0.0) for name in missing}}

    def _started(self) -> Program:
        """The program, after its hello."""
        try:
            program = Program(self._words)
        except OSError as error:
            raise ProgramError(f"cannot be started: {error.strerror or error}") from error
        hello = {"op": "hello", "protocol": PROTOCOL}
        declaration = _exchange(program, hello, _FIRST * self._seconds)
        try:
            self._declare(declaration)
        except ProgramError:
            program.kill()
            raise
        return program

    def _declare(self, declaration: Mapping[str, Any]) -> None:
        check_declaration(declaration)
        try:
            convention = parse_convention(declaration.get("convention", "")) or LOSSPROOF
            self.convention: Convention = replace(convention, reduction=declaration.get("reduction", "sum"))
            self.limits: Limits = read_limits(declaration.get("limits", {}))
        except TargetError as error:
            raise ProgramError(f"answered hello with an {error}") from error
        except TypeError as error:
            raise ProgramError(f"answered hello with limits that {error}") from error
        if self._declaration and declaration != self._declaration:
            raise ProgramError("declares something else than when it was first started")
        self._declaration = declaration


def _words(command: str) -> Sequence[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise TargetError(f"the command {command!r} cannot be read: {error}") from error
    if not words:
        raise TargetError("the command is empty: give a program and its arguments")
    return words


def _exchange(program: Program, request: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """The answer to a request; without one the program is killed, as nobody knows what it says next."""
    line = json.dumps(request, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    try:
        return read_answer(program.ask(line, seconds), request.get("id"))
    except BaseException:
        program.kill()
        raise


def _is_floating(value: Any) -> bool:
    return isinstance(value, float) or np.asarray(value).dtype.name in FORMATS
