"""From a request to results, and the verdict on them.

`request.py` is what was asked for, `selection.py` which units that are. `runner.py` runs them in
processes that `guard.py` watches, and whose prints `noise.py` keeps apart; `_recorder.py` gathers
the results, `cluster.py` does both on a Dask cluster, `journal.py` keeps them for an interrupted
run. `_ledger.py` is the verdict on each clause, `covered.py` how much of the model was looked at,
`summary.py` the verdict on the run.
"""
