"""Broken losses that the suite must catch, and good ones that it must let pass."""

from lossproof.conformance.mutants._edit import Edit as Edit
from lossproof.conformance.mutants.edits import MUTANTS as MUTANTS
from lossproof.conformance.mutants.losses import BENIGN as BENIGN
from lossproof.conformance.mutants.matrix import Outcome as Outcome, run_all as run_all, selected as selected
