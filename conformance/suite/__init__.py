"""The questions, cut into units of work.

`checks/` has a module per group of clauses, `pairs/` asks the cells of the coverage model,
`survey/` measures how accurate a target is, without a verdict. They register checks in
`registry.py`; `units.py` makes units of them and runs one. `asking/` is what a check works with.
After a failure `_control.py` asks whether plain calls are as wrong; after silence `_lacking.py`
tells what the target does not offer. `_question.py` writes a case as golden vectors do.
"""
