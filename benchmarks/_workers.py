"""Work in another process, which may be killed by what it does, or never end."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Refused(Exception):
    """Why there is no result, in one line."""


class Worker:
    """A process that calls a function, and is replaced when a call ends it."""

    def __init__(self, function: Callable[..., Any], limit: float) -> None:
        """
        Args:
          function: importable; its arguments and result are pickled.
          limit: seconds after which a call is given up.
        """
        self._function, self._limit = function, limit
        self._context = multiprocessing.get_context("spawn")  # a fork would share what the libraries have begun
        self._process: Any = None
        self._connection: Connection | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Returns what the function returns.

        Raises:
          Refused: it raised, ended its process, or took longer than the limit.
        """
        if self._connection is None:
            self._connection, other = self._context.Pipe()
            self._process = self._context.Process(target=_serve, args=(self._function, other), daemon=True)
            self._process.start()
            other.close()
        try:
            self._connection.send(arguments)
            if not self._connection.poll(self._limit):
                self.close()
                raise Refused(f"did not end in {self._limit:g} s")
            result, reason = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self.close()
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
            raise Refused(f"ended its process with {how}") from None
        if reason is not None:
            raise Refused(reason)
        return result

    def close(self) -> None:
        """Ends the process; the next call starts another."""
        if self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
        self._connection = self._process = None


def _serve(function: Callable[..., Any], connection: Connection) -> None:
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = function(*arguments), None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            lines = str(error).strip().splitlines() or [""]
            answer = None, f"{type(error).__name__}: {lines[0][:300]}"
        connection.send(answer)
