"""The topics whose inputs are written by hand, each in a module of its own."""

from lossproof.golden import (
    _topic_excluded_tokens,
    _topic_special_states,
    _topic_start_values,
    _topic_t5x_differences,
)

_MODULES = (_topic_excluded_tokens, _topic_special_states, _topic_start_values, _topic_t5x_differences)

TOPICS = {module.TOPIC.name: module.TOPIC for module in _MODULES}
