"""What a clause speaks of: only a comparison of that counts for it, and only a deviation in that breaks it.

A subject is an output ("loss"), a derivative ("by logits"), a cotangent that was pulled back alone ("cotangent of
z_loss"), or what else was asked for ("refusal", "jvp"). A clause passes if each of its subjects was compared in a case
about it, and none deviated; it passes in part if some were, because the target does not offer the others.
"""

from collections.abc import Iterable, Mapping, Sequence

from lossproof.spec import CLAUSES, DENSE, FURTHER, SCALARS

REFUSAL, TYPES, SAME, BITS = "refusal", "type", "same value", "same bits"
LOSS, Z, LOG_Z, WEIGHT_SUM = "loss", "z_loss", "log_z", "weight_sum"
FACTOR, WEIGHTS = "factor", "weights"
BY_LOGITS = "by logits"
TOGETHER = "cotangents together"
JVP, MIXED = "jvp", "mixed"
ORDERS = ("forward over reverse", "reverse over forward")
TRANSFORMS = ("vmap", "scan", "checkpoint")
VALUE_TYPES, DERIVATIVE_TYPES = f"{TYPES} of values", f"{TYPES} of derivatives"


def by(argument: str) -> str:
    """The subject of the derivative by an argument."""
    return f"by {argument}"


def cotangent_of(output: str) -> str:
    """The subject of a cotangent that is pulled back alone."""
    return f"cotangent of {output}"


_STATES = (LOSS, BY_LOGITS)
_RESULTS = (LOSS, Z, LOG_Z, BY_LOGITS)
_VALUES = (LOSS, Z, LOG_Z, WEIGHT_SUM, *FURTHER)
_DERIVATIVES = tuple(by(name) for name in ("logits", "targets", "weights", *SCALARS))

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "SHAPE-1": (REFUSAL,),
    "SHAPE-2": (REFUSAL, LOSS),
    "SHAPE-3": (VALUE_TYPES, DERIVATIVE_TYPES),
    "SHAPE-4": (LOSS, Z, WEIGHT_SUM, BY_LOGITS),
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
    "VALUE-7": (LOSS,),
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
    "GRAD-8": (JVP,),
    "GRAD-9": ORDERS,
    "GRAD-10": TRANSFORMS,
    "GRAD-11": (MIXED,),
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
    "CONV-1": _STATES,
    "CONV-2": _STATES,
    "SPLIT-1": (LOSS,),
    "SPLIT-2": _STATES,
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
    "DIFF-11": (JVP,),
    "DIFF-12": (VALUE_TYPES,),
    "DIFF-13": (WEIGHTS,),
    "DIFF-14": (by("label_smoothing"),),
}
assert set(SUBJECTS) == set(CLAUSES), f"SUBJECTS and SPEC.md differ in {sorted(set(SUBJECTS) ^ set(CLAUSES))}"

# What a clause speaks of besides, as far as a target offers it: a pass does not need it, a deviation breaks the clause.
_ALSO: Mapping[str, tuple[str, ...]] = {
    "SHAPE-1": _RESULTS,
    "SHAPE-4": (LOG_Z,),
    "SHAPE-5": (LOSS, BY_LOGITS),
    "VALUE-7": (Z,),
    "VALUE-10": (*_VALUES, *_DERIVATIVES),
    "VALUE-11": _VALUES,
    "VALUE-12": (*_VALUES, BY_LOGITS, by("targets")),
    "GRAD-9": (BY_LOGITS,),
    "GRAD-13": (TOGETHER,),
    "STATE-4": _VALUES,
    "STATE-5": _STATES,
    "NORM-1": (WEIGHTS,),
    "NORM-3": (FACTOR,),
    "ACC-1": ("target_log_probability",),
    "ACC-3": _DERIVATIVES,
    "ACC-4": (Z, WEIGHT_SUM),
    "ACC-5": (*_VALUES, *_DERIVATIVES),
    "ACC-7": (*_VALUES, *_DERIVATIVES, FACTOR, WEIGHTS),
    "CONV-1": (Z, by("label_smoothing")),
    "CONV-2": (*_VALUES, by("label_smoothing")),
    "SPLIT-1": (*_VALUES, BY_LOGITS),
    "SPLIT-2": _VALUES,
    "SPLIT-3": _DERIVATIVES,
    "SPLIT-4": _VALUES,
    "SPLIT-5": _VALUES,
    "DIFF-6": _VALUES,
    "DIFF-13": (FACTOR,),
    "DIFF-14": (LOSS,),
}

# What only grade A tells: accuracy, and logits so huge that grade C, which grows with them, says nothing.
BY_GRADE_A = frozenset({"ACC-1", "ACC-2", "ACC-3", "ACC-4", "ACC-5", "ACC-7", "STATE-4", "DIFF-6"})

# What is broken by a deviation of which the clauses in question do not speak.
_PLAIN = {
    LOSS: "VALUE-1",
    Z: "VALUE-4",
    LOG_Z: "VALUE-8",
    WEIGHT_SUM: "VALUE-6",
    "target_log_probability": "VALUE-13",
    "predicted_class": "VALUE-14",
    "entropy": "VALUE-15",
    BY_LOGITS: "GRAD-1",
    by("weights"): "GRAD-2",
    by("z_loss"): "GRAD-3",
    by("label_smoothing"): "GRAD-4",
    by("loss_normalizing_factor"): "GRAD-5",
    by("targets"): "GRAD-6",
    FACTOR: "NORM-4",
    WEIGHTS: "NORM-3",
    SAME: "VALUE-9",
    BITS: "ACC-6",
    VALUE_TYPES: "SHAPE-3",
    DERIVATIVE_TYPES: "SHAPE-3",
}


def concerned(clauses: Iterable[str], subject: str) -> tuple[str, ...]:
    """Those of some clauses that speak of a subject."""
    return tuple(c for c in clauses if subject in SUBJECTS[c] or subject in _ALSO.get(c, ()))


def plain(subject: str, function: str) -> str:
    """The clause that any deviation in a subject breaks, whatever the case is about; "" if there is none."""
    return "VALUE-7" if subject == LOSS and function == DENSE else _PLAIN.get(subject, "")


def broken(
    clauses: Sequence[str], subjects: Sequence[str], function: str, *, is_small: bool = False
) -> tuple[str, ...]:
    """The clauses that a deviation breaks.

    Args:
      clauses: that the case is about.
      subjects: what deviates; of none, all of the clauses are broken.
      function: that was called.
      is_small: whether grade C allows it, and grade A does not.
    """
    if not subjects:
        return tuple(clauses)
    about = dict.fromkeys(clause for subject in subjects for clause in concerned(clauses, subject))
    if is_small:
        of_value = any(subject in _VALUES for subject in subjects)
        return tuple(c for c in about if c in BY_GRADE_A) or ("ACC-5" if of_value else "ACC-3",)
    others = [base for subject in subjects if (base := plain(subject, function))]
    return tuple(about) or tuple(others[:1]) or tuple(clauses)
