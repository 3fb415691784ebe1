"""A softmax cross-entropy for training language models whose every digit is accounted for.

The public names are loaded on first use, so that `import lossproof.reference` needs no jax.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossproof.impl import (
        SpecialLossNormalizingFactor as SpecialLossNormalizingFactor,
        TokenCrossEntropy as TokenCrossEntropy,
        compute_weighted_cross_entropy as compute_weighted_cross_entropy,
        convert_special_loss_normalizing_factor_to_enum as convert_special_loss_normalizing_factor_to_enum,
        cross_entropy_with_logits as cross_entropy_with_logits,
        get_loss_normalizing_factor_and_weights as get_loss_normalizing_factor_and_weights,
        token_cross_entropy as token_cross_entropy,
    )

__version__ = "0.1.0"

_IMPL_NAMES = (
    "SpecialLossNormalizingFactor",
    "TokenCrossEntropy",
    "compute_weighted_cross_entropy",
    "convert_special_loss_normalizing_factor_to_enum",
    "cross_entropy_with_logits",
    "get_loss_normalizing_factor_and_weights",
    "token_cross_entropy",
)
_SUBPACKAGES = ("conformance", "golden", "impl", "losses", "reference", "spec")

__all__ = [*_IMPL_NAMES, "__version__", "conformance", "golden", "impl", "losses", "reference", "spec"]


def __getattr__(name: str) -> object:
    if name in _IMPL_NAMES:
        return getattr(importlib.import_module("lossproof.impl"), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"lossproof.{name}")
    raise AttributeError(f"module 'lossproof' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
