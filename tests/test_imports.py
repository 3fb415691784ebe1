"""The direction of knowledge: `reference` and `impl` know nobody, `golden` and `conformance` know `reference`."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each part may import besides the standard library and itself. A name allows its submodules.
ALLOWED = {
    "reference": {"mpmath"},
    "reference/bounds": {"numpy", "lossproof.reference"},
    "reference/oracle": {"numpy", "lossproof.reference"},
    "impl": {"jax", "numpy"},
    "golden": {"lossproof.reference", "jsonschema", "click", "rich", "distributed"},
}
# conformance may use any library, but meets the implementation as a target like any other: through the public name
# `lossproof`, loaded when that target is asked for.
FORBIDDEN_IN_CONFORMANCE = ("lossproof.impl", "lossproof.losses")


def under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def imported(path: Path) -> list[tuple[int, str]]:
    """Returns (line, full module name) of every import in the file, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "lossproof":  # `from lossproof import impl` is an import of lossproof.impl
                found += [(node.lineno, f"lossproof.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, module))
    return found


def module_strings(path: Path) -> list[tuple[int, str]]:
    """Returns (line, name) of every string that is only a dotted name, as importlib.import_module takes it."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    constants = [(n.lineno, n.value) for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [(line, value) for line, value in constants if re.fullmatch(r"[\w.]+", value)]


def files(part: str) -> list[Path]:
    inner = [ROOT / other for other in ALLOWED if other.startswith(f"{part}/")]
    found = sorted(path for path in (ROOT / part).rglob("*.py") if not {*path.parents} & {*inner})
    assert found, f"no Python file in {ROOT / part}"
    return found


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_part_imports_only_what_it_may_know(part: str) -> None:
    """Fails when one of the parts gets to know another one, or a library that its users should not need."""
    allowed = {*ALLOWED[part], f"lossproof.{part.replace('/', '.')}"}
    stray = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(part)
        for line, name in imported(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not any(under(name, prefix) for prefix in allowed)
    ]
    assert stray == []


def test_conformance_meets_the_implementation_only_as_a_target() -> None:
    """Fails when the suite leans on the code it judges: an error in it could then hide itself."""
    stray = [
        f"{path.relative_to(ROOT)}:{line} names {name}"
        for path in files("conformance")
        for line, name in imported(path) + module_strings(path)
        if any(under(name, prefix) for prefix in FORBIDDEN_IN_CONFORMANCE)
    ]
    assert stray == []


@pytest.mark.parametrize("part", [*sorted(ALLOWED), "conformance"])
def test_imports_are_absolute(part: str) -> None:
    """Fails on `from .. import x`, which reaches another part without naming it."""
    relative = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(part)
        for line, name in imported(path)
        if name.startswith(".")
    ]
    assert relative == []


@pytest.mark.parametrize("module", ["lossproof", "lossproof.reference"])
def test_import_needs_neither_jax_nor_numpy(module: str) -> None:
    """Fails when reading the exact semantics costs an installation, or half a second, of jax."""
    code = f"import sys, {module}; print(sorted({{'jax', 'jaxlib', 'numpy'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
