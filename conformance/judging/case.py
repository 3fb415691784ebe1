"""A case: the inputs of one call, as exact bits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ml_dtypes
import numpy as np

from lossproof.reference.bounds import Array as Array, Call
from lossproof.spec import DENSE, FORMATS

DTYPES: Mapping[str, Any] = {
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
}


@dataclass(frozen=True)
class Case(Call):
    """The arguments of one call of `function`, a key of `ARGUMENTS`.

    Attributes:
      traced: whether the scalars are passed as traced values rather than baked in.
    """

    traced: bool = field(default=True)

    @property
    def also(self) -> tuple[str, ...]:
        """The further results that are asked for."""
        return tuple(self.inputs.get("also", ()))

    def with_inputs(self, **changes: Any) -> "Case":
        """The same call with some arguments replaced."""
        return replace(self, inputs={**self.inputs, **changes})

    def describe(self, limit: int = 8) -> str:
        """The inputs on one line, exact: floats in hexadecimal, long arrays cut after `limit` elements."""
        return f"{self.function}({', '.join(f'{name}={_show(value, limit)}' for name, value in self.inputs.items())})"


def first_token(case: Case) -> Case:
    """The case cut to its first token, so that every output is one number."""
    first = (slice(0, 1),) * (case.logits.ndim - 1)
    arrays = {name: value[first] for name, value in case.inputs.items() if isinstance(value, np.ndarray)}
    return case.with_inputs(**arrays)


def exact_inputs(case: Case) -> dict[str, Any]:
    """The arguments as the reference takes them, but for what is a convention there, or another function."""
    defaults = {"z_loss": 0.0} if case.function == DENSE else {}
    apart = ("smoothing", "subtract_entropy", "also")
    return defaults | {name: value for name, value in case.inputs.items() if value is not None and name not in apart}


def argument_dtype(case: Case, name: str) -> str:
    """The floating-point type of an argument, which its derivative has too (SHAPE-3)."""
    value = case.inputs.get(name)
    dtype = value.dtype.name if isinstance(value, np.ndarray) else case.carried
    return dtype if dtype in FORMATS else case.carried


def _show(value: Any, limit: int) -> str:
    if not isinstance(value, np.ndarray):
        return _show_number(value) if isinstance(value, float) else repr(value)
    flat = [_show_number(number) for number in value.ravel()[:limit].tolist()]
    more = ", ..." if value.size > limit else ""
    return f"{value.dtype.name}{list(value.shape)}({', '.join(flat)}{more})"


def _show_number(number: Any) -> str:
    """Hexadecimal without the zeros that float.hex pads with: 0x1.8p+1."""
    if not isinstance(number, float) or not math.isfinite(number):
        return str(number)
    mantissa, _, exponent = number.hex().partition("p")
    return f"{mantissa.rstrip('0').removesuffix('.')}p{exponent}" if "." in mantissa else number.hex()
