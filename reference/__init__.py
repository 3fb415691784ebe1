"""The reference: what the right answer is, exactly (mpmath and the standard library only).

Read it beside SPEC.md: `_token.py` has the formulas of one token, `_losses.py` the functions, `_derivatives.py` and
`_directional.py` their derivatives, `_linear.py` the loss fused with the layer that makes the logits, `_factors.py`
the normalising factors. Equal tokens, and classes of one logit and one weight, are computed once (`_alike.py`). Every
answer is an `Enclosure`.

Two subpackages need NumPy, and are imported by name: `bounds` says how far from these answers a good algorithm may be,
`oracle` gives them for production shapes.
"""

from lossproof.reference._derivatives import (
    DenseGradients as DenseGradients,
    TokenGradients as TokenGradients,
    WeightedGradients as WeightedGradients,
    compute_weighted_cross_entropy_gradients as compute_weighted_cross_entropy_gradients,
    cross_entropy_with_logits_gradients as cross_entropy_with_logits_gradients,
    token_cross_entropy_gradients as token_cross_entropy_gradients,
)
from lossproof.reference._directional import (
    compute_weighted_cross_entropy_jvp as compute_weighted_cross_entropy_jvp,
    cross_entropy_with_logits_jvp as cross_entropy_with_logits_jvp,
    dense_hessian_vector_product as dense_hessian_vector_product,
    token_cross_entropy_jvp as token_cross_entropy_jvp,
    token_hessian_vector_product as token_hessian_vector_product,
    weighted_hessian_vector_product as weighted_hessian_vector_product,
)
from lossproof.reference._enclosure import (
    Enclosure as Enclosure,
    EnclosureArray as EnclosureArray,
)
from lossproof.reference._factors import (
    Normalization as Normalization,
    SpecialLossNormalizingFactor as SpecialLossNormalizingFactor,
    convert_special_loss_normalizing_factor_to_enum as convert_special_loss_normalizing_factor_to_enum,
    get_loss_normalizing_factor_and_weights as get_loss_normalizing_factor_and_weights,
)
from lossproof.reference._interval import (
    UndecidedError as UndecidedError,
)
from lossproof.reference._linear import (
    LinearGradients as LinearGradients,
    linear_cross_entropy as linear_cross_entropy,
    linear_cross_entropy_gradients as linear_cross_entropy_gradients,
)
from lossproof.reference._losses import (
    DenseCrossEntropy as DenseCrossEntropy,
    TokenCrossEntropy as TokenCrossEntropy,
    WeightedCrossEntropy as WeightedCrossEntropy,
    compute_weighted_cross_entropy as compute_weighted_cross_entropy,
    cross_entropy_with_logits as cross_entropy_with_logits,
    token_cross_entropy as token_cross_entropy,
)
from lossproof.reference._prediction import (
    Prediction as Prediction,
    PredictionGradients as PredictionGradients,
    prediction as prediction,
    prediction_gradients as prediction_gradients,
)
from lossproof.reference._rounding import (
    round_to as round_to,
)
from lossproof.spec import (
    FORMATS as FORMATS,
    LOSSPROOF as LOSSPROOF,
    Convention as Convention,
)
