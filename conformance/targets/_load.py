"""From the name of a target to the target."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from lossproof.conformance.judging.nearest import nearest
from lossproof.conformance.targets._describe import distributions
from lossproof.conformance.targets._target import Target, TargetError
from lossproof.conformance.targets.adapters import ADAPTERS, load_adapter
from lossproof.conformance.targets.probing.functions import function_target, module_target
from lossproof.spec import Convention

_PROGRAM = "exec:"
_SHOWN = 20  # functions at most that a message lists


def load_target(name: str, convention: Convention | None = None) -> Target:
    """Finds a target by name.

    Args:
      name: a key of `ADAPTERS`; "module:function", "file.py:function", or "module:" / "file.py:" for all the
        specification's functions that a module has under their own names; "exec:COMMAND" for a program.
      convention: what it computes, if not the specification's or what its module declares.

    Returns:
      The target.

    Raises:
      TargetError: it cannot be imported, has no such function, or is of another form.
    """
    if name in ADAPTERS:
        if convention is not None:
            raise TargetError(f"{name} declares its own convention: leave the convention options out")
        return load_adapter(name)
    if name.startswith(_PROGRAM):
        from lossproof.conformance.targets.programs.exec import ExecTarget

        return ExecTarget(name.removeprefix(_PROGRAM), convention)
    module_name, colon, function_name = name.rpartition(":")
    if not colon:
        raise TargetError(
            f"unknown target {name!r}: give one of {', '.join(ADAPTERS)}, or module:function, or file.py:function"
        )
    module = _load_module(module_name)
    if function_name:
        target = function_target(name, _function(name, module, function_name), convention, module)
    else:
        target = module_target(name, module, convention)
    installed = not module_name.endswith(".py") and bool(distributions(module_name.partition(".")[0]))
    if installed:
        target.packages = tuple(dict.fromkeys((module_name.partition(".")[0], *target.packages)))
    elif module.__file__ is not None:
        target.sources = (Path(module.__file__),)
    return target


def _function(name: str, module: ModuleType, function_name: str) -> Callable[..., Any]:
    function = getattr(module, function_name, None)
    if callable(function):
        return function
    functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    few = len(functions) <= _SHOWN
    there = f"; its functions are: {', '.join(functions) or 'none'}" if few else nearest(function_name, functions)
    raise TargetError(f"target {name!r}: {name.rpartition(':')[0]} has no function {function_name!r}{there}")


def _load_module(name: str) -> ModuleType:
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise TargetError(
                f"target file {name!r} does not exist: give the path of a Python file, then a colon and a function"
            )
        spec = importlib.util.spec_from_file_location(f"lossproof_target_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        _find_beside(path)
        sys.modules[module.__name__] = module
        with _explained(name):
            spec.loader.exec_module(module)
        return module
    sys.path.insert(0, "")
    try:
        with _explained(name):
            return importlib.import_module(name)
    finally:
        sys.path.remove("")


def _find_beside(path: Path) -> None:
    """Lets a file import those beside it, when it is loaded and later, as if it were run; where Python finds nothing
    else, so that no file takes the place of a library.
    """
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise TargetError(f"target module {name!r} cannot be imported: {type(error).__name__}: {reason}") from error
