"""All broken losses: the smallest edits of `_base.py` that bring back bugs seen in the field."""

from lossproof.conformance.mutants._unseen import UNSEEN
from lossproof.conformance.mutants.edits._around_calls import MUTANTS as AROUND_CALLS
from lossproof.conformance.mutants.edits._of_arguments import OF_ARGUMENTS
from lossproof.conformance.mutants.edits._of_coverage import MUTANTS as OF_COVERAGE
from lossproof.conformance.mutants.edits._of_derivatives import OF_DERIVATIVES
from lossproof.conformance.mutants.edits._of_kernels import OF_KERNELS
from lossproof.conformance.mutants.edits._of_keywords import OF_KEYWORDS
from lossproof.conformance.mutants.edits._of_splits import OF_SPLITS
from lossproof.conformance.mutants.edits._of_states import OF_STATES
from lossproof.conformance.mutants.edits._of_users import OF_USERS
from lossproof.conformance.mutants.edits._of_values import OF_VALUES
from lossproof.conformance.mutants.edits._where_features_meet import WHERE_FEATURES_MEET
from lossproof.conformance.mutants.meetings.meetings import MUTANTS as OF_MEETINGS

MUTANTS = (
    *OF_VALUES,
    *OF_DERIVATIVES,
    *OF_STATES,
    *OF_ARGUMENTS,
    *OF_KEYWORDS,
    *OF_KERNELS,
    *OF_SPLITS,
    *OF_COVERAGE,
    *AROUND_CALLS,
    *(edit for edit in (*WHERE_FEATURES_MEET, *OF_MEETINGS) if edit.name not in UNSEEN),
    *OF_USERS,
)
