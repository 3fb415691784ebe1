"""The topics whose inputs are written by hand, each in a module of its own."""

from lossproof.golden import (
    _topic_confident_tokens,
    _topic_dense_targets,
    _topic_excluded_tokens,
    _topic_large_vocabulary,
    _topic_many_tokens,
    _topic_masked_vocabulary,
    _topic_narrow_gradients,
    _topic_odd_vocabularies,
    _topic_offsets,
    _topic_packed_batches,
    _topic_peer_bugs,
    _topic_small_vocabularies,
    _topic_smoothing_extremes,
    _topic_special_states,
    _topic_start_values,
    _topic_t5x_differences,
    _topic_weights_and_factors,
    _topic_worst_cases,
    _topic_z_loss,
)

_MODULES = (
    _topic_confident_tokens,
    _topic_dense_targets,
    _topic_excluded_tokens,
    _topic_large_vocabulary,
    _topic_many_tokens,
    _topic_masked_vocabulary,
    _topic_narrow_gradients,
    _topic_odd_vocabularies,
    _topic_offsets,
    _topic_packed_batches,
    _topic_peer_bugs,
    _topic_small_vocabularies,
    _topic_smoothing_extremes,
    _topic_special_states,
    _topic_start_values,
    _topic_t5x_differences,
    _topic_weights_and_factors,
    _topic_worst_cases,
    _topic_z_loss,
)

TOPICS = {module.TOPIC.name: module.TOPIC for module in _MODULES}
