"""What to run, and the command that runs it again."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

# Seconds that a unit may take; GiB that a process may hold.
TIMEOUTS = {"smoke": 60.0, "standard": 120.0, "exhaustive": 14400.0}
MEMORY = 8.0

# Before the command of a target that is a program.
PROGRAM = "exec:"


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
      target: its name.
      level: "smoke", "standard" or "exhaustive".
      seed: of the search.
      only: names of units, checks, groups or clauses; all of none.
      workers: processes.
      convention: words for `parse_convention`.
      profile: the platform that the target runs on.
      timeout: seconds that a unit may take; by the level if None.
      memory: GiB that a process may hold.
      dtypes: the types of logits; all of none.
      fail_fast: whether the first failure ends the run.
      cause: whether a known defect is looked for that explains the failures.
    """

    target: str
    level: str = "standard"
    seed: int = 0
    only: tuple[str, ...] = ()
    workers: int = 1
    convention: str = ""
    profile: str = "jax-cpu"
    timeout: float | None = None
    memory: float = MEMORY
    dtypes: tuple[str, ...] = ()
    fail_fast: bool = False
    cause: bool = True

    @property
    def seconds(self) -> float:
        """What a unit may take."""
        return TIMEOUTS[self.level] if self.timeout is None else self.timeout

    @property
    def is_partial(self) -> bool:
        """Whether units of the level are left out."""
        return bool(self.only or self.dtypes)

    def command(self, *, only: tuple[str, ...] | None = None) -> str:
        """The line that repeats the run from any folder, or with `only` some units of it."""
        words = ["lossproof", "check", *_from_anywhere(self.target)]
        words += ["--level", self.level, "--seed", str(self.seed)]
        words += [word for name in (self.only if only is None else only) for word in ("--only", name)]
        words += ["--dtypes", ",".join(self.dtypes)] if self.dtypes and only is None else []
        words += ["--fail-fast"] if self.fail_fast and only is None else []
        defaults = Request(self.target)
        for name in ("convention", "profile", "timeout", "memory"):
            if getattr(self, name) != getattr(defaults, name):
                words += [f"--{name}", f"{getattr(self, name)}"]
        return shlex.join(words)


def _from_anywhere(target: str) -> list[str]:
    """The words that name the target, with the paths of its files from the root."""
    program = target.removeprefix(PROGRAM)
    if program != target:
        try:
            words = shlex.split(program)
        except ValueError:
            return ["--exec", program]
        # The first word without a slash is looked for in PATH.
        paths = [os.sep in word or place > 0 for place, word in enumerate(words)]
        return ["--exec", shlex.join(_absolute(w) if is_path else w for w, is_path in zip(words, paths, strict=True))]
    module, colon, function = target.rpartition(":")
    return [f"{_absolute(module)}{colon}{function}" if module.endswith(".py") else target]


def _absolute(word: str) -> str:
    return str(Path(word).absolute()) if Path(word).is_file() else word
