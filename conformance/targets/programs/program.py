"""A program that answers lines with lines: started, asked within a time limit, and ended with all that it started."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
import weakref
from collections.abc import Sequence
from typing import IO

LONGEST = 2**27  # bytes of an answer: a gradient of the largest request has fewer than half as many
_GRACE = 2.0  # seconds that a program has to end by itself once its stdin is closed
_CHUNK = 2**16
_LAST_WORDS = 2000  # bytes of stderr that are kept


class ProgramError(Exception):
    """The program ended, hung or wrote what is no answer."""


class ProgramHangsError(ProgramError):
    """The program did not answer in time; to ask again would take as long."""


class Program:
    """A running program. It ends with this object, at the latest with this process.

    Args:
      words: the command.

    Raises:
      OSError: it cannot be started.
    """

    def __init__(self, words: Sequence[str]) -> None:
        # A session of its own: what it starts in turn can be killed with it.
        self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603  what the user asks to check
            words,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._stdin, self._stdout, self._stderr = _pipes(self._process)
        for pipe in (self._stdin, self._stderr):
            os.set_blocking(pipe.fileno(), False)
        self._last_words: bytes = b""
        self._close = weakref.finalize(self, _end, self._process)

    def ask(self, line: bytes, seconds: float) -> bytes:
        """Writes a line and reads one.

        Raises:
          ProgramHangsError: no answer came in time.
          ProgramError: the program ended, wrote too much, or more than one line.
        """
        ends = time.monotonic() + seconds
        unsent, answer, complete = memoryview(line), bytearray(), False
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stderr, selectors.EVENT_READ)
            while unsent or not complete:
                ready = {key.fileobj for key, _ in selector.select(max(0.0, ends - time.monotonic()))}
                if self._stderr in ready and not self._listen():
                    selector.unregister(self._stderr)
                if self._stdin in ready:
                    unsent = unsent[self._write(unsent) :]
                    if not unsent:
                        selector.unregister(self._stdin)
                if self._stdout in ready:
                    chunk = os.read(self._stdout.fileno(), _CHUNK)
                    if not chunk:
                        raise ProgramError(f"{self._how_it_ended()} instead of answering{self._quoted_words()}")
                    answer += chunk
                    complete = complete or b"\n" in chunk
                    if len(answer) > LONGEST:
                        raise ProgramError(f"wrote an answer of more than {LONGEST} bytes{self._quoted_words()}")
                if time.monotonic() > ends:
                    raise ProgramHangsError(f"did not answer within {seconds:g} s{self._quoted_words()}")
        first, _, rest = bytes(answer).partition(b"\n")
        if rest.strip():
            raise ProgramError(f"wrote more than one line for one request: {rest[:100]!r} after the answer")
        return first

    def close(self) -> None:
        """Closes the program's stdin, which asks it to end, and kills it if it does not."""
        self._close()

    def kill(self) -> None:
        """Ends the program at once."""
        _kill(self._process)
        self._close()

    def _write(self, unsent: memoryview) -> int:
        """How much was written; what a program does not want to read, it has ended without."""
        try:
            return os.write(self._stdin.fileno(), unsent)
        except BrokenPipeError:
            return len(unsent)

    def _listen(self) -> bool:
        """Reads from stderr; whether it is still open."""
        chunk = os.read(self._stderr.fileno(), _CHUNK)
        self._last_words = (self._last_words + chunk)[-_LAST_WORDS:]
        return bool(chunk)

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return "closed its stdout"
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"

    def _quoted_words(self) -> str:
        """The last line on stderr, for a message."""
        with contextlib.suppress(BlockingIOError):
            while self._listen():
                pass
        lines = self._last_words.decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"; the last line on its stderr: {said[-1][:300]}" if said else ""


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdin, process.stdout, process.stderr


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, and so has all that it started
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    stdin, *outputs = _pipes(process)
    stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    _kill(process)
    process.wait()
    for pipe in outputs:
        pipe.close()
