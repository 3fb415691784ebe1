"""What is shipped: the sdist, the wheel built from it, and the installed package, outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILT = (".git", ".venv*", ".tox", ".hypothesis", ".*_cache", "__pycache__", "*.egg-info", "build", "dist")
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it would come before the wheel
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command} exited {result.returncode}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def shipped(root: Path) -> set[str]:
    """Returns the wheel paths of every file in the package's folders; their READMEs are for who reads the checkout."""
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-dir"]
    tops = {name: root / folder for name, folder in table.items() if name.count(".") <= 1}
    return {
        "/".join((*name.split("."), *path.relative_to(folder).parts))
        for name, folder in tops.items()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "README.md" and path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without anything built: an old build folder or file list must not fill a gap."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("checkout") / "tree", ignore=shutil.ignore_patterns(*BUILT))


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, not from the tree; without isolation, so that no index is needed."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_exactly_the_files_of_the_tree(tree: Path, wheel: Path) -> None:
    """Fails when a module, a vector or a schema is forgotten by pyproject.toml, or something else gets in."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    expected = shipped(tree)
    assert "lossproof/py.typed" in expected
    missing, stray = expected - names, names - metadata - expected
    assert (missing, stray) == (set(), set())
    assert sorted(METADATA) == sorted(name.split("/", 1)[1] for name in metadata)


def test_installed_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Fails when the package only works where its sources are."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, symlinks=os.name != "nt")
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    # Dependencies come from this environment, after the wheel's own files: a path line runs no other .pth, so an
    # editable lossproof that is installed here stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    code = (
        "import lossproof, sys;"
        "[getattr(lossproof, name) for name in lossproof.__all__];"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'lossproof'), sep='\\n')"
    )
    modules = run(python, "-c", code, cwd=tmp_path).splitlines()
    assert [name for name in modules if not Path(name).is_relative_to(site)] == []
    assert "check" in run(python, "-m", "lossproof", "--help", cwd=tmp_path)
    assert "check" in run(python.with_name("lossproof"), "--help", cwd=tmp_path)


def test_ci_runs_the_command_of_the_readme() -> None:
    """Fails when what the README tells a newcomer to run is not what is checked."""
    (command,) = re.findall(r"^\(\n    (.+)\n\)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert command in [line.strip() for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()]
