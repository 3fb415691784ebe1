"""What a platform's elementary functions are good for: the only numbers the bounds take from outside the case.

They are data, `profiles.toml`, which names the source of each. Errors are in ulp, measured or documented; in units of
u = half an ulp of 1 they count double (docs/error-analysis.md, sections 1 and 18).
"""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Functions:
    """Largest errors of exp, log, log1p and tanh in ulp, in one type."""

    exp: float
    log: float
    log1p: float
    tanh: float


@dataclass(frozen=True)
class Profile:
    """A platform: its functions in float32, and in float64 if it has that type."""

    name: str
    float32: Functions
    float64: Functions | None = None

    def of(self, carried: str) -> Functions:
        """The functions in the type that arithmetic is carried in.

        Raises:
          ValueError: the platform has no such type.
        """
        functions = self.float64 if carried == "float64" else self.float32
        if functions is None:
            raise ValueError(f"profile {self.name!r} knows nothing of float64: choose another for float64 logits")
        return functions


@functools.cache
def _data() -> dict[str, Any]:
    text = resources.files("lossproof.reference.bounds").joinpath("profiles.toml").read_text("utf-8")
    return tomllib.loads(text)


def profiles_version() -> int:
    """The version of the data: another number, other bounds."""
    return int(_data()["version"])


def profile_names() -> tuple[str, ...]:
    """The platforms that are known, in the order of the file."""
    return tuple(dict.fromkeys(row["platform"] for row in _data()["rows"]))


@functools.cache
def profile(name: str) -> Profile:
    """The profile of a platform.

    Args:
      name: one of `profile_names`.

    Raises:
      ValueError: no such platform.

    Example:
      >>> from lossproof.reference.bounds import profile
      >>> profile("jax-nvidia").float32
      Functions(exp=2.0, log=1.0, log1p=1.0, tanh=5.5)
    """
    if name not in profile_names():
        raise ValueError(f"profile must be one of {', '.join(profile_names())}, got {name!r}")
    errors: dict[str, dict[str, float]] = {}
    for row in _data()["rows"]:
        if row["platform"] == name:
            errors.setdefault(row["dtype"], {})[row["function"]] = row["ulp"]
    return Profile(name, **{dtype: Functions(**of_type) for dtype, of_type in errors.items()})


JAX_CPU = profile("jax-cpu")
