"""Whole losses: the base that mutants are edits of, and good ones that go about it another way."""

from importlib import resources

from lossproof.conformance.mutants._patches import read_patches

BENIGN = read_patches(resources.files(__package__).joinpath("benign.diff"))
