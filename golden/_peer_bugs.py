"""Where a defect of another implementation was reported or seen."""

from lossproof.golden._builders import sourced
from lossproof.golden._case import Question

OPTAX = "optax 0.2.8 with jax 0.10.2 on CPU"
TORCH = "torch 2.13.0 on CPU"


def reported(thread: str, question: Question) -> Question:
    """Returns a question written for the defect that a public thread of github.com reports."""
    return sourced(question, f"for the defect of https://github.com/{thread}")


def seen(with_what: str, question: Question) -> Question:
    """Returns a question whose note says what an implementation gave when it was run on these inputs."""
    return sourced(question, f"written by hand, and run with {with_what}")


def flagged(flags: str = "") -> str:
    """Returns the topic's flag, and others."""
    return f"peer_bug {flags}".strip()
