"""Broken losses of which no run has shown yet that level standard notices them: they are not in the matrix."""

UNSEEN = (
    "targets_in_17_bits",
    "convention_dropped_with_mapped_targets",
    "logits_in_16_bits_with_mapped_scalars",
    "last_block_dropped_with_entropy_alone",
    "smoothing_constant_with_uniform_smoothing_many_tokens",
)
