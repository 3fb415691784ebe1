"""The direction of knowledge: spec, reference, golden, conformance, each of those before it; `impl` of nobody."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each part may import besides the standard library and itself. A name allows its submodules.
ALLOWED = {
    "spec": set(),
    "reference": {"mpmath", "lossproof.spec"},
    "reference/bounds": {"numpy", "lossproof.reference", "lossproof.spec"},
    "reference/oracle": {"numpy", "lossproof.reference", "lossproof.spec"},
    "impl": {"jax", "numpy"},
    "golden": {"lossproof.reference", "lossproof.spec", "jsonschema", "click", "rich", "distributed"},
}
# conformance may use any library, but meets the implementation as a target like any other: through the public name
# `lossproof`, loaded when that target is asked for.
FORBIDDEN_IN_CONFORMANCE = ("lossproof.impl", "lossproof.losses")

# The rooms of conformance, each of which knows those before it alone, and what stands on top of them all.
ROOMS = ("judging", "coverage", "targets", "suite", "running", "mutants", "diagnosis", "report", "command")
DOORS = ("__init__", "plugin", "test_conformance")
PARTS = ("spec", "reference", "golden", "impl", "conformance")
MOST_ENTRIES, MOST_LINES = 12, 350
# The base of the mutants is one text: a mutant is an edit of it.
LONG = {"conformance/mutants/losses/_base.py"}


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


def module_of(path: Path) -> str:
    """The dotted name of a file of the checkout."""
    return ".".join(("lossproof", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_of(path): path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))}


def run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not is_for_types:
            yield node
            yield from run_time(node)


def meetings(module: str) -> Iterator[tuple[str, str]]:
    """(module, name) of all that a module imports from others of the project, lazily too; "" is the module itself."""
    for node in run_time(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in MODULES:
                    yield inner, ""
                elif node.module in MODULES:
                    yield node.module, alias.name
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in MODULES)


def test_no_module_imports_itself_by_others() -> None:
    """Fails on a circle of imports, lazy ones included: none of its modules can be read, or moved, without the rest."""
    graph = {module: {other for other, _ in meetings(module)} - {module} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_rooms_of_conformance_know_those_before_them_alone() -> None:
    """Fails when a room gets to know one above it, or there is a module in none."""
    order = {room: place for place, room in enumerate((*ROOMS, *DOORS))}
    known = {
        module: path.relative_to(ROOT / "conformance")
        for module, path in MODULES.items()
        if "conformance" in path.parts
    }
    room = {module: path.with_suffix("").parts[0] for module, path in known.items()}
    assert set(room.values()) == set(order)
    stray = [
        f"{module} imports {other}"
        for module in known
        for other, _ in meetings(module)
        if other in room and room[other] not in DOORS[:1] and order[room[other]] > order[room[module]]
    ]
    assert stray == []


def test_what_is_private_stays_in_its_folder() -> None:
    """Fails when a module whose name begins with _, or a name that does, is imported from outside of its folder."""
    stray = []
    for module in MODULES:
        for other, name in meetings(module):
            folder, _, last = other.rpartition(".")
            if last.startswith("_") and not last.startswith("__") and not f"{module}.".startswith(f"{folder}."):
                stray.append(f"{module} imports {other}")
            if name.startswith("_"):
                stray.append(f"{module} imports {name} from {other}")
    assert stray == []


def test_folders_and_files_of_conformance_can_be_taken_in() -> None:
    """Fails when a folder has more entries, or a file more lines, than a reader takes in."""
    folders = [path.parent for path in (ROOT / "conformance").rglob("__init__.py")]
    full = {
        str(folder.relative_to(ROOT)): count
        for folder in folders
        if (count := sum(each.name != "__pycache__" for each in folder.iterdir())) > MOST_ENTRIES
    }
    assert full == {}
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES.values()
        if "conformance" in path.parts
    }
    assert {name for name, lines in sizes.items() if lines > MOST_LINES} == LONG
