"""Who a target is, and the list of those known by name."""

import hashlib
import importlib.metadata
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lossproof.conformance import load_target
from lossproof.conformance.command._targets import targets
from lossproof.conformance.targets import adapters as _adapters, describe
from lossproof.conformance.targets._limits import Limits
from lossproof.conformance.targets.adapters import ADAPTERS


def test_a_file_is_known_by_its_hash(loss_file, tmp_path):
    """Fails when a result does not say which version of a file it is of."""
    name = loss_file("good")
    found = describe(load_target(name))
    assert found["sources"] == {"mine.py": hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()}
    assert found["packages"] == {name: importlib.metadata.version(name) for name in ("jax", "jaxlib")}
    assert json.loads(json.dumps(found)) == found


def test_a_module_beside_the_caller_is_known_by_its_hash(monkeypatch, tmp_path):
    """Fails when a module that is no installed distribution is taken for one, and has no version then."""
    (tmp_path / "beside_me.py").write_text("def loss(x, t): return x[..., 0]\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = describe(load_target("beside_me:loss"))
    assert list(found["sources"]) == ["beside_me.py"]
    assert set(found["packages"]) == {"jax", "jaxlib"}


def test_a_library_is_known_by_its_version():
    """Fails when a result does not say which release it is of."""
    pytest.importorskip("torch")
    found = describe(load_target("torch"))
    assert found == {
        "name": "torch",
        "adapter": "TorchTarget",
        "sources": {},
        "packages": {"torch": importlib.metadata.version("torch")},
        "convention": {
            "smoothing": "uniform",
            "subtract_entropy": False,
            "add_z_loss": False,
            "ignore_index": -100,
            "reduction": "sum",
        },
        "limits": Limits().to_json(),
        "functions": {
            "token_cross_entropy": {
                "outputs": ["loss"],
                "arguments": ["logits", "targets", "label_smoothing"],
                "required": [],
            }
        },
    }
    assert describe(load_target("lossproof"))["packages"]["lossproof"] == importlib.metadata.version("lossproof")


def test_the_list_says_what_is_installed(monkeypatch):
    """Fails when a target that is known by name is not listed, or what is missing looks as if it were there."""
    known = {**ADAPTERS, "gone": _adapters.Adapter("gone.loss", "no_such_package_here", "_gone")}
    monkeypatch.setattr("lossproof.conformance.command._targets.ADAPTERS", known)
    result = CliRunner().invoke(targets)
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert [name for name in known if name not in lines] == []
    assert lines["lossproof"].rstrip().endswith(f"lossproof {importlib.metadata.version('lossproof')}")
    assert lines["gone"].rstrip().endswith("no: pip install no_such_package_here")
    assert "--exec COMMAND" in result.stdout and "module:function" in result.stdout


def test_the_list_imports_no_library():
    """Fails when listing the targets takes as long as loading them all."""
    program = (
        "import sys; from lossproof.conformance.command._targets import targets; targets(standalone_mode=False); "
        "print([name for name in ('jax', 'torch', 'keras', 'optax', 'tensorflow') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
