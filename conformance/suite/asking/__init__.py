"""What a check works with.

`abilities.py`: what the target has, and takes. `search.py`: cases are drawn, and one that fails is
shrunk. `run.py`: the target is asked, and its answers are judged. `calls.py` keeps what it was
asked.
"""
