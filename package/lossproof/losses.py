"""Drop-in replacement for `t5x.losses`: `from lossproof import losses`."""

from lossproof.impl import (
    SpecialLossNormalizingFactor as SpecialLossNormalizingFactor,
    compute_weighted_cross_entropy as compute_weighted_cross_entropy,
    convert_special_loss_normalizing_factor_to_enum as convert_special_loss_normalizing_factor_to_enum,
    cross_entropy_with_logits as cross_entropy_with_logits,
    get_loss_normalizing_factor_and_weights as get_loss_normalizing_factor_and_weights,
)

__all__ = [
    "SpecialLossNormalizingFactor",
    "compute_weighted_cross_entropy",
    "convert_special_loss_normalizing_factor_to_enum",
    "cross_entropy_with_logits",
    "get_loss_normalizing_factor_and_weights",
]
