"""SHAPE: shapes, types and errors."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from lossproof.conformance.judging.case import DTYPES, Case, argument_dtype
from lossproof.conformance.judging.charges import DERIVATIVE_TYPES, LOSS, REFUSAL, VALUE_TYPES, by
from lossproof.conformance.judging.draw import Options, make, unit_cotangents
from lossproof.conformance.judging.judge import Violation
from lossproof.conformance.suite.asking.run import Run, expects
from lossproof.conformance.suite.asking.search import QUICK
from lossproof.conformance.suite.registry import HARD, check
from lossproof.conformance.targets import Unsupported
from lossproof.spec import DENSE, FURTHER, TOKEN

ONE = ["float32"]


def _arguments(run: Run, **changes: Any) -> dict[str, Any]:
    """Good arguments for a plain call, [2, 3, 5] or what is nearest to it, with some replaced."""
    shape = _shape(run)
    logits = np.linspace(-2.0, 2.0, math.prod(shape), dtype=np.float32).reshape(shape)
    targets: Any = np.arange(math.prod(shape[:-1]), dtype=np.int32).reshape(shape[:-1]) % 5
    if run.function == DENSE:
        targets = np.full(shape, 0.2, np.float32)
    needed = {"z_loss": 0.0} if run.function == DENSE and run.has("z_loss") else {}
    return {"logits": logits, "targets": targets} | needed | changes


def _shape(run: Run) -> tuple[int, ...]:
    return run.nearest((2, 3, 5))


def _names(text: str, part: str | tuple[int, ...]) -> bool:
    """Whether a message says a word, or a shape: the same numbers in the same order, however they are written, such as
    (2, 3, 5), float32[2,3,5], 2x3x5 or torch.Size([2, 3, 5]).
    """
    if isinstance(part, str):
        return part in text
    if len(part) < 2:
        inside = "".join(map(str, part))
        return re.search(rf"[(\[]\s*{inside}\s*,?\s*[)\]]", text) is not None
    runs = re.findall(r"\d+(?:\s*[,x×]\s*\d+)+", text)
    return part in [tuple(map(int, re.findall(r"\d+", run))) for run in runs]


def _refuses(
    run: Run, error: type[Exception], says: tuple[str | tuple[int, ...], ...], changes: Mapping[str, Any]
) -> None:
    """The call must raise `error` with a one-line message that says all of `says`."""
    what = ", ".join(f"{name} {_outline(value)}" for name, value in changes.items())
    try:
        run.target.call(run.function, _arguments(run, **changes))
    except Unsupported:
        raise
    except Exception as raised:  # noqa: BLE001  a target may raise anything
        text = str(raised)
        expects(
            isinstance(raised, error),
            f"{what} must be a {error.__name__}, got {type(raised).__name__}: {text[:120]}",
            REFUSAL,
        )
        missing = [str(part) for part in says if not _names(text, part)]
        said = f"the message about {what} must name {', '.join(missing)}, but is: {text[:120]}"
        expects(not missing, said, REFUSAL)
        run.charge(REFUSAL)
        run.tally.cases += 1
        return
    raise Violation(f"{what} must be a {error.__name__}, but was accepted", (REFUSAL,))


def _outline(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}{list(value.shape)}" if value.ndim else f"{value!r}"
    return repr(value)


@check("shapes.mismatch", "SHAPE-1", dtypes=ONE)
def mismatch(run: Run) -> None:
    """Targets and weights that do not fit the logits, and logits without a class."""
    run.require(outputs=["loss"])
    whole = _shape(run)
    *tokens, classes = whole
    misfits: list[tuple[int, ...]] = [(*tokens[:-1], tokens[-1] + 1), tuple(tokens[1:]), (*tokens[:-1], 1)]
    misfits = [shape for shape in misfits if shape not in ((), tuple(tokens))]
    if run.function == DENSE:
        for shape in ((*tokens, classes - 1), (classes,)):
            _refuses(run, ValueError, (whole, shape), {"targets": np.zeros(shape, np.float32)})
    else:
        for shape in [*misfits, (*tokens, 1)]:
            _refuses(run, ValueError, (whole, shape), {"targets": np.zeros(shape, np.int32)})
    if run.has("weights"):
        for shape in [*misfits, ()]:
            _refuses(run, ValueError, (whole, shape), {"weights": np.zeros(shape, np.float32)})
    none = (*tokens, 0)
    _refuses(run, ValueError, (none,), {"logits": np.zeros(none, np.float32)})


@check("shapes.axis_name", "SHAPE-8", dtypes=ONE)
def axis_name(run: Run) -> None:
    """What is no name of an axis, and names of axes that the call is not inside of."""
    run.require(outputs=["loss"], arguments=["axis_name"])
    for nameless in (3, True, (), ("model", 3)):
        _refuses(run, TypeError, ("axis_name",), {"axis_name": nameless})
    for unknown in ("nowhere", ("nowhere",), ("nowhere", "nowhere")):
        _refuses(run, ValueError, ("axis_name", "nowhere"), {"axis_name": unknown})


@check("shapes.input_types", "SHAPE-2", dtypes=ONE, is_quick=False)
def input_types(run: Run) -> None:
    """What is not logits, targets or weights is refused by type; what is, is read at full width."""
    run.require(outputs=["loss"])
    whole, tokens = _shape(run), _shape(run)[:-1]
    _refuses(run, TypeError, ("int32",), {"logits": np.zeros(whole, np.int32)})
    _refuses(run, TypeError, ("complex64",), {"logits": np.zeros(whole, np.complex64)})
    if run.function == DENSE:
        _refuses(run, TypeError, ("complex64",), {"targets": np.zeros(whole, np.complex64)})
        return
    floating = {"targets": np.zeros(tokens, np.float32)}
    if run.takes_dense_targets:
        _refuses(run, ValueError, (whole, tokens), floating)
    else:
        _refuses(run, TypeError, ("float32",), floating)
    _refuses(run, TypeError, ("bool",), {"targets": np.zeros(tokens, bool)})
    if run.has("weights"):
        _refuses(run, TypeError, ("complex64",), {"weights": np.zeros(tokens, np.complex64)})
    _targets_beyond_32_bits(run)


def _targets_beyond_32_bits(run: Run) -> None:
    """2^32 + 1 is out of range, not 1."""
    taken = run.target.limits.targets
    if taken and "int64" not in taken:
        return
    logits = np.zeros(run.nearest((2, 3)), np.float32)
    inputs = {"logits": logits, "targets": np.resize(np.array([2**32 + 1, 1], np.int64), logits.shape[:-1])}
    run.check_values(Case(run.function, inputs), ["loss"])


@check("shapes.output_types", "SHAPE-3", "DIFF-12", dtypes=tuple(DTYPES), is_quick=False)
def output_types(run: Run) -> None:
    """Values are float32 (float64); a gradient is of its argument's type."""
    run.require(outputs=["loss"])

    def examine(case: Case) -> None:
        for name, value in run.values(case).items():
            found = value.dtype.name
            expects(
                found == case.carried,
                f"{name} of {case.dtype} logits must be {case.carried}, got {found}; {case.describe()}",
                VALUE_TYPES,
            )
            run.charge(VALUE_TYPES)
        _, gradients = run.differentiate(case, unit_cotangents(case))
        for name, gradient in gradients.items():
            wanted, found = argument_dtype(case, name), gradient.dtype.name
            said = f"the derivative by {name} must be {wanted}, got {found}; {case.describe()}"
            expects(found == wanted, said, DERIVATIVE_TYPES)
            run.charge(DERIVATIVE_TYPES)
        run.tally.cases += 1

    options = Options(weights=run.has("weights"), z_loss=run.has("z_loss"))
    run.explore(run.cases(options), examine, 0.2)


