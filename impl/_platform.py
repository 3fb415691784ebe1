"""What is computed in one way on one platform and in another elsewhere, decided when a program is lowered for it."""

from collections.abc import Callable
from typing import TypeVar

from jax import lax

Results = TypeVar("Results")


def on_platform(
    implementation: str | None, *arguments: object, cpu: Callable[..., Results], default: Callable[..., Results]
) -> Results:
    """`cpu` of the arguments where the program runs on XLA:CPU, `default` elsewhere and where "xla" is asked for."""
    if implementation == "xla" or cpu is default:
        return default(*arguments)
    results: Results = lax.platform_dependent(*arguments, cpu=cpu, default=default)
    return results
