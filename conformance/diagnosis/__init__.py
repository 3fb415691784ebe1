"""What failures have in common, and which known defect behaves like the target.

`axes.py` and `_features.py` tell failing calls from passing ones; `_seek.py`, a process that
`cause.py` starts, compares the target with known defects on what it failed on, which `_replay.py`
asks again and `_likeness.py` compares. `inputs.py` writes calls as text.
"""
