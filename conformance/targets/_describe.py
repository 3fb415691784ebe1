"""Who a target is: what it is made of, and what it says of itself."""

import functools
import hashlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from lossproof.conformance.targets._target import Target


def describe(target: Target) -> dict[str, Any]:
    """The identity of a target, as plain data for a result: adapter, hashes, versions, declarations."""
    convention = target.convention
    return {
        "name": target.name,
        "adapter": type(target).__name__,
        "sources": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in target.sources},
        "packages": _versions(target),
        "convention": {
            "smoothing": convention.smoothing,
            "subtract_entropy": convention.subtract_entropy,
            "add_z_loss": convention.add_z_loss,
            "ignore_index": convention.ignore_index,
            "reduction": convention.reduction,
        },
        "limits": target.limits.to_json(),
        "functions": {
            name: {
                "outputs": list(offer.outputs),
                "arguments": list(offer.arguments),
                "required": list(offer.required),
            }
            for name, offer in target.offers.items()
        },
    }


def remarks(identity: Mapping[str, Any]) -> list[str]:
    """What a summary should say of an identity, one sentence each: how a batch becomes a number, and the limits."""
    means = {"mean": "divided by the sum of the weights", "batch_mean": "divided by the number of tokens"}
    reduction, words = identity["convention"]["reduction"], identity["limits"]["words"]
    said = [f"judged as a mean, {means[reduction]} (reduction {reduction})"] if reduction in means else []
    return said + ([f"takes {words}; nothing beyond was asked of it"] if words else [])


def distributions(package: str) -> list[str]:
    """The names of the installed distributions that a package, by its import name, comes from."""
    return sorted(set(_distributions().get(package, ())))


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _versions(target: Target) -> dict[str, str]:
    if isinstance(target.packages, Mapping):
        return dict(target.packages)
    names = [name for package in target.packages for name in distributions(package)]
    return {name: importlib.metadata.version(name) for name in sorted(names)}
