"""Ids that say what a case asks, so that cases can be added, moved and reordered without renaming any."""

import hashlib
import json
from typing import Any

ID_LENGTH = 16


def content_id(function: str, inputs: dict[str, Any], cotangents: dict[str, Any]) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of the question as compact JSON with sorted keys.

    Args:
      function: its name.
      inputs, cotangents: in the form of the file.
    """
    question = {"function": function, "inputs": inputs, "cotangents": cotangents}
    text = json.dumps(question, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:ID_LENGTH]