@check("shapes.empty_batch", "SHAPE-4", dtypes=tuple(DTYPES))
def empty_batch(run: Run) -> None:
    """N = 0: zeros and empty arrays."""
    run.require(outputs=["loss"])
    run.require_sum("mean")
    shape = run.nearest((0, 5))
    if math.prod(shape[:-1]):
        raise Unsupported(f"{run.target.name} takes {run.target.limits.words}; this check needs N = 0")
    targets = np.zeros(shape) if run.function == DENSE else np.zeros(shape[:-1], np.int32)
    extra = {"z_loss": 0.0} if run.function == DENSE and run.has("z_loss") else {}
    case = make(run.function, run.dtype, np.zeros(shape), targets, **extra)
    run.check_values(case)
    run.check_gradients(case)
    if run.has("loss_normalizing_factor"):  # which counts tokens, and there are none
        run.check_values(case.with_inputs(loss_normalizing_factor=0.0))


@check("shapes.smoothing_range", "SHAPE-5", functions=HARD, dtypes=ONE)
def smoothing_range(run: Run) -> None:
    """A concrete label_smoothing outside [0, 1] is an error, a traced one NaN."""
    run.require(outputs=["loss"], arguments=["label_smoothing"])
    for value in (-0.1, 1.5, math.nan, math.inf):
        _refuses(run, ValueError, ("label_smoothing",), {"label_smoothing": value})
    if not run.target.scalars_differentiable:
        return
    logits = np.zeros(run.nearest(QUICK[0]), np.float32)
    targets = np.resize(np.array([0, -1], np.int32), logits.shape[:-1])
    for value in (-0.5, 1.5, math.nan):
        case = run.completed(Case(run.function, {"logits": logits, "targets": targets, "label_smoothing": value}))
        loss = np.ravel(run.values(case)["loss"])
        expects(bool(np.isnan(loss[0])), f"a traced label_smoothing of {value} must give NaN, got {loss[0]}", LOSS)
        gradient = run.differentiate(case, unit_cotangents(case))[1]["logits"].reshape(-1, logits.shape[-1])
        message = f"a traced label_smoothing of {value} must give a gradient row of NaN, got {gradient[0].tolist()}"
        expects(bool(np.all(np.isnan(gradient[0]))), message, by("logits"))
        message = f"an excluded token must have a gradient of 0 at label_smoothing {value}, got {gradient[1].tolist()}"
        expects(not np.any(gradient[1]), message, by("logits"))
        run.charge(by("logits"))
        if run.function == TOKEN:
            expects(loss[1] == 0, f"an excluded token must stay 0 at label_smoothing {value}, got {loss[1]}", LOSS)
        run.charge(LOSS)
        run.tally.cases += 1


