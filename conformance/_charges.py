"""What a clause speaks of: only a comparison of that counts for it, and only a deviation in that breaks it.

A subject is an output ("loss"), a derivative ("by logits"), a cotangent that was pulled back alone ("cotangent of
z_loss"), or what else was asked for ("refusal", "jvp"). A clause passes if each of its subjects was compared in a case
about it, and none deviated; it passes in part if some were, because the target does not offer the others.
"""

from collections.abc import Iterable, Mapping

from lossproof.conformance._clauses import CLAUSES

REFUSAL, TYPES, SAME, BITS = "refusal", "type", "same value", "same bits"
LOSS, Z, LOG_Z, WEIGHT_SUM = "loss", "z_loss", "log_z", "weight_sum"
FACTOR, WEIGHTS = "factor", "weights"
BY_LOGITS = "by logits"
TOGETHER = "cotangents together"


def by(argument: str) -> str:
    """The subject of the derivative by an argument."""
    return f"by {argument}"


def cotangent_of(output: str) -> str:
    """The subject of a cotangent that is pulled back alone."""
    return f"cotangent of {output}"


_STATES = (LOSS, BY_LOGITS)
_RESULTS = (LOSS, Z, LOG_Z, BY_LOGITS)

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "SHAPE-1": (REFUSAL,),
    "SHAPE-2": (REFUSAL, LOSS),
    "SHAPE-3": (f"{TYPES} of values", f"{TYPES} of derivatives"),
    "SHAPE-4": _STATES,
    "SHAPE-5": (REFUSAL,),
    "SHAPE-6": (REFUSAL,),
    "SHAPE-7": (REFUSAL,),
    "SHAPE-8": (REFUSAL,),
    "VALUE-1": (LOSS,),
    "VALUE-2": (LOSS,),
    "VALUE-3": (LOSS,),
    "VALUE-4": (LOSS, Z),
    "VALUE-5": (LOSS, Z),
    "VALUE-6": (WEIGHT_SUM,),
    "VALUE-7": (LOSS, Z),
    "VALUE-8": (LOG_Z,),
    "VALUE-9": (SAME,),
    "VALUE-10": _STATES,
    "VALUE-11": (LOSS,),
    "VALUE-12": (LOSS,),
    "VALUE-13": ("target_log_probability",),
    "VALUE-14": ("predicted_class",),
    "VALUE-15": ("entropy",),
    "GRAD-1": (BY_LOGITS,),
    "GRAD-2": (by("weights"),),
    "GRAD-3": (by("z_loss"),),
    "GRAD-4": (by("label_smoothing"),),
    "GRAD-5": (by("loss_normalizing_factor"),),
    "GRAD-6": (by("targets"),),
    "GRAD-7": (*(cotangent_of(name) for name in (LOSS, Z, WEIGHT_SUM, LOG_Z)), TOGETHER),
    "GRAD-8": ("jvp",),
    "GRAD-9": ("forward over reverse", "reverse over forward"),
    "GRAD-10": ("vmap", "scan", "checkpoint"),
    "GRAD-11": ("mixed",),
    "GRAD-12": (BY_LOGITS,),
    "GRAD-13": (cotangent_of("target_log_probability"), cotangent_of("entropy")),
    "STATE-1": _STATES,
    "STATE-2": _RESULTS,
    "STATE-3": _RESULTS,
    "STATE-4": _STATES,
    "STATE-5": (Z,),
    "STATE-6": (LOSS, Z, BY_LOGITS),
    "STATE-7": _STATES,
    "STATE-8": (LOSS, Z, BY_LOGITS),
    "EXCL-1": (LOSS, Z, WEIGHT_SUM, BY_LOGITS),
    "EXCL-2": (LOSS, Z, LOG_Z, WEIGHT_SUM, BY_LOGITS),
    "EXCL-3": (LOSS, Z, WEIGHT_SUM, BY_LOGITS),
    "NORM-1": (REFUSAL, FACTOR),
    "NORM-2": (FACTOR, WEIGHTS),
    "NORM-3": (REFUSAL, WEIGHTS),
    "NORM-4": (FACTOR,),
    "NORM-5": (FACTOR,),
    "NORM-6": (FACTOR, WEIGHTS),
    "NORM-7": (FACTOR, WEIGHTS),
    "ACC-1": (LOSS,),
    "ACC-2": _STATES,
    "ACC-3": (BY_LOGITS,),
    "ACC-4": (LOSS,),
    "ACC-5": _STATES,
    "ACC-6": (BITS,),
    "ACC-7": _STATES,
    "CONV-1": (LOSS,),
    "CONV-2": _STATES,
    "SPLIT-1": (LOSS,),
    "SPLIT-2": (LOSS,),
    "SPLIT-3": (BY_LOGITS,),
    "SPLIT-4": _STATES,
    "SPLIT-5": _STATES,
    "DIFF-1": (SAME,),
    "DIFF-2": _STATES,
    "DIFF-3": _STATES,
    "DIFF-4": _STATES,
    "DIFF-5": _STATES,
    "DIFF-6": _STATES,
    "DIFF-7": _STATES,
    "DIFF-8": _STATES,
    "DIFF-9": (BY_LOGITS,),
    "DIFF-10": (by("z_loss"), cotangent_of(Z)),
    "DIFF-11": ("jvp",),
    "DIFF-12": (LOSS,),
    "DIFF-13": (WEIGHTS,),
    "DIFF-14": (by("label_smoothing"),),
}
assert set(SUBJECTS) == set(CLAUSES)

# What is broken by a deviation of which the clauses in question do not speak.
_PLAIN = {LOSS: "VALUE-1", Z: "VALUE-4", LOG_Z: "VALUE-8", WEIGHT_SUM: "VALUE-6", BY_LOGITS: "GRAD-1"}


def concerned(clauses: Iterable[str], subject: str) -> tuple[str, ...]:
    """Those of some clauses that speak of a subject."""
    return tuple(clause for clause in clauses if subject in SUBJECTS[clause])
