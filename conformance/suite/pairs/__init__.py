"""The cells of the coverage model, asked and judged.

`calls.py` are the checks; `_offered.py` says what is left of a cell that a target does not offer
whole, `cells.py` makes its calls and judges them, `speaking.py` tells which clauses a cell is
about.
"""
