"""What is right, and whether an array deviates.

`case.py` is a call with its inputs as exact bits, `draw.py` makes random ones, `language.py` those
of a language model. `exact.py` fetches the right answer, `lossproof.reference.bounds` says how
large an error may be (`mean.py`: of means), `judge.py` compares. `charges.py` has what each clause
speaks of, so that a comparison counts for it or a deviation breaks it; `tally.py` keeps what was
compared, `result.py` what came of a unit.
"""
