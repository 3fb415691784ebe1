"""The topic language_model: logits of a trained model, from the export of its training run."""

from typing import Any

from lossproof.golden._builders import array, ones, scalar
from lossproof.golden._case import Array, Input, Question
from lossproof.golden._errors import GoldenError
from lossproof.golden._flags import explained
from lossproof.golden._numbers import from_hex
from lossproof.golden._schema import parse
from lossproof.golden._topic import Topic

TOPIC = "language_model"
DESCRIPTION = "Logits of a byte-level language model trained on English text; see origin."
NARROW = {"bfloat16", "float16"}


def read_export(content: bytes, name: str) -> Topic:
    """Returns the topic of an export: each of its arrays plain, and with label smoothing and z-loss.

    Args:
      content: the bytes of the export.
      name: what to call it in an error.

    Raises:
      GoldenError: it is not JSON, not what model_export.schema.json says, or contradicts itself.
    """
    export = parse(content, "model_export", name)
    questions = [
        question for i, case in enumerate(export["cases"]) for question in _questions(case, f"{name}: case {i}")
    ]
    return Topic(TOPIC, DESCRIPTION, explained(questions), export["origin"], tuple(questions))


def _questions(case: dict[str, Any], where: str) -> list[Question]:
    try:
        logits = Array(case["dtype"], tuple(case["shape"]), tuple(map(from_hex, case["logits"])))
        targets = array(case["targets"], "int32")
    except ValueError as error:
        raise GoldenError(where, str(error)) from error
    if targets.shape != logits.shape[:-1]:
        problem = (
            f"expected {logits.shape[0]} targets, one for each row of logits, got {targets.shape[0]}: export again"
        )
        raise GoldenError(where, problem)
    narrow = logits.dtype in NARROW
    flags = ("real_text", "narrow_logits") if narrow else ("real_text",)
    clauses = ("VALUE-10", *(("SHAPE-3", "ACC-5") if narrow else ()), "ACC-1", "GRAD-1", "ACC-3")
    smoothed: dict[str, Input] = {"label_smoothing": scalar(0.1), "z_loss": scalar(1e-4)}

    def question(more: dict[str, Input], more_clauses: tuple[str, ...], note: str) -> Question:
        return Question(
            "token_cross_entropy",
            {"logits": logits, "targets": targets, **more},
            {"loss": ones(targets.shape, logits.dtype)},
            (*clauses, *more_clauses),
            flags,
            f"{case['note']}; {note}",
            "exported from the model in origin",
        )

    return [
        question({}, ("VALUE-1",), "no smoothing, no z-loss"),
        question(smoothed, ("VALUE-2", "VALUE-3", "VALUE-4", "GRAD-3", "GRAD-4"), "label smoothing 0.1, z-loss 1e-4"),
    ]
