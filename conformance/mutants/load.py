"""From an edit to a target."""

from importlib import resources
from pathlib import Path
from types import ModuleType

from lossproof.conformance.mutants import losses
from lossproof.conformance.mutants._edit import Edit
from lossproof.conformance.targets import Target, load_target, module_target, parse_convention
from lossproof.spec import LOSSPROOF


def mutated_source(edit: Edit) -> str:
    """The base's text after the edit, or that of the variant's own file.

    Raises:
      ValueError: the edited text is not in the base exactly once.
    """
    if edit.file:
        return resources.files(losses).joinpath(edit.file).read_text("utf-8")
    source = resources.files(losses).joinpath("_base.py").read_text("utf-8")
    if source.count(edit.old) != 1:
        raise ValueError(
            f"mutant {edit.name}: its text must be in _base.py once, but is there {source.count(edit.old)} times"
        )
    return source.replace(edit.old, edit.new)


def load(edit: Edit) -> Target:
    """The mutated base, or the variant's own file, as a target."""
    if edit.file:
        return load_target(f"{Path(losses.__path__[0], edit.file)}:token_cross_entropy")
    module = ModuleType(f"lossproof_mutant_{edit.name}")
    exec(compile(mutated_source(edit), f"<mutant {edit.name}>", "exec"), module.__dict__)  # noqa: S102  our own text
    return module_target(f"mutant {edit.name}", module, parse_convention(edit.declares) or LOSSPROOF)
