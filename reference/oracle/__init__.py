"""A fast oracle: the reference's answers for production shapes, as double-doubles with a proven radius (numpy only).

`_losses.py` and `_gradient.py` have the functions, `_tokens.py` the formulas of one token, `_row_sums.py` what is
computed for every logit, `_exp.py` and `_log1p.py` the two functions it needs. docs/oracle-proof.md proves every
radius.
"""

from lossproof.reference.oracle._gradient import (
    logits_gradient_rows as logits_gradient_rows,
)
from lossproof.reference.oracle._losses import (
    Bracket as Bracket,
    TokenCrossEntropy as TokenCrossEntropy,
    WeightedCrossEntropy as WeightedCrossEntropy,
    compute_weighted_cross_entropy as compute_weighted_cross_entropy,
    token_cross_entropy as token_cross_entropy,
)
