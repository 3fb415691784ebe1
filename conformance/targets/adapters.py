"""The built-in targets: losses of published libraries, each with an adapter that is a file of its own."""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from lossproof.conformance.targets._target import Target, TargetError


@dataclass(frozen=True)
class Adapter:
    """How a built-in target is had.

    Attributes:
      loss: what it is.
      package: what has to be installed, by its import name.
      module: of `libraries/`; its `load(name)` makes the target.
      install: what pip is given.
    """

    loss: str
    package: str
    module: str
    install: str = ""

    @property
    def version(self) -> str | None:
        """That of the installed package; None if there is none. It is not imported."""
        if importlib.util.find_spec(self.package) is None:
            return None
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return "unknown version"


ADAPTERS: Mapping[str, Adapter] = {
    "lossproof": Adapter("lossproof's three functions and its normalising factors", "lossproof", "_lossproof"),
    "lossproof-xla": Adapter("the same functions, implementation xla, of every platform", "lossproof", "_lossproof"),
    "optax": Adapter("optax.softmax_cross_entropy_with_integer_labels", "optax", "_optax"),
    "optax-dense": Adapter("optax.softmax_cross_entropy", "optax", "_optax"),
    "torch": Adapter("torch.nn.functional.cross_entropy", "torch", "_torch"),
    "keras": Adapter("keras.losses.sparse_categorical_crossentropy, on JAX", "keras", "_keras"),
    "keras-dense": Adapter("keras.losses.categorical_crossentropy, on JAX", "keras", "_keras"),
    "t5x": Adapter("t5x.losses", "t5x", "_t5x", "git+https://github.com/google-research/t5x"),
    "tokamax": Adapter("tokamax.linear_softmax_cross_entropy_loss", "tokamax", "_tokamax"),
    "tokamax-chunked": Adapter("the same function, implementation chunked_xla", "tokamax", "_tokamax"),
}


def load_adapter(name: str) -> Target:
    """The built-in target of a name.

    Raises:
      TargetError: its package is not installed, or cannot be imported.
    """
    adapter = ADAPTERS[name]
    if adapter.version is None:
        raise TargetError(
            f"the target needs the package {adapter.package}: pip install {adapter.install or adapter.package}"
        )
    try:
        target: Target = importlib.import_module(f"{__package__}.libraries.{adapter.module}").load(name)
    except TargetError:
        raise
    except Exception as error:
        raise TargetError(
            f"the package {adapter.package} is installed, but the target {name!r} cannot be had: "
            f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        ) from error
    if not isinstance(target.packages, Mapping):
        target.packages = tuple(dict.fromkeys((adapter.package, *target.packages)))
    return target
