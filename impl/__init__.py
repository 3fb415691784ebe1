"""The loss itself: a weighted softmax cross-entropy in JAX, defined by SPEC.md for every input."""

from lossproof.impl._dense_loss import cross_entropy_with_logits as cross_entropy_with_logits
from lossproof.impl._normalizing_factors import (
    SpecialLossNormalizingFactor as SpecialLossNormalizingFactor,
    convert_special_loss_normalizing_factor_to_enum as convert_special_loss_normalizing_factor_to_enum,
    get_loss_normalizing_factor_and_weights as get_loss_normalizing_factor_and_weights,
)
from lossproof.impl._token_loss import (
    TokenCrossEntropy as TokenCrossEntropy,
    token_cross_entropy as token_cross_entropy,
)
from lossproof.impl._weighted_loss import compute_weighted_cross_entropy as compute_weighted_cross_entropy

__all__ = [
    "SpecialLossNormalizingFactor",
    "TokenCrossEntropy",
    "compute_weighted_cross_entropy",
    "convert_special_loss_normalizing_factor_to_enum",
    "cross_entropy_with_logits",
    "get_loss_normalizing_factor_and_weights",
    "token_cross_entropy",
]
