"""Tolerances: `lossproof.reference.bounds` owns them all."""

import ast
from pathlib import Path

import pytest

from lossproof import conformance

FOLDER = Path(conformance.__path__[0])
KEYWORDS = {"rtol", "atol", "rel_tol", "abs_tol", "rel", "abs", "tolerance", "decimal"}
FUNCTIONS = {"isclose", "allclose", "assert_allclose", "approx", "assert_almost_equal", "assert_array_almost_equal"}
DISTANCES = {"abs", "fabs", "absolute", "norm"}


def name_of(node):
    """The last word of a called function's name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_distance(node):
    """Whether an expression computes an absolute value, or is called an error."""
    called = {name_of(inner.func) for inner in ast.walk(node) if isinstance(inner, ast.Call)}
    named = {name_of(inner) for inner in ast.walk(node) if isinstance(inner, ast.Name | ast.Attribute)}
    return bool(called & DISTANCES) or any("error" in name or "difference" in name for name in named)


def tolerances(source):
    """Lines of keywords that name a tolerance, of functions that have one, and of distances compared with a literal."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            named = {keyword.arg for keyword in node.keywords} & KEYWORDS
            lines += [node.lineno] if named or name_of(node.func) in FUNCTIONS else []
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            literal = any(isinstance(side, ast.Constant) and isinstance(side.value, float) for side in sides)
            lines += [node.lineno] if literal and any(map(is_distance, sides)) else []
    return lines


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_tolerance_outside_the_bounds(path):
    """Fails when a check carries a tolerance of its own, which no error analysis stands behind."""
    found = tolerances(path.read_text(encoding="utf-8"))
    assert not found, f"{path.name}: lines {found}"


@pytest.mark.parametrize(
    "source",
    [
        "np.testing.assert_allclose(a, b, rtol=1e-5)",
        "math.isclose(a, b)",
        "same(a, b, tolerance=t)",
        "assert abs(a - b) < 1e-6",
        "assert 0.1 >= np.abs(a - b).max()",
        "error <= 2.0",
        "jnp.allclose(a, b)",
    ],
)
def test_a_tolerance_is_seen(source):
    """Fails when the scan above would not see one."""
    assert tolerances(source) == [1]


@pytest.mark.parametrize("source", ["rng.uniform() > 0.2", "abs(a - b) <= bound", "share > 1.0", "error == 0"])
def test_what_is_no_tolerance_is_left_alone(source):
    """Fails when the scan above cries wolf."""
    assert tolerances(source) == []
