"""A case as golden vectors write their inputs, so that what a search found can become one."""

from typing import Any

import numpy as np

from lossproof import golden
from lossproof.conformance.judging.case import Case
from lossproof.spec import DENSE, KEYWORDS, WEIGHTED

LARGEST = 512  # logits; vectors are for reading, too


def question(case: Case) -> dict[str, Any]:
    """The function, inputs and cotangents (1 for each loss) of a case; empty where vectors have no place for it."""
    integer = case.function != DENSE and np.issubdtype(case.inputs["targets"].dtype, np.integer)
    if set(case.inputs) & set(KEYWORDS[case.function]) or not (integer or case.function == DENSE):
        return {}
    if not 0 < case.logits.size <= LARGEST:
        return {}
    carried = case.carried
    ones = np.ones(() if case.function == WEIGHTED else case.logits.shape[:-1], carried)
    inputs = {name: value for name, value in case.inputs.items() if value is not None}
    return {
        "function": case.function,
        "inputs": {name: _json(value) for name, value in inputs.items()},
        "cotangents": {"loss": _json(ones if ones.ndim else ones.item(), carried)},
    }


def _json(value: Any, dtype: str = "float64") -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        return golden.Scalar(dtype, float(value)).to_json()
    return golden.Array(value.dtype.name, value.shape, tuple(value.ravel().tolist())).to_json()
