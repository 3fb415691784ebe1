"""The topics whose inputs are written by hand, each in a module of its own: `_topic_NAME.py`."""

import importlib
import pkgutil
from pathlib import Path

_MODULES = sorted(
    module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.name.startswith("_topic_")
)

TOPICS = {topic.name: topic for topic in (importlib.import_module(f"{__package__}.{name}").TOPIC for name in _MODULES)}
