"""The control of a failure: the same call without what is special about it. What is wrong there, too, is no breach of a
clause about special cases.
"""

from collections.abc import Sequence

import numpy as np

from lossproof.conformance.judging.case import Case, first_token
from lossproof.conformance.judging.charges import (
    BY_LOGITS,
    JVP,
    MIXED,
    ORDERS,
    SUBJECTS,
    TOGETHER,
    TRANSFORMS,
    cotangent_of,
    plain,
)
from lossproof.conformance.judging.draw import make
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.targets import Target
from lossproof.spec import CLAUSES, DENSE, OUTPUTS, WEIGHTED

# Clauses of plain calls, real text among them, and those of accuracy, which a large error breaks, too.
_BASE = {
    "VALUE-1",
    "VALUE-7",
    "VALUE-8",
    "VALUE-10",
    "GRAD-1",
    *(clause for clause in CLAUSES if clause.startswith("ACC-")),
}
_ORDINARY = 50.0  # logits beyond are replaced
_FEW = 4096  # logits that may all differ
_PLENTY = (4, 16)  # the shape where a case has no token, or a single class

# What is as wrong as the derivative by the logits, if that is wrong without any of it.
_OF_DERIVATIVES = {BY_LOGITS, JVP, MIXED, TOGETHER, *ORDERS, *map(cotangent_of, ("loss", "z_loss", "log_z"))}


def controlled(run: Run, target: Target, violation: Violation, broken: Sequence[str]) -> tuple[str, ...]:
    """The clauses that a failure breaks, in the light of its control.

    Args:
      run: the unit that failed.
      target: the same as the unit's, whose calls are not noted.
      violation: the failure.
      broken: what it breaks if the control is right.
    """
    special = [clause for clause in broken if clause not in _BASE]
    case = violation.case
    if not special or case is None or case.function not in OUTPUTS:
        return tuple(broken)
    ordinary = _of_one_axis(case) if "SHAPE-1" in special else case
    wrong = [
        subject
        for subject in _questions(violation.subjects, case.function)
        if _deviates(run, target, ordinary, subject)
    ]
    if not wrong:
        return tuple(broken)
    kept = [clause for clause in broken if clause not in special]
    summed = SUBJECTS["VALUE-5"] if case.function == WEIGHTED else ()
    of_total = [s for s in wrong if s in summed and not _deviates(run, target, ordinary, s, alone=True)]
    found = ["VALUE-5" if subject in of_total else plain(subject, case.function) for subject in wrong]
    if of_total:  # each token is right
        kept = [clause for clause in kept if clause != "VALUE-1"]
    return tuple(dict.fromkeys([*found, *kept]))


def _of_one_axis(case: Case) -> Case:
    """The same tokens along one axis, [N, V]."""
    axes = case.logits.ndim - 1
    arrays = {name: value for name, value in case.inputs.items() if np.ndim(value) >= axes > 0}
    return case.with_inputs(**{name: value.reshape(-1, *value.shape[axes:]) for name, value in arrays.items()})


def twin(run: Run, case: Case) -> Case:
    """The plain call that is most like a case: ordinary finite logits, targets in range, weights 1, nothing else."""
    shape = case.logits.shape
    shape = shape if shape[-1] > 1 and case.logits.size else run.nearest(_PLENTY)
    drawn = np.random.default_rng(0).normal(size=shape)
    logits = np.where(np.isfinite(case.logits), case.logits, np.inf).astype(np.float64)
    if logits.shape == shape:
        drawn = np.where(np.abs(logits) <= _ORDINARY, logits, drawn)
    if drawn.size > _FEW:  # what is alike the reference computes once
        drawn = np.round(drawn * 4) / 4
    given = np.asarray(case.inputs["targets"])
    if given.ndim == case.logits.ndim:
        given = np.argmax(np.abs(np.nan_to_num(given.astype(np.float64))), axis=-1)
    classes = np.resize(given, shape[:-1]).astype(np.int64) % shape[-1]
    one_hot = np.arange(shape[-1]) == classes[..., None]
    targets = one_hot if case.function == DENSE else classes.astype(np.int32)
    extra = {"z_loss": 0.0} if case.function == DENSE and run.has("z_loss") else {}
    return run.completed(make(case.function, run.dtype, drawn, targets, **extra))


def _questions(subjects: Sequence[str], function: str) -> list[str]:
    """What of a plain call can be wrong in the same way."""
    asked = [subject for subject in subjects if subject in OUTPUTS[function]]
    if _OF_DERIVATIVES & set(subjects):
        asked.append(BY_LOGITS)
    return asked + (["loss", BY_LOGITS] if set(TRANSFORMS) & set(subjects) else [])


def _deviates(run: Run, target: Target, case: Case, subject: str, *, alone: bool = False) -> bool:
    """Whether the plain twin of a case, or its first token alone, deviates in a subject."""
    control = Run(target, case.function, run.dtype, run.level, run.seed, run.profile)
    try:
        ordinary = twin(control, case)
        if alone:
            ordinary = twin(control, first_token(ordinary))
        if subject == BY_LOGITS:
            control.check_gradients(ordinary)
        else:
            control.check_values(ordinary, [subject])
    except Violation:
        return True
    except Exception:  # noqa: BLE001  a control that cannot be made says nothing
        return False
    return False