@check("shapes.scalars", "SHAPE-6", dtypes=ONE)
def scalars(run: Run) -> None:
    """Arrays with axes, strings and complex numbers are no scalars; integers of any size are."""
    run.require(outputs=["loss"])
    names = [name for name in ("label_smoothing", "z_loss", "loss_normalizing_factor") if run.has(name)]
    if not names:
        raise Unsupported(f"{run.target.name}'s {run.function} takes no scalars")
    for name in names:
        for shape in ((1,), (2, 3)):
            _refuses(run, ValueError, (name, shape), {name: np.zeros(shape, np.float32)})
        for value in ("a lot", 1j, True):
            _refuses(run, TypeError, (name,), {name: value})
        if name != "label_smoothing":
            _takes_any_int(run, name)


def _takes_any_int(run: Run, name: str) -> None:
    """Of the tokens of a whole run, for instance; frameworks take an int for one of 32 bits."""
    number = 3 * 2**31
    try:
        run.check_values(Case(run.function, _arguments(run, **{name: number}), traced=False))
    except Violation as violation:
        raise Violation(f"{name} {number} must be taken as what it is: {violation}", (REFUSAL,)) from violation


@check("shapes.keywords", "SHAPE-7", functions=HARD, dtypes=ONE)
def keywords(run: Run) -> None:
    """Unknown conventions and results, caps that are no known positive number, smoothing of dense targets."""
    run.require(outputs=["loss"], arguments=["smoothing", "logit_softcap"])
    _refuses(run, ValueError, ("smoothing", "others", "uniform", "all"), {"smoothing": "all"})
    for cap in (0.0, -1.0, math.inf, math.nan):
        _refuses(run, ValueError, ("logit_softcap",), {"logit_softcap": cap})
    if run.has("also"):
        _refuses(run, ValueError, ("best", *FURTHER), {"also": ("best",)})
    if run.has("label_smoothing"):
        dense = np.full(_shape(run), 0.2, np.float32)
        _refuses(run, ValueError, ("label_smoothing", "targets"), {"targets": dense, "label_smoothing": 0.1})
