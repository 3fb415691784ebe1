"""The `lossproof` command.

`cli.py` is its entry; a module for each command. `_plan.py` is a check from its request to its
verdict, `_output.py` keeps its files, `expectations/` reads what a target is expected to break.
"""
