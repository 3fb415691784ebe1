"""All broken losses: patches of `losses/_base.py` that bring back bugs seen in the field, in a file for each kind."""

from importlib import resources

from lossproof.conformance.mutants._edit import Edit
from lossproof.conformance.mutants._patches import read_patches
from lossproof.conformance.mutants.meetings.meetings import MUTANTS as OF_MEETINGS


def _of(*kinds: str) -> tuple[Edit, ...]:
    files = (resources.files(__package__).joinpath(f"{kind}.diff") for kind in kinds)
    return tuple(edit for file in files for edit in read_patches(file))


# Of which no run has shown yet that level standard notices them: they are not in the matrix.
UNSEEN = ("last_block_dropped_with_entropy_alone",)

_BY_HAND = ("values", "derivatives", "states", "arguments", "keywords", "kernels", "splits", "coverage", "around_calls")

MUTANTS = (
    *_of(*_BY_HAND),
    *(edit for edit in (*_of("where_features_meet"), *OF_MEETINGS) if edit.name not in UNSEEN),
    *_of("users"),
)
