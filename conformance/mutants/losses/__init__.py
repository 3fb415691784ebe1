"""Whole losses: the base that mutants are edits of, and good ones that are written in other ways."""
