"""What goes wrong with golden files, in one line each."""


class GoldenError(ValueError):
    """Golden files that cannot be trusted: the message says where, what was expected, what came and what to do.

    Args:
      where: the file, and the case if it is one case's fault.
      problem: what was expected, what came, and what to do.
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, " ".join(problem.split()))

    def __str__(self) -> str:
        return ": ".join(self.args)


class SelectionError(ValueError):
    """A name that is neither a topic nor a case id of the set."""
